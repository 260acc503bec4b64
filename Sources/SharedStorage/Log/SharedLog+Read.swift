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
    /// What a read does next, decided under the lock.
    private enum ReadStep {
        case end
        /// From the cache: slices, and where they end.
        case cached([LogSlice], bytes: Int, next: Offset, isCut: Bool)
        case object(RangeRecord, reader: Int)
        /// A former owner is uploading what holds the offset.
        case waitForTail
    }

    private struct ReadPlan {
        var offsets: LogOffsets
        var end: Offset
    }

    /// A reader races with compaction: an object gone between plan and GET is looked up again this often.
    static let rereadsMax = 3

    public func read(
        from offset: Offset, maxBytes: Int, minOneBatch: Bool, bound: ReadBound, reader: Reader, currentLeaderEpoch: LeaderEpoch?
    ) async throws(LogError) -> ReadResult {
        let plan = try state.withLock { state throws(LogError) in
            try state.checkLeads()
            try state.checkEpoch(currentLeaderEpoch)
            let offsets = state.offsets
            guard offset >= offsets.logStart, offset <= offsets.logEnd else {
                throw state.error(
                    .offsetOutOfRange, "holds offsets \(offsets.logStart) to \(offsets.logEnd), \(offset) was asked for")
            }
            // What is not synced yet may be lost by a crash, so that even the log's own tools read what is.
            return ReadPlan(offsets: offsets, end: bound == .lastStableOffset ? offsets.lastStable : offsets.highWatermark)
        }
        var slices: [LogSlice] = []
        var bytes = 0
        var next = offset
        var rereads = 0
        let deadline = shared.environment.clock.now() + shared.settings.tailTimeout
        reading: while next < plan.end, bytes < maxBytes || bytes == 0 {
            let takesFirst = minOneBatch && bytes == 0
            switch try step(at: next, below: plan.end, bytesMax: maxBytes - bytes, takesFirst: takesFirst) {
            case .end: break reading
            case .cached(let found, let size, let reached, let isCut):
                slices += found
                bytes += size
                next = reached
                if isCut || found.isEmpty { break reading }
            case .object(let range, let reader):
                startReadAhead(of: reader)
                do {
                    let found = try await readObject(
                        range, by: reader, from: next, below: plan.end, bytesMax: maxBytes - bytes, takesFirst: takesFirst)
                    slices += found.slices
                    bytes += found.bytes
                    next = found.next
                    if found.isCut { break reading }
                } catch {
                    guard error.code == .storageFailure, rereads < Self.rereadsMax else { throw error }
                    rereads += 1
                    try await reloadRanges()
                }
            case .waitForTail:
                if bytes > 0 { break reading }
                try await waitForTail(until: deadline)
            }
        }
        return ReadResult(records: LogSlices(slices), offsets: plan.offsets)
    }

    private func step(at offset: Offset, below end: Offset, bytesMax: Int, takesFirst: Bool) throws(LogError) -> ReadStep {
        try state.withLock { state throws(LogError) in
            guard offset >= state.logStart else {
                throw state.error(.offsetOutOfRange, "starts at \(state.logStart), \(offset) was asked for")
            }
            if offset >= state.cacheStart {
                return Self.cachedStep(state, at: offset, below: end, bytesMax: bytesMax, takesFirst: takesFirst)
            }
            let index = state.rangeIndex(of: offset)
            if index < state.ranges.count {
                let reader = state.readAheads.begin(at: offset, bytes: bytesMax, shared.settings)
                return .object(state.ranges[index], reader: reader)
            }
            return state.waitsForTail ? .waitForTail : .end
        }
    }

    private static func cachedStep(
        _ state: SharedLogState, at offset: Offset, below end: Offset, bytesMax: Int, takesFirst: Bool
    ) -> ReadStep {
        var slices: [LogSlice] = []
        var bytes = 0
        var next = offset
        var index = state.cacheIndex(of: offset)
        while index < state.cache.count, next < end {
            let cached = state.cache[index]
            let found = cached.slice(from: next, below: end, bytesMax: bytesMax - bytes, takesFirst: takesFirst && bytes == 0)
            if let slice = found.bytes {
                slices.append(.bytes(slice))
                bytes += slice.readableBytes
            }
            if found.isCut { return .cached(slices, bytes: bytes, next: next, isCut: true) }
            next = cached.offsets.upperBound
            index += 1
        }
        return .cached(slices, bytes: bytes, next: next, isCut: false)
    }

    private func readObject(
        _ range: RangeRecord, by reader: Int, from offset: Offset, below end: Offset, bytesMax: Int, takesFirst: Bool
    ) async throws(LogError) -> (slices: [LogSlice], bytes: Int, next: Offset, isCut: Bool) {
        let (blocks, missed) = try await shared.reader.blocks(
            of: stream, in: range, from: offset, bytesMax: max(bytesMax, 1), fetchBytes: shared.settings.readAheadBytes)
        var slices: [LogSlice] = []
        var bytes = 0
        // Sparse offsets: a range may end in a gap, and then the next begins where it ends.
        guard let last = blocks.last else {
            state.withLock { $0.readAheads[reader]?.end(at: range.end, missed: nil, shared.settings) }
            return ([], 0, range.end, false)
        }
        for block in blocks {
            let found: (bytes: ByteBuffer?, end: Offset?, isCut: Bool)
            do throws(RecordBatchError) {
                found = try block.data.batches(
                    from: offset, below: end, bytesMax: bytesMax - bytes, takesFirst: takesFirst && bytes == 0)
            } catch {
                throw LogError(.corruptLog, "the object \(range.key) holds no whole batches at offset \(block.start)", cause: error)
            }
            if let slice = found.bytes {
                slices.append(.bytes(slice))
                bytes += slice.readableBytes
            }
            if found.isCut {
                // The next read begins in the middle of this block, which is here.
                let reached = found.end ?? max(block.start, offset)
                state.withLock { $0.readAheads[reader]?.end(at: reached, missed: missed, shared.settings) }
                return (slices, bytes, reached, true)
            }
        }
        state.withLock { $0.readAheads[reader]?.end(at: last.end, missed: missed, shared.settings) }
        startReadAhead(of: reader)
        return (slices, bytes, last.end, false)
    }

    /// Returns when a former owner's tail is in objects.
    ///
    /// - Throws: ``LogError/Code/notAvailable`` at `deadline`: the reader tries again.
    func waitForTail(until deadline: MonotonicInstant) async throws(LogError) {
        while true {
            let waits = try state.withLock { state throws(LogError) in
                try state.checkLeads()
                return state.waitsForTail
            }
            guard waits else { return }
            let clock = shared.environment.clock
            guard clock.now() < deadline else {
                throw LogError(
                    .notAvailable, "partition \(partition) waits for its former owner to upload the last batches; try again")
            }
            do {
                try await clock.sleep(for: .milliseconds(5))
            } catch {
                throw LogError(.notAvailable, "a read of partition \(partition) was cancelled", cause: error)
            }
        }
    }
}
