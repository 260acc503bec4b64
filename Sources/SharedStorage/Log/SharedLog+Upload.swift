//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import DequeModule
internal import LogEngine
internal import LogModel
internal import Synchronization

/// What one stream brings to an upload: everything appended since its last.
struct UploadCut: Sendable {
    var stream: StreamID
    /// The stream's committed end.
    var start: Offset
    /// Exclusive.
    var end: Offset
    var chunks: [ObjectBuilder.Chunk]
    /// As of `end`.
    var producers: [ProducerStates.Entry]
    var epochs: [EpochStart]
    var bytes: Int64
}

extension SharedLog {
    /// What is to be uploaded now; nil if there is nothing, or a former owner's tail comes first.
    func cut() -> UploadCut? {
        state.withLock { state in
            if case .failed = state.role { return nil }
            guard state.hasUncommitted, !state.waitsForTail else { return nil }
            let first = state.cacheIndex(of: state.committedEnd)
            // Only what is synced, so that no record is readable elsewhere that its producer was not told of. The rest is not
            // waited for: where the WAL is full it waits for this very upload.
            guard first < state.syncedCount else { return nil }
            let appends = state.cache[first..<state.syncedCount]
            let end = appends[state.syncedCount - 1].offsets.upperBound
            return UploadCut(
                stream: stream, start: state.committedEnd, end: end, chunks: appends.map(\.chunk),
                producers: state.syncedProducers.entries, epochs: state.epochs.entries.filter { $0.startOffset < end },
                bytes: appends.reduce(0) { $0 + Int64($1.sizeInBytes) })
        }
    }

    /// The number in the WAL of the first append that is in no object; nil if there is none, and then the log is no longer dirty.
    func firstUncommittedSequence() -> UInt64? {
        state.withLock { state in
            guard state.hasUncommitted else {
                shared.dirty.remove(self)
                return nil
            }
            let first = state.cacheIndex(of: max(state.committedEnd, state.tailsEnd))
            return first < state.cache.count ? state.cache[first].sequence : nil
        }
    }

    func uploadCommitted(_ range: RangeRecord) {
        let bytes = state.withLock { state in
            let before = state.uncommittedBytes
            state.committed(range)
            return before - state.uncommittedBytes
        }
        shared.cacheBudget.uploaded(self, upTo: range.end, bytes: bytes)
    }

    /// Looks at the metadata for what was committed without this log's knowledge: a former owner's tail, or an upload of its own whose
    /// answer was lost.
    func catchUp() async throws(LogError) {
        guard let record = try await shared.metadata.stream(stream)?.value, record.committedEnd > committedEnd else { return }
        // Read after the record, so they reach at least as far.
        let ranges = try await shared.metadata.ranges(of: stream)
        let end = max(record.committedEnd, ranges.last?.end ?? .zero)
        let bytes = state.withLock { state in
            let before = state.uncommittedBytes
            state.adopt(ranges, committedEnd: end)
            return before - state.uncommittedBytes
        }
        shared.cacheBudget.uploaded(self, upTo: end, bytes: bytes)
    }

    /// Somebody else has taken the stream over or deleted it: what is in memory is of no use any more.
    func uploadObsolete() {
        appendFailed(LogError(.fenced, "partition \(partition) was taken over by another broker, or deleted; refresh the metadata"))
        abandon()
    }

    // MARK: Retention and compaction

    /// Forgets idempotent producers that have written nothing since `time`.
    func forgetProducers(before time: Timestamp) {
        state.withLock { state in
            state.producers.removeExpired(before: time)
            state.syncedProducers.removeExpired(before: time)
        }
    }

    func retentionStart(now: Timestamp) -> Offset { state.withLock { $0.retentionStart(now: now) } }
    var rangesNow: [RangeRecord] { state.withLock { $0.ranges } }

    /// Looks at the metadata again for where the log's past lies: a change of ours whose answer was lost, or a reader that was
    /// overtaken by a compaction.
    func reloadRanges() async throws(LogError) {
        let ranges = try await shared.metadata.ranges(of: stream)
        state.withLock { state in
            guard ranges.last?.end ?? state.committedEnd == state.committedEnd else { return }
            state.ranges = ranges
            state.rangeBytes = ranges.reduce(0) { $0 + $1.recordBytes }
        }
    }

    func replaced(_ old: [RangeRecord], with merged: RangeRecord?) { state.withLock { $0.replaced(old, with: merged) } }

    func raiseLogStart(to offset: Offset) {
        state.withLock { state in
            guard offset > state.logStart else { return }
            state.logStart = offset
            state.epochs.truncateFromStart(offset)
        }
    }
}
