//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Dispatch
internal import Synchronization

/// Runs a task on the thread that asks for it, which waits meanwhile: so all of its allocations are that thread's.
final class CallingThreadExecutor: TaskExecutor {
    private let jobs = Mutex<[UnownedJob]>([])
    private let pending = DispatchSemaphore(value: 0)

    func enqueue(_ job: consuming ExecutorJob) {
        let unowned = UnownedJob(job)
        jobs.withLock { $0.append(unowned) }
        pending.signal()
    }

    /// Blocks until `body` has ended.
    static func run<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) throws -> Value {
        let executor = CallingThreadExecutor()
        let outcome = Outcome<Value>()
        _ = Task(executorPreference: executor) {
            do {
                outcome.set(.success(try await body()))
            } catch {
                outcome.set(.failure(error))
            }
        }
        while true {
            executor.pending.wait()
            let job = executor.jobs.withLock { $0.removeFirst() }
            job.runSynchronously(on: executor.asUnownedTaskExecutor())
            if let result = outcome.take() { return try result.get() }
        }
    }

    private final class Outcome<Value: Sendable>: Sendable {
        private let result = Mutex<Result<Value, any Error>?>(nil)
        func set(_ result: Result<Value, any Error>) { self.result.withLock { $0 = result } }
        func take() -> Result<Value, any Error>? { result.withLock { $0 } }
    }
}
