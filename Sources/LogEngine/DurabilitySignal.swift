//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Synchronization

/// Completes once, with success or a ``LogError``. May be waited for by one task and told from any thread.
public final class DurabilitySignal: Sendable {
    private enum State {
        case pending
        /// Becomes `done` when told.
        case waiting(@Sendable (LogError?) -> Void)
        case done(LogError?)
    }

    private let state: Mutex<State>

    public init() { state = Mutex(.pending) }

    private init(done: LogError?) { state = Mutex(.done(done)) }

    /// Done from the start.
    public static let completed = DurabilitySignal(done: nil)

    /// The first call counts; later ones change nothing.
    public func complete(_ failure: LogError? = nil) {
        let callback: (@Sendable (LogError?) -> Void)? = state.withLock { state in
            switch state {
            case .pending:
                state = .done(failure)
                return nil
            case .waiting(let callback):
                state = .done(failure)
                return callback
            case .done:
                return nil
            }
        }
        callback?(failure)
    }

    /// nil while pending.
    public var outcome: Result<Void, LogError>? {
        state.withLock { state in
            guard case .done(let failure) = state else { return nil }
            return failure.map { .failure($0) } ?? .success(())
        }
    }

    /// Calls `callback` once done, at once if it is. One callback at most over the signal's life.
    public func whenComplete(_ callback: @escaping @Sendable (LogError?) -> Void) {
        let done: LogError?? = state.withLock { state in
            switch state {
            case .pending:
                state = .waiting(callback)
                return nil
            case .waiting:
                preconditionFailure("a durability signal has one waiter")
            case .done(let failure):
                return .some(failure)
            }
        }
        if let done { callback(done) }
    }

    /// Returns when done. Not to be mixed with ``whenComplete(_:)``.
    public func wait() async throws(LogError) {
        if let outcome { return try outcome.get() }
        let failure: LogError? = await withUnsafeContinuation { continuation in
            whenComplete { continuation.resume(returning: $0) }
        }
        if let failure { throw failure }
    }
}
