//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogModel
internal import LogSegments
internal import NIOCore

/// Stretches of the log found for a fetch. Their bytes are not read: `sendfile` does that.
extension MicroBenchmark {
    static let read: [MicroBenchmark] = [
        MicroBenchmark(
            "log.read.tail", "finds the last batch of the active segment, as a consumer at the log's end asks for it", uses: .disk
        ) { surroundings, _ in
            let log = try BenchmarkLog(surroundings)
            try log.append(256)
            let end = log.log.logEnd
            return { operations in
                for _ in 0..<operations { try log.read(from: end - 1, mayRead: false) }
            }
        },
        MicroBenchmark(
            "log.read.sealed", "finds a batch of a sealed segment whose indexes are in memory", counted: 96, uses: .disk
        ) { surroundings, _ in
            let log = try BenchmarkLog(surroundings)
            try log.fill(segments: 4, batchesPerSegment: 256)
            let offsets = Material.scattered(96, below: 1_024)
            for offset in offsets { try log.read(from: Offset(Int64(offset)), mayRead: true) }
            return { operations in
                for number in 0..<operations { try log.read(from: Offset(Int64(offsets[number % 96])), mayRead: true) }
            }
        },
        MicroBenchmark(
            "log.read.cold", "finds a batch of a sealed segment whose file and indexes must be opened and read first", counted: 96,
            uses: .disk
        ) { surroundings, _ in
            let log = try BenchmarkLog(surroundings)
            try log.fill(segments: 4, batchesPerSegment: 256)
            let offsets = Material.scattered(96, below: 1_024)
            return { operations in
                for number in 0..<operations {
                    // The first call asks who was used since the last one, the second lets go.
                    log.log.letGoOfUnused()
                    log.log.letGoOfUnused()
                    try log.read(from: Offset(Int64(offsets[number % 96])), mayRead: true)
                }
            }
        },
    ]
}

extension BenchmarkLog {
    func read(from offset: Offset, mayRead: Bool) throws {
        guard
            let slices = try log.read(from: offset, to: log.logEnd, maxBytes: 64 << 10, minOneBatch: true, mayRead: mayRead),
            !slices.isEmpty
        else { throw BenchmarkFailure("nothing was found at offset \(offset)") }
        blackHole(slices)
    }
}
