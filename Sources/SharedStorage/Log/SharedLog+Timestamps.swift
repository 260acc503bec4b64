//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import DequeModule
public import LogEngine
public import LogModel
internal import NIOCore
internal import RecordCompression
internal import RuntimeEnvironment
internal import Synchronization

extension SharedLog {
    public func offset(forTimestamp timestamp: Timestamp) async throws(LogError) -> TimestampedOffset? {
        try await firstRecord { $0 >= timestamp }
    }

    public func offsetOfMaxTimestamp() async throws(LogError) -> TimestampedOffset? {
        // A former owner's tail may hold the newest record.
        try await waitForTail(until: shared.environment.clock.now() + shared.settings.tailTimeout)
        let newest = try state.withLock { state throws(LogError) in
            try state.checkLeads()
            let inObjects = state.ranges.filter { $0.end > state.logStart }.reduce(Timestamp.none) { max($0, $1.maxTimestamp) }
            return state.cache.prefix(state.syncedCount).reduce(inObjects) { max($0, $1.batches.maxTimestamp) }
        }
        guard newest != .none else { return nil }
        return try await firstRecord { $0 >= newest }
    }

    private enum SearchStep {
        case object(RangeRecord)
        case waitForTail
        /// Nothing lies in objects that is not in these.
        case cached([CachedAppend], below: Offset)
    }

    /// The first record whose timestamp `fits`; ranges, blocks and batches are passed over by their largest timestamp.
    private func firstRecord(where fits: @Sendable (Timestamp) -> Bool) async throws(LogError) -> TimestampedOffset? {
        let deadline = shared.environment.clock.now() + shared.settings.tailTimeout
        var next = Offset.zero
        var rereads = 0
        while true {
            // Looked at anew after each wait: what was in the cache may be in objects by then, and a tail has come.
            let (step, start) = try searchStep(from: next, where: fits)
            next = start
            switch step {
            case .object(let range):
                do throws(LogError) {
                    if fits(range.maxTimestamp), let found = try await firstRecord(in: range, from: next, where: fits) {
                        return found
                    }
                    next = range.end
                } catch {
                    // Overtaken by a compaction.
                    guard error.code == .storageFailure, rereads < Self.rereadsMax else { throw error }
                    rereads += 1
                    try await reloadRanges()
                }
            case .waitForTail: try await waitForTail(until: deadline)
            case .cached(let appends, let end):
                for append in appends {
                    if let found = Self.firstRecord(in: append.batches.buffer, from: next, below: end, where: fits) {
                        return found
                    }
                }
                return nil
            }
        }
    }

    /// - Returns: What is to be looked at next for records from `offset` or the log start on, and that offset.
    private func searchStep(
        from offset: Offset, where fits: (Timestamp) -> Bool
    ) throws(LogError) -> (SearchStep, from: Offset) {
        try state.withLock { state throws(LogError) -> (SearchStep, from: Offset) in
            try state.checkLeads()
            let next = max(offset, state.logStart)
            if next < state.cacheStart {
                let index = state.rangeIndex(of: next)
                if index < state.ranges.count { return (.object(state.ranges[index]), next) }
                if state.waitsForTail { return (.waitForTail, next) }
            }
            let cached = state.cache.filter { $0.offsets.upperBound > next && fits($0.batches.maxTimestamp) }
            return (.cached(Array(cached), below: state.highWatermark), next)
        }
    }

    private func firstRecord(
        in range: RangeRecord, from start: Offset, where fits: @Sendable (Timestamp) -> Bool
    ) async throws(LogError) -> TimestampedOffset? {
        for entry in try await shared.reader.index(of: range).entries(of: stream, from: start) where fits(entry.maxTimestamp) {
            let (blocks, _) = try await shared.reader.blocks(
                of: stream, in: range, from: entry.start, bytesMax: 1, fetchBytes: Int(clamping: entry.length))
            for block in blocks {
                if let found = Self.firstRecord(in: block.data, from: start, below: nil, where: fits) { return found }
            }
        }
        return nil
    }

    private static func firstRecord(
        in data: ByteBuffer, from logStart: Offset, below end: Offset?, where fits: (Timestamp) -> Bool
    ) -> TimestampedOffset? {
        var found: TimestampedOffset?
        try? data.forEachBatch { header, index in
            guard header.endOffset > logStart, fits(header.maxTimestamp), end.map({ header.endOffset <= $0 }) ?? true else {
                return true
            }
            let epoch = header.partitionLeaderEpoch
            // What cannot be looked into leads to its beginning.
            var record: (offset: Offset, timestamp: Timestamp)? = (header.baseOffset, header.baseTimestamp)
            if let slice = data.getSlice(at: index, length: header.sizeInBytes),
                let batches = try? RecordBatches(verifying: slice), let entry = batches.entries.first
            {
                do { record = try batches.first(of: entry) { $0 >= logStart && fits($1) } } catch {}
            }
            guard let record else { return true }
            found = TimestampedOffset(offset: max(record.offset, logStart), timestamp: record.timestamp, leaderEpoch: epoch)
            return false
        }
        return found
    }
}
