//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import DequeModule
public import LogEngine
public import LogModel
internal import NIOCore
internal import RuntimeEnvironment
internal import Synchronization

extension SharedLog {
    public func offset(forTimestamp timestamp: Timestamp) async throws(LogError) -> TimestampedOffset? {
        try await firstRecord { $0 >= timestamp }
    }

    public func offsetOfMaxTimestamp() async throws(LogError) -> TimestampedOffset? {
        let newest = try state.withLock { state throws(LogError) in
            try state.checkLeads()
            let inObjects = state.ranges.filter { $0.end > state.logStart }.reduce(Timestamp.none) { max($0, $1.maxTimestamp) }
            return state.cache.prefix(state.syncedCount).reduce(inObjects) { max($0, $1.batches.maxTimestamp) }
        }
        guard newest != .none else { return nil }
        return try await firstRecord { $0 >= newest }
    }

    /// The first record whose timestamp `fits`; ranges, blocks and batches are passed over by their largest timestamp.
    private func firstRecord(where fits: @Sendable (Timestamp) -> Bool) async throws(LogError) -> TimestampedOffset? {
        let (ranges, logStart) = try state.withLock { state throws(LogError) in
            try state.checkLeads()
            return (state.ranges.filter { $0.end > state.logStart && fits($0.maxTimestamp) }, state.logStart)
        }
        for range in ranges {
            for entry in try await shared.reader.index(of: range).entries(of: stream, from: logStart) where fits(entry.maxTimestamp)
            {
                let (blocks, _) = try await shared.reader.blocks(
                    of: stream, in: range, from: entry.start, bytesMax: 1, fetchBytes: Int(clamping: entry.length))
                for block in blocks {
                    if let found = Self.firstRecord(in: block.data, from: logStart, below: nil, where: fits) { return found }
                }
            }
        }
        try await waitForTail(until: shared.environment.clock.now() + shared.settings.tailTimeout)
        let (cached, end) = state.withLock { state in (state.cache.filter { fits($0.batches.maxTimestamp) }, state.highWatermark) }
        for append in cached {
            if let found = Self.firstRecord(in: append.batches.buffer, from: logStart, below: end, where: fits) { return found }
        }
        return nil
    }

    /// By record in uncompressed batches, by batch in compressed ones.
    private static func firstRecord(
        in data: ByteBuffer, from logStart: Offset, below end: Offset?, where fits: (Timestamp) -> Bool
    ) -> TimestampedOffset? {
        var found: TimestampedOffset?
        try? data.forEachBatch { header, index in
            guard header.endOffset > logStart, fits(header.maxTimestamp), end.map({ header.endOffset <= $0 }) ?? true else {
                return true
            }
            let epoch = header.partitionLeaderEpoch
            if header.codec == CompressionCodec.none, let slice = data.getSlice(at: index, length: header.sizeInBytes),
                let batches = try? RecordBatches(verifying: slice), let entry = batches.entries.first,
                let records = try? batches.records(of: entry)
            {
                guard let record = records.first(where: { fits($0.timestamp) && $0.offset >= logStart }) else { return true }
                found = TimestampedOffset(offset: record.offset, timestamp: record.timestamp, leaderEpoch: epoch)
            } else {
                found = TimestampedOffset(
                    offset: max(header.baseOffset, logStart), timestamp: header.maxTimestamp, leaderEpoch: epoch)
            }
            return false
        }
        return found
    }
}
