//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Synchronization

/// Bytes of requests that one broker holds, over all its connections (Kafka's `queued.max.request.bytes`).
///
/// A frame is charged when its length is known and before the rest of it is read, so that whoever holds a share can always
/// finish. Frames are admitted while less than ``bytesMax`` is held, which may overshoot by one frame and never starves a large one.
package final class RequestMemory: Sendable {
    private struct State {
        var bytes = 0
        /// Called in turn, outside the lock, once there is room.
        var waiting: [@Sendable () -> Void] = []
    }

    package let bytesMax: Int
    private let state = Mutex(State())

    package init(bytesMax: Int) {
        precondition(bytesMax > 0, "a broker that may hold no request cannot serve")
        self.bytesMax = bytesMax
    }

    package var bytes: Int { state.withLock { $0.bytes } }

    /// - Returns: Whether `amount` was charged. If not, `retry` is called once when it is worth asking again.
    package func charge(_ amount: Int, retry: @escaping @Sendable () -> Void) -> Bool {
        state.withLock { state in
            guard state.bytes < bytesMax else {
                state.waiting.append(retry)
                return false
            }
            state.bytes += amount
            return true
        }
    }

    package func release(_ amount: Int) {
        let ready = state.withLock { state -> [@Sendable () -> Void] in
            state.bytes -= amount
            precondition(state.bytes >= 0, "more request memory released than was charged")
            guard state.bytes < bytesMax, !state.waiting.isEmpty else { return [] }
            defer { state.waiting.removeAll() }
            return state.waiting
        }
        for retry in ready { retry() }
    }
}
