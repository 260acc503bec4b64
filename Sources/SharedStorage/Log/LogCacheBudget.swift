//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import DequeModule
internal import LogEngine
internal import LogModel
internal import Synchronization

/// Bytes of batches in all logs' caches. What is uploaded leaves in the order it was uploaded once the limit is passed; what is not
/// cannot leave, so that appends beyond the limit wait for uploads.
final class LogCacheBudget: Sendable {
    private struct State {
        var bytes: Int64 = 0
        /// Of these, in no object yet.
        var pinned: Int64 = 0
        var evictable: Deque<(log: SharedLog, upTo: Offset)> = []
    }

    private let bytesMax: Int64
    private let pinnedBytesMax: Int64
    private let state = Mutex(State())

    init(bytesMax: Int64, pinnedBytesMax: Int64) {
        self.bytesMax = bytesMax
        self.pinnedBytesMax = pinnedBytesMax
    }

    /// Why an append of `bytes` would be refused now; nil if it would not. One at least is taken, whatever its size.
    func refusal(ofBytes bytes: Int) -> LogError? {
        let pinned = state.withLock(\.pinned)
        guard pinned > 0, pinned + Int64(bytes) > pinnedBytesMax else { return nil }
        return LogError(
            .overloaded,
            "\(pinned) bytes in memory wait for their upload, at most \(pinnedBytesMax) may (log.cache.bytes); try again when the object store has taken them"
        )
    }

    /// - Returns: Whether ``trim()`` is due.
    func added(_ bytes: Int) -> Bool {
        state.withLock { state in
            state.bytes += Int64(bytes)
            state.pinned += Int64(bytes)
            return state.bytes > bytesMax && !state.evictable.isEmpty
        }
    }

    /// - Parameter pinned: Of them, in no object.
    func removed(_ bytes: Int64, pinned: Int64 = 0) {
        state.withLock {
            $0.bytes -= bytes
            $0.pinned -= pinned
        }
    }

    /// `log` has its batches below `offset` in objects now, `bytes` of them since it was last here.
    func uploaded(_ log: SharedLog, upTo offset: Offset, bytes: Int64) {
        state.withLock {
            $0.pinned -= bytes
            $0.evictable.append((log, offset))
        }
        trim()
    }

    /// Evicts what can be while the limit is passed. Not under a log's lock.
    func trim() {
        while let next = state.withLock({ $0.bytes > bytesMax ? $0.evictable.popFirst() : nil }) {
            removed(next.log.evict(below: next.upTo))
        }
    }

    /// A log that is let go holds nothing here any more.
    func forget(_ log: SharedLog) { state.withLock { $0.evictable.removeAll { $0.log === log } } }
}
