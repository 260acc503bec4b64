//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import RuntimeEnvironment
internal import Synchronization

/// Workers whose jobs run in `submit` itself, so that all is the measuring thread's. For code that holds no lock when it submits.
struct InlineWorkers: WorkerPool {
    private struct InlineWorker: Worker {
        func submit(_ job: @escaping @Sendable () -> Void) { job() }
    }

    func makeWorker(named name: String) -> any Worker { InlineWorker() }
}

/// Workers whose jobs wait until they are cranked, as they wait behind a sync under way.
final class CrankedWorkers: WorkerPool {
    private let worker = CrankedWorker()

    func makeWorker(named name: String) -> any Worker { worker }

    /// Runs what waits, and what that submits.
    func crank() { worker.crank() }

    private final class CrankedWorker: Worker {
        typealias Job = @Sendable () -> Void
        private let jobs = Mutex<[Job]>([])

        func submit(_ job: @escaping Job) { jobs.withLock { $0.append(job) } }

        func crank() {
            while let job = jobs.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) { job() }
        }
    }
}
