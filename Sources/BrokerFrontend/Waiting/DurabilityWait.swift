//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogEngine
internal import Synchronization

/// Waits for several appends at once, for a time.
final class DurabilityWait: Sendable {
    private struct State {
        var outcomes: [LogError??]
        var open: Int
        var isOver = false
        var continuation: CheckedContinuation<Void, Never>?
    }

    private let state: Mutex<State>

    /// - Parameter whenDurable: Called for each signal that succeeds, even after the waiting is over, with its place.
    init(_ signals: [DurabilitySignal], whenDurable: @escaping @Sendable (Int) -> Void) {
        state = Mutex(State(outcomes: Array(repeating: nil, count: signals.count), open: signals.count))
        for (place, signal) in signals.enumerated() {
            signal.whenComplete { [self] failure in
                if failure == nil { whenDurable(place) }
                told(place, failure)
            }
        }
    }

    private func told(_ place: Int, _ failure: LogError?) {
        let continuation: CheckedContinuation<Void, Never>? = state.withLock { state in
            state.outcomes[place] = .some(failure)
            state.open -= 1
            return state.open == 0 ? state.continuation.take() : nil
        }
        continuation?.resume()
    }

    var isDone: Bool { state.withLock { $0.open == 0 } }

    /// Ends the waiting.
    func end() {
        let continuation = state.withLock { state in
            state.isOver = true
            return state.continuation.take()
        }
        continuation?.resume()
    }

    func wait() async {
        await withCheckedContinuation { continuation in
            let isReady = state.withLock { state in
                if state.open == 0 || state.isOver { return true }
                state.continuation = continuation
                return false
            }
            if isReady { continuation.resume() }
        }
    }

    /// By place: nil while it is open, else whether it failed.
    var outcomes: [LogError??] { state.withLock(\.outcomes) }
}
