//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import RuntimeEnvironment
internal import Synchronization

/// Virtual time: it stands still until it is moved.
public final class SimulatedClock: Clock {
    private struct Sleeper: Sendable {
        enum Wake: Sendable {
            case task(CheckedContinuation<Void, any Error>)
            case call(@Sendable () -> Void)
        }
        var deadline: MonotonicInstant
        var wake: Wake

        func wakes() {
            switch wake {
            case .task(let continuation): continuation.resume()
            case .call(let body): body()
            }
        }
    }
    private struct State {
        var now = MonotonicInstant(nanoseconds: 1_000_000_000)
        /// Wall clock less monotonic clock, milliseconds.
        var wallShift: Int64
        var sleepers: [UInt64: Sleeper] = [:]
        var nextID: UInt64 = 0

        /// Takes out those whose time has come, in order of their deadlines; registration breaks ties.
        mutating func takeDue() -> [Sleeper] {
            let due = sleepers.filter { $0.value.deadline <= now }.sorted {
                ($0.value.deadline, $0.key) < ($1.value.deadline, $1.key)
            }
            for (id, _) in due { sleepers[id] = nil }
            return due.map(\.value)
        }
    }

    private let state: Mutex<State>

    /// - Parameter wallMilliseconds: What the wall clock shows at first: 2026-01-01.
    public init(wallMilliseconds: Int64 = 1_767_225_600_000) {
        state = Mutex(State(wallShift: wallMilliseconds - 1_000))
    }

    public func now() -> MonotonicInstant { state.withLock { $0.now } }

    public func wallMilliseconds() -> Int64 { state.withLock { $0.now.nanoseconds / 1_000_000 + $0.wallShift } }

    /// Tasks that sleep now.
    public var sleeperCount: Int { state.withLock { $0.sleepers.count } }

    public func sleep(until deadline: MonotonicInstant) async throws {
        let id = state.withLock { state -> UInt64 in
            state.nextID += 1
            return state.nextID
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                enum Answer { case sleeps, isDue, isCancelled }
                let answer = state.withLock { state -> Answer in
                    // Looked at under the lock that the handler takes, so a cancellation is seen here or there.
                    if Task.isCancelled { return .isCancelled }
                    guard deadline > state.now else { return .isDue }
                    state.sleepers[id] = Sleeper(deadline: deadline, wake: .task(continuation))
                    return .sleeps
                }
                switch answer {
                case .sleeps: break
                case .isDue: continuation.resume()
                case .isCancelled: continuation.resume(throwing: CancellationError())
                }
            }
        } onCancel: {
            let sleeper = state.withLock { $0.sleepers.removeValue(forKey: id) }
            if case .task(let continuation) = sleeper?.wake { continuation.resume(throwing: CancellationError()) }
        }
    }

    /// Calls `body` once it is `deadline`, on the thread that moves time.
    func call(at deadline: MonotonicInstant, _ body: @escaping @Sendable () -> Void) {
        state.withLock { state in
            state.nextID += 1
            state.sleepers[state.nextID] = Sleeper(deadline: deadline, wake: .call(body))
        }
    }

    /// Moves time on and wakes, in order, who was to wake by then.
    public func advance(by duration: Duration) {
        let due = state.withLock { state -> [Sleeper] in
            state.now = state.now + duration
            return state.takeDue()
        }
        for sleeper in due { sleeper.wakes() }
    }

    /// Moves time to the earliest deadline and wakes who waits for it; false if nobody sleeps.
    @discardableResult
    public func advanceToNextDeadline() -> Bool {
        let due = state.withLock { state -> [Sleeper] in
            guard let next = state.sleepers.values.map(\.deadline).min() else { return [] }
            state.now = max(state.now, next)
            return state.takeDue()
        }
        for sleeper in due { sleeper.wakes() }
        return !due.isEmpty
    }

    /// Sets the wall clock, in either direction, as an administrator or NTP does. The monotonic clock does not notice.
    public func stepWallClock(by milliseconds: Int64) { state.withLock { $0.wallShift += milliseconds } }

    /// Runs `body` while time goes by itself: whenever tasks have had a moment (of real time) to run, it jumps to the earliest
    /// deadline. Deadlines pass in order; how much happens between two of them is up to the machine.
    public func autoAdvancing<Value: Sendable>(
        every pause: Duration = .microseconds(200), _ body: @Sendable () async throws -> Value
    ) async throws -> Value {
        let driver = Task {
            while !Task.isCancelled {
                try? await Task.sleep(for: pause)
                advanceToNextDeadline()
            }
        }
        defer { driver.cancel() }
        return try await body()
    }
}
