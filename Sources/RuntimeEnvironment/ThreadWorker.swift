//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import CSystemShim
internal import Glibc

/// A worker with a thread of its own, which ends when the worker is let go and its queue is empty.
///
/// The thread takes all that is queued at once and is woken only when it sleeps, so a burst of jobs costs one wake-up.
public final class ThreadWorker: Worker {
    private let queue: JobQueue

    public init(named name: String) {
        let queue = JobQueue()
        self.queue = queue
        startThread(named: name) { queue.run() }
    }

    deinit { queue.close() }

    public func submit(_ job: @escaping @Sendable () -> Void) { queue.push(job) }
}

public struct ThreadWorkerPool: WorkerPool {
    public init() {}
    public func makeWorker(named name: String) -> any Worker { ThreadWorker(named: name) }
}

/// Guarded by `mutex`, all of it.
private final class JobQueue: @unchecked Sendable {
    typealias Job = @Sendable () -> Void

    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var jobs: [Job] = []
    private var sleeps = false
    private var isClosed = false

    init() {
        mutex.initialize(to: pthread_mutex_t())
        condition.initialize(to: pthread_cond_t())
        let results = (pthread_mutex_init(mutex, nil), pthread_cond_init(condition, nil))
        precondition(results == (0, 0), "a default mutex and condition can always be made")
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    func push(_ job: @escaping Job) {
        pthread_mutex_lock(mutex)
        jobs.append(job)
        let wake = sleeps
        sleeps = false
        pthread_mutex_unlock(mutex)
        if wake { pthread_cond_signal(condition) }
    }

    func close() {
        pthread_mutex_lock(mutex)
        isClosed = true
        pthread_mutex_unlock(mutex)
        pthread_cond_signal(condition)
    }

    /// The thread's life.
    func run() {
        var batch: [Job] = []
        while true {
            pthread_mutex_lock(mutex)
            while jobs.isEmpty, !isClosed {
                sleeps = true
                pthread_cond_wait(condition, mutex)
            }
            sleeps = false
            swap(&jobs, &batch)
            pthread_mutex_unlock(mutex)
            // Nothing queued: closed, and the queue drained.
            if batch.isEmpty { return }
            for job in batch { job() }
            batch.removeAll(keepingCapacity: true)
        }
    }
}

private final class ThreadBody {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

private func startThread(named name: String, _ body: @escaping @Sendable () -> Void) {
    let retained = Unmanaged.passRetained(ThreadBody(body))
    let result = ninefold_start_thread(
        name, { Unmanaged<ThreadBody>.fromOpaque($0!).takeRetainedValue().run() }, retained.toOpaque())
    precondition(result == 0, "cannot start thread \(name): the system allows no more threads (errno \(result))")
}
