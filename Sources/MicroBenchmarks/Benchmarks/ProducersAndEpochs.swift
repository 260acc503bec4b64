//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogEngine
internal import LogModel
internal import NIOCore

/// What each append asks besides its bytes: is it a repetition, is the epoch the log's.
extension MicroBenchmark {
    static let producersAndEpochs: [MicroBenchmark] = [
        MicroBenchmark(
            "producers.check.1000", "checks and remembers an idempotent producer's next batch, one of 1,000 producers",
            counted: 1_000
        ) { _, _ in
            let producers = 1_000
            var header = try RecordBatches(verifying: Material.batch(records: 1, producerID: 1)).entries[0].header
            var states = ProducerStates()
            var sequence: Int32 = 0
            var producer = 0
            func next() throws {
                header.producerID = Int64(producer)
                header.baseSequence = sequence
                guard try states.check(header) == .accept else {
                    throw BenchmarkFailure("batch \(sequence) was taken for a repetition")
                }
                states.record(header)
                producer += 1
                guard producer == producers else { return }
                producer = 0
                sequence += 1
            }
            // Until all of them remember as many batches as they ever will.
            for _ in 0..<(producers * (ProducerStates.batchesRemembered + 1)) { try next() }
            return { operations in
                for _ in 0..<operations { try next() }
            }
        },
        MicroBenchmark("epochs.append.100", "notes a batch of the latest of 100 epochs", counted: 1_000) { _, _ in
            var history = epochs(100)
            var offset = Offset(1_000_000)
            return { operations in
                for _ in 0..<operations {
                    guard !history.append(epoch: LeaderEpoch(99), startOffset: offset) else {
                        throw BenchmarkFailure("the epoch was taken for a new one")
                    }
                    offset = offset + 1
                }
            }
        },
        MicroBenchmark("epochs.end.100", "finds where one of 100 epochs ends", counted: 1_000) { _, _ in
            let history = epochs(100)
            let targets = Material.scattered(1_024, below: 99)
            return { operations in
                for number in 0..<operations {
                    let epoch = LeaderEpoch(Int32(targets[number & 1_023]))
                    guard let found = history.endOffset(for: epoch, logEnd: Offset(1 << 40)), found.epoch == epoch else {
                        throw BenchmarkFailure("epoch \(epoch) was not found")
                    }
                    blackHole(found.endOffset)
                }
            }
        },
    ]

    private static func epochs(_ count: Int) -> EpochHistory {
        EpochHistory((0..<count).map { EpochStart(epoch: LeaderEpoch(Int32($0)), startOffset: Offset(Int64($0) * 1_000)) })
    }
}
