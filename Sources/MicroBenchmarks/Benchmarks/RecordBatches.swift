//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogModel
internal import NIOCore

/// What is checked of every produced batch: its header, and the CRC over the rest.
extension MicroBenchmark {
    static let recordBatches: [MicroBenchmark] = [1, 16, 1_000].map { records in
        let size = Material.batch(records: records).readableBytes
        return MicroBenchmark(
            "batches.verify.\(records)", "checks a batch of \(records) records of 1,000 bytes", bytes: size
        ) { _, _ in
            let buffer = Material.batch(records: records)
            return { operations in
                for _ in 0..<operations {
                    let batches = try RecordBatches(verifying: buffer)
                    guard batches.entries.count == 1 else { throw BenchmarkFailure("the batch is missing") }
                    blackHole(batches)
                }
            }
        }
    }
}
