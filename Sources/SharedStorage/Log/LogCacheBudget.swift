//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import DequeModule
internal import LogModel
internal import Synchronization

/// Bytes of batches in all logs' caches. What is uploaded leaves in the order it was uploaded once the limit is passed.
final class LogCacheBudget: Sendable {
    private struct State {
        var bytes: Int64 = 0
        var evictable: Deque<(log: SharedLog, upTo: Offset)> = []
    }

    private let bytesMax: Int64
    private let state = Mutex(State())

    init(bytesMax: Int64) { self.bytesMax = bytesMax }

    func added(_ bytes: Int) { state.withLock { $0.bytes += Int64(bytes) } }
    func removed(_ bytes: Int64) { state.withLock { $0.bytes -= bytes } }

    /// `log` has its batches below `offset` in objects now.
    func uploaded(_ log: SharedLog, upTo offset: Offset) {
        state.withLock { $0.evictable.append((log, offset)) }
        while let next = state.withLock({ $0.bytes > bytesMax ? $0.evictable.popFirst() : nil }) {
            removed(next.log.evict(below: next.upTo))
        }
    }

    /// A log that is let go holds nothing here any more.
    func forget(_ log: SharedLog) { state.withLock { $0.evictable.removeAll { $0.log === log } } }
}
