//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogModel
internal import LogSegments
internal import NIOCore

/// Verified batches to the log's end, as a leader appends them: offsets, epoch, one gathered write, indexes.
extension MicroBenchmark {
    static let append: [MicroBenchmark] = [1, 16, 256].map { count in
        MicroBenchmark(
            "log.append.\(count)", "appends \(count) batches of one record of 1,000 bytes in one call",
            bytes: count * Material.batch(records: 1).readableBytes, counted: 64, operationsMax: max(64, 16_384 / count),
            uses: .disk
        ) { surroundings, _ in
            let log = try BenchmarkLog(surroundings)
            return { operations in
                for _ in 0..<operations { try log.append(count) }
            }
        }
    }
}

/// A log and what is appended to it.
final class BenchmarkLog {
    static let epoch = LeaderEpoch(3)

    let log: SegmentedLog
    private let batches: RecordBatches

    init(_ surroundings: BenchmarkSurroundings) throws {
        batches = try Material.batches()
        log = try SegmentedLog.open(
            disk: surroundings.disk, directory: "payments-0", settings: SegmentSettings(), opening: LogOpening()
        ).log
    }

    func append(_ count: Int) throws {
        var end = log.logEnd
        var chunks: [AppendChunk] = []
        chunks.reserveCapacity(count)
        for _ in 0..<count {
            chunks.append(AppendChunk(batches, baseOffset: end, epoch: Self.epoch, logAppendTime: nil))
            end = chunks[chunks.count - 1].endOffset
        }
        let outcome = log.append(chunks)
        if let failure = outcome.failure { throw failure }
        guard log.logEnd == end else { throw BenchmarkFailure("the log ends at \(log.logEnd), not at \(end)") }
    }

    /// Segments of `batchesPerSegment` batches, all but the last, empty one sealed.
    func fill(segments: Int, batchesPerSegment: Int) throws {
        for _ in 0..<segments {
            try append(batchesPerSegment)
            try log.roll()
        }
    }
}
