//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import CTaskHook
internal import Dispatch
internal import Glibc
public import RuntimeEnvironment
internal import Synchronization

/// Runs a whole world of Swift tasks, one at a time, in an order that a seed decides, so that a run is a pure function of its seed.
///
/// Whatever becomes ready — a new task, a continuation resumed, a worker's job — joins one pool, of which the seed picks the next.
/// When the pool is dry, time jumps to the clock's next deadline. Tasks must prefer no executor, sleep on the loop's clock only, and
/// block in ``block(for:)`` only, or for a lock of Swift's that a job holds which blocks there.
///
/// A job that blocks keeps its thread, and another thread goes on with the others; which of them runs, the loop decides: never two.
/// What is said elsewhere of "the loop's thread" means the one whose turn it is.
///
/// Dictionaries and sets iterate in an order that differs from process to process and from instance to instance; two runs are alike
/// only where `SWIFT_DETERMINISTIC_HASHING` is set (``isReproducible``).
public final class TaskLoop: @unchecked Sendable {  // Only the loop's thread touches what varies; see `run`.
    public struct Stuck: Error, CustomStringConvertible {
        public var description: String
    }

    private enum Ready {
        case job(UnsafeMutableRawPointer)
        case worker(LoopWorker)
        case blocked(LoopThread)
    }

    public let clock: SimulatedClock
    private let randomness: SeededRandomSource
    private let stepsMax: Int
    private var ready: [Ready] = []
    /// In the order in which they began to.
    private var blocked: [LoopThread] = []
    /// Threads whose job blocks for a lock, and the lock's word.
    private var lockWaiters: [(thread: LoopThread, word: UnsafePointer<UInt32>)] = []
    private var idle: [LoopThread] = []
    private var isOver: () -> Bool = { false }
    private enum Stage { case running, ending, ended }
    private var stage = Stage.running
    private let ended = DispatchSemaphore(value: 0)
    /// Called before each step.
    public var onStep: (@Sendable (_ step: Int) -> Void)?
    private var failure: (any Error)?
    /// Why the run ended before its body; nil where it did not.
    private var cause: (any Error)?
    /// Steps taken.
    public private(set) var steps = 0
    /// Of every choice made and every event noted (FNV-1a): equal for equal runs.
    public private(set) var digest: UInt64 = 0xCBF2_9CE4_8422_2325

    private init(seed: UInt64, clock: SimulatedClock, stepsMax: Int) {
        self.clock = clock
        self.stepsMax = stepsMax
        randomness = SeededRandomSource(seed: seed).fork("order")
    }

    /// Whether this process gives dictionaries the same order each time.
    public static var isReproducible: Bool { getenv("SWIFT_DETERMINISTIC_HASHING") != nil }

    /// Runs `body` and all tasks that it starts until `body` has ended, while the calling thread waits. Tasks that remain are never run again,
    /// nor freed.
    ///
    /// - Parameter stepsMax: A run that takes more is taken for one that goes in circles.
    /// - Throws: What `body` throws; ``Stuck`` if nobody is ready or sleeps although `body` has not ended.
    public static func run<Value: Sendable>(
        seed: UInt64, clock: SimulatedClock, stepsMax: Int = 5_000_000,
        _ body: @escaping @Sendable (TaskLoop) async throws -> Value
    ) throws -> Value {
        let loop = TaskLoop(seed: seed, clock: clock, stepsMax: stepsMax)
        let end = Outcome<Value>()
        loop.isOver = { end.value != nil }
        LoopThread(loop) {
            Task {
                do { end.set(.success(try await body(loop))) } catch { end.set(.failure(error)) }
            }
        }.giveTurn()
        loop.ended.wait()
        if let cause = loop.cause { throw cause }
        return try end.value!.get()
    }

    /// Ends the run with `failure`, unless one came before, whatever tasks still wait for.
    public func abort(_ failure: any Error) { self.failure = self.failure ?? failure }

    /// Takes an event into the digest.
    public func note(_ event: String) { for byte in event.utf8 { mix(UInt64(byte)) } }

    private func mix(_ value: UInt64) { digest = (digest ^ value) &* 0x100_0000_01B3 }

    // MARK: Order

    /// Takes one step on `thread`, or ends the run; the turn may be another thread's for some time meanwhile.
    fileprivate func step(on thread: LoopThread) {
        guard stage == .running else { return end(on: thread) }
        if isOver() || failure != nil {
            cause = isOver() ? nil : failure
            stage = .ending
            return
        }
        wakeLockWaiters()
        while ready.isEmpty {
            guard clock.advanceToNextDeadline() else {
                return abort(Stuck(description: "every task waits for another one after \(steps) steps"))
            }
            wakeLockWaiters()
        }
        let count = ready.count
        let choice = count == 1 ? 0 : Int(randomness.next(below: UInt64(count)))
        steps += 1
        guard steps < stepsMax else { return abort(Stuck(description: "no end after \(stepsMax) steps")) }
        mix(UInt64(count) << 32 | UInt64(choice))
        mix(UInt64(bitPattern: clock.now().nanoseconds))
        onStep?(steps)
        ready.swapAt(choice, count - 1)
        switch ready.removeLast() {
        case .job(let job): ninefold_run_job(job)
        case .worker(let worker):
            worker.runFirst()
            if worker.hasMore { ready.append(.worker(worker)) }
        case .blocked(let next):
            idle.append(thread)
            goOn(next)
            thread.waitForTurn()
        }
    }

    fileprivate func take(_ job: UnsafeMutableRawPointer) { ready.append(.job(job)) }

