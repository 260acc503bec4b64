//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Synchronization

/// Something that one fetches and others wait for meanwhile.
final class Flight<Value: Sendable>: Sendable {
    private enum State {
        case underWay([CheckedContinuation<Value?, Never>])
        case landed(Value?)
    }

    private let state = Mutex(State.underWay([]))

    /// What was fetched; nil if that failed, for whatever reason: who waited may try by itself.
    var value: Value? {
        get async {
            await withCheckedContinuation { continuation in
                let landed = state.withLock { state -> Value?? in
                    switch state {
                    case .underWay(let waiting):
                        state = .underWay(waiting + [continuation])
                        return nil
                    case .landed(let value): return .some(value)
                    }
                }
                if let landed { continuation.resume(returning: landed) }
            }
        }
    }

    /// Once.
    func land(_ value: Value?) {
        let waiting = state.withLock { state -> [CheckedContinuation<Value?, Never>] in
            guard case .underWay(let waiting) = state else { preconditionFailure("it landed twice") }
            state = .landed(value)
            return waiting
        }
        for continuation in waiting { continuation.resume(returning: value) }
    }
}
