//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import RuntimeEnvironment
import Synchronization

/// Time that passes when a test says so.
final class ManualClock: Clock {
    private struct State {
        var now: Int64 = 1_000_000_000_000
        var lastSleeper = 0
        var sleepers: [Int: (deadline: Int64, continuation: CheckedContinuation<Void, any Error>)] = [:]
        var cancelled: Set<Int> = []
    }
    private let state = Mutex(State())

    func now() -> MonotonicInstant { MonotonicInstant(nanoseconds: state.withLock(\.now)) }
    func wallMilliseconds() -> Int64 { state.withLock(\.now) / 1_000_000 }

    func sleep(until deadline: MonotonicInstant) async throws {
        let number = state.withLock { state in
            state.lastSleeper += 1
            return state.lastSleeper
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let outcome: Result<Void, any Error>? = state.withLock { state in
                    if state.cancelled.remove(number) != nil { return .failure(CancellationError()) }
                    if state.now >= deadline.nanoseconds { return .success(()) }
                    state.sleepers[number] = (deadline.nanoseconds, continuation)
                    return nil
                }
                if let outcome { continuation.resume(with: outcome) }
            }
        } onCancel: {
            let sleeper = state.withLock { state in
                let sleeper = state.sleepers.removeValue(forKey: number)
                if sleeper == nil { state.cancelled.insert(number) }
                return sleeper
            }
            sleeper?.continuation.resume(throwing: CancellationError())
        }
    }

    /// Whether somebody sleeps until `delay` from now.
    func hasSleeper(in delay: Duration) -> Bool {
        state.withLock { state in state.sleepers.values.contains { $0.deadline == state.now + delay.inNanoseconds } }
    }

    func advance(by duration: Duration) {
        let woken = state.withLock { state in
            state.now += duration.inNanoseconds
            let due = state.sleepers.filter { $0.value.deadline <= state.now }
            for number in due.keys { state.sleepers[number] = nil }
            return due.values.sorted { $0.deadline < $1.deadline }
        }
        for sleeper in woken { sleeper.continuation.resume() }
    }
}