    private func goOn(_ thread: LoopThread) {
        blocked.removeAll { $0 === thread }
        thread.giveTurn()
    }

    // MARK: Jobs that block

    /// Jobs that block now.
    public var blockedCount: Int { blocked.count }

    /// Blocks the calling job and its thread, as a system call does that takes `duration`; others go on meanwhile.
    public func block(for duration: Duration) {
        block { wake in clock.call(at: clock.now() + duration, wake) }
    }

    /// Blocks the calling job and its thread until what `register` is given was called.
    public func block(until register: (_ wake: @escaping @Sendable () -> Void) -> Void) {
        guard stage == .running else { return }
        let thread = LoopThread.current(of: self)
        blocked.append(thread)
        register { [weak self] in
            guard let self, stage == .running else { return }
            ready.append(.blocked(thread))
        }
        passTurn(of: thread)
    }

    fileprivate func waitForLock(_ word: UnsafePointer<UInt32>) {
        guard ninefold_lock_owner(word) != 0 else { return }
        let thread = LoopThread.current(of: self)
        blocked.append(thread)
        lockWaiters.append((thread, word))
        passTurn(of: thread)
    }

    private func passTurn(of thread: LoopThread) {
        let next = idle.popLast() ?? LoopThread(self)
        next.giveTurn()
        thread.waitForTurn()
    }

    private func wakeLockWaiters() {
        guard !lockWaiters.isEmpty else { return }
        for (thread, word) in lockWaiters where ninefold_lock_owner(word) == 0 { ready.append(.blocked(thread)) }
        lockWaiters.removeAll { ninefold_lock_owner($0.word) == 0 }
    }

    /// Lets the jobs that still block come back, so that their threads may end; nothing else runs any more.
    private func end(on thread: LoopThread) {
        let next = blocked.first { blocked in
            lockWaiters.allSatisfy { $0.thread !== blocked || ninefold_lock_owner($0.word) == 0 }
        }
        if let next {
            lockWaiters.removeAll { $0.thread === next }
            idle.append(thread)
            goOn(next)
            return thread.waitForTurn()
        }
        stage = .ended
        ended.signal()
        for thread in idle { thread.giveTurn() }
        idle = []
    }

    fileprivate var hasEnded: Bool { stage == .ended }

    // MARK: Workers

    /// Workers whose jobs the loop runs, each worker's in their order.
    public var workers: any WorkerPool { LoopWorkers(loop: self) }

    private struct LoopWorkers: WorkerPool {
        let loop: TaskLoop
        func makeWorker(named name: String) -> any Worker { LoopWorker(loop) }
    }

    private final class LoopWorker: Worker, @unchecked Sendable {  // Touched on the loop's thread only.
        unowned let loop: TaskLoop
        private var jobs: [@Sendable () -> Void] = []

        init(_ loop: TaskLoop) { self.loop = loop }

        var hasMore: Bool { !jobs.isEmpty }

        func submit(_ job: @escaping @Sendable () -> Void) {
            jobs.append(job)
            if jobs.count == 1 { loop.ready.append(.worker(self)) }
        }

        func runFirst() {
            // It stays in its place while it runs, so that what it submits does not announce the worker a second time.
            jobs[0]()
            jobs.removeFirst()
        }
    }
}

/// A thread on which jobs of a loop run while it has the turn.
private final class LoopThread: @unchecked Sendable {  // Handed from thread to thread with the turn.
    private let loop: TaskLoop
    private let turn = DispatchSemaphore(value: 0)
    private var begin: (() -> Void)?
    private var isStarted = false

    /// - Parameter begin: What the thread does first.
    init(_ loop: TaskLoop, begin: (() -> Void)? = nil) {
        self.loop = loop
        self.begin = begin
    }

    private func run() {
        // The C side keeps no reference: this frame does.
        ninefold_take_jobs(
            { context, job in Unmanaged<LoopThread>.fromOpaque(context!).takeUnretainedValue().loop.take(job!) },
            Unmanaged.passUnretained(self).toOpaque())
        ninefold_wait_for_locks { context, word in
            Unmanaged<LoopThread>.fromOpaque(context!).takeUnretainedValue().loop.waitForLock(word!)
        }
        begin?()
        begin = nil
        drive()
        ninefold_wait_for_locks(nil)
        ninefold_take_jobs(nil, nil)
    }

    private func drive() { while !loop.hasEnded { loop.step(on: self) } }

    func giveTurn() {
        if isStarted {
            turn.signal()
            return
        }
        isStarted = true
        let isRunning = ninefold_start_job_thread(
            { context in Unmanaged<LoopThread>.fromOpaque(context!).takeRetainedValue().run() },
            Unmanaged.passRetained(self).toOpaque(), Self.stackBytes)
        precondition(isRunning, "no thread for a job that blocks")
    }

    func waitForTurn() { turn.wait() }

    /// Deep calls of unoptimised tasks fit.
    private static let stackBytes = 16 << 20

    static func current(of loop: TaskLoop) -> LoopThread {
        guard let context = ninefold_jobs_context() else { preconditionFailure("only a job of a loop may block in it") }
        let thread = Unmanaged<LoopThread>.fromOpaque(context).takeUnretainedValue()
        precondition(thread.loop === loop, "a job of one loop may not block in another")
        return thread
    }
}

/// Set once, on the thread of the loop.
private final class Outcome<Value: Sendable>: Sendable {
    private let result = Mutex<Result<Value, any Error>?>(nil)
    var value: Result<Value, any Error>? { result.withLock { $0 } }
    func set(_ value: Result<Value, any Error>) { result.withLock { $0 = value } }
}
