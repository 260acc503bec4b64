//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// Runs jobs one after another, in order, on a thread of its own: the place for blocking disk calls.
///
/// In a simulation the "thread" is the seeded scheduler's, so the same seed gives the same interleaving.
public protocol Worker: Sendable {
    /// Queues `job` behind those queued before. Never blocks.
    func submit(_ job: @escaping @Sendable () -> Void)
}

extension Worker {
    /// Runs `body` on the worker and returns what it made.
    public func run<Value: Sendable, Failure: Error>(
        _ body: @escaping @Sendable () throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        let result: Result<Value, Failure> = await withCheckedContinuation { continuation in
            submit {
                let outcome: Result<Value, Failure>
                do throws(Failure) { outcome = .success(try body()) } catch { outcome = .failure(error) }
                continuation.resume(returning: outcome)
            }
        }
        return try result.get()
    }
}

/// Makes workers.
public protocol WorkerPool: Sendable {
    /// A worker named `name` (the thread's name, at most 15 bytes are shown by Linux).
    func makeWorker(named name: String) -> any Worker
}
