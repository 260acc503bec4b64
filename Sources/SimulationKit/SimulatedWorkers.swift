//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import RuntimeEnvironment
internal import Synchronization

/// Workers whose jobs run one at a time, in an order that a seed decides: each worker's own in their order, those of different
/// workers in any.
public final class SimulatedWorkers: WorkerPool {
    public enum Mode: Sendable {
        /// In `submit` itself, on the caller's thread. For code that holds no lock when it submits.
        case inline
        /// When the test calls ``runOne()`` or ``runAll()``.
        case manual
        /// On one real thread, as they come.
        case thread
    }

    typealias Job = @Sendable () -> Void

    private struct State {
        var queues: [[Job]] = []
        var names: [String] = []
        /// One thread runs jobs at a time; what is submitted meanwhile waits for it.
        var isRunning = false
    }

    private let mode: Mode
    private let randomness: SeededRandomSource
    private let thread: ThreadWorker?
    private let state = Mutex(State())

    public init(seed: UInt64, mode: Mode = .thread) {
        self.mode = mode
        randomness = SeededRandomSource(seed: seed).fork("workers")
        thread = mode == .thread ? ThreadWorker(named: "simulation") : nil
    }

    public func makeWorker(named name: String) -> any Worker {
        state.withLock { state in
            state.queues.append([])
            state.names.append(name)
            return SimulatedWorker(pool: self, index: state.queues.count - 1)
        }
    }

    /// Jobs not yet run.
    public var pendingCount: Int { state.withLock { $0.queues.reduce(0) { $0 + $1.count } } }

    /// Runs one job of a worker chosen by the seed; false if none waits, or another thread is running jobs.
    @discardableResult
    public func runOne() -> Bool {
        guard let job = begin() else { return false }
        job()
        state.withLock { $0.isRunning = false }
        return true
    }

    /// Runs jobs, those that they submit included, until none waits.
    public func runAll() { while runOne() {} }

    fileprivate func submit(_ job: @escaping Job, to index: Int) {
        state.withLock { $0.queues[index].append(job) }
        switch mode {
        case .inline: runAll()
        case .manual: break
        case .thread: thread?.submit { [weak self] in _ = self?.runOne() }
        }
    }

    private func begin() -> Job? {
        state.withLock { state in
            guard !state.isRunning else { return nil }
            let ready = state.queues.indices.filter { !state.queues[$0].isEmpty }
            guard !ready.isEmpty else { return nil }
            state.isRunning = true
            return state.queues[ready[Int(randomness.next(below: UInt64(ready.count)))]].removeFirst()
        }
    }
}

private struct SimulatedWorker: Worker {
    let pool: SimulatedWorkers
    let index: Int
    func submit(_ job: @escaping @Sendable () -> Void) { pool.submit(job, to: index) }
}
