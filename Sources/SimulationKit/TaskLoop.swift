//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import CTaskHook
internal import Glibc
public import RuntimeEnvironment
internal import Synchronization

/// Runs a whole world of Swift tasks on one thread, in an order that a seed decides, so that a run is a pure function of its seed.
///
/// Whatever becomes ready — a new task, a continuation resumed, a worker's job — joins one pool, of which the seed picks the next.
/// When the pool is dry, time jumps to the clock's next deadline. Tasks must prefer no executor, block nowhere and sleep on the
/// loop's clock only.
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
    }

    public let clock: SimulatedClock
    private let randomness: SeededRandomSource
    private let stepsMax: Int
    private var ready: [Ready] = []
    /// Called before each step.
    public var onStep: (@Sendable (_ step: Int) -> Void)?
    private var failure: (any Error)?
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

    /// Runs `body` and all tasks that it starts until `body` has ended, on the calling thread. Tasks that remain are never run again,
    /// nor freed.
    ///
    /// - Parameter stepsMax: A run that takes more is taken for one that goes in circles.
    /// - Throws: What `body` throws; ``Stuck`` if nobody is ready or sleeps although `body` has not ended.
    public static func run<Value: Sendable>(
        seed: UInt64, clock: SimulatedClock, stepsMax: Int = 5_000_000,
        _ body: @escaping @Sendable (TaskLoop) async throws -> Value
    ) throws -> Value {
        let loop = TaskLoop(seed: seed, clock: clock, stepsMax: stepsMax)
        // The C side keeps no reference: whoever enqueues during the run finds the loop alive, for this frame holds it.
        ninefold_take_jobs(
            { context, job in
                Unmanaged<TaskLoop>.fromOpaque(context!).takeUnretainedValue().ready.append(.job(job!))
            }, Unmanaged.passUnretained(loop).toOpaque())
        defer { ninefold_take_jobs(nil, nil) }
        let end = Outcome<Value>()
        Task {
            do { end.set(.success(try await body(loop))) } catch { end.set(.failure(error)) }
        }
        while end.value == nil {
            if let failure = loop.failure { throw failure }
            guard loop.step() else { throw Stuck(description: "every task waits for another one after \(loop.steps) steps") }
            guard loop.steps < stepsMax else { throw Stuck(description: "no end after \(stepsMax) steps") }
        }
        return try end.value!.get()
    }

    /// Ends the run with `failure`, unless one came before, whatever tasks still wait for.
    public func abort(_ failure: any Error) { self.failure = self.failure ?? failure }

    /// Takes an event into the digest.
    public func note(_ event: String) { for byte in event.utf8 { mix(UInt64(byte)) } }

    private func mix(_ value: UInt64) { digest = (digest ^ value) &* 0x100_0000_01B3 }

    private func step() -> Bool {
        while ready.isEmpty {
            guard clock.advanceToNextDeadline() else { return false }
        }
        let count = ready.count
        let choice = count == 1 ? 0 : Int(randomness.next(below: UInt64(count)))
        steps += 1
        mix(UInt64(count) << 32 | UInt64(choice))
        mix(UInt64(bitPattern: clock.now().nanoseconds))
        onStep?(steps)
        ready.swapAt(choice, count - 1)
        switch ready.removeLast() {
        case .job(let job): ninefold_run_job(job)
        case .worker(let worker):
            worker.runFirst()
            if worker.hasMore { ready.append(.worker(worker)) }
        }
        return true
    }

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

/// Set once, on the thread of the loop.
private final class Outcome<Value: Sendable>: Sendable {
    private let result = Mutex<Result<Value, any Error>?>(nil)
    var value: Result<Value, any Error>? { result.withLock { $0 } }
    func set(_ value: Result<Value, any Error>) { result.withLock { $0 = value } }
}
