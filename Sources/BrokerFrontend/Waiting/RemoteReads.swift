//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogEngine
internal import LogModel
internal import Synchronization

typealias ReadOutcome = Result<ReadResult, LogError>

/// Reads that go to an object store, each on a task of its own: a fetch waits for them only so long. A read that nobody waits for any more
/// goes on, so that the next fetch finds what it brings in the engine's cache; and a fetch that asks the same joins it.
final class RemoteReads: Sendable {
    struct Request: Hashable {
        var partition: PartitionID
        var offset: Offset
        var maxBytes: Int
        var minOneBatch: Bool
        var bound: ReadBound
        var currentLeaderEpoch: LeaderEpoch?
    }

    private let waiting = Mutex<[Request: [@Sendable (ReadOutcome) -> Void]]>([:])
    private let pendingMax: Int

    init(pendingMax: Int) { self.pendingMax = pendingMax }

    /// - Returns: False if too many reads are under way: nothing will be heard of this one.
    func read(_ log: any PartitionLog, _ request: Request, _ listener: @escaping @Sendable (ReadOutcome) -> Void) -> Bool {
        let begins = waiting.withLock { waiting -> Bool? in
            if waiting[request] != nil {
                waiting[request]?.append(listener)
                return false
            }
            guard waiting.count < pendingMax else { return nil }
            waiting[request] = [listener]
            return true
        }
        guard let begins else { return false }
        if begins {
            Task {
                let outcome: ReadOutcome
                do throws(LogError) {
                    outcome = .success(
                        try await log.read(
                            from: request.offset, maxBytes: request.maxBytes, minOneBatch: request.minOneBatch,
                            bound: request.bound,
                            reader: .consumer, currentLeaderEpoch: request.currentLeaderEpoch))
                } catch { outcome = .failure(error) }
                for listener in waiting.withLock({ $0.removeValue(forKey: request) ?? [] }) { listener(outcome) }
            }
        }
        return true
    }
}

/// What several reads bring until time is up.
final class RemoteWait: Sendable {
    private struct State {
        var outcomes: [ReadOutcome?]
        var missing: Int
        var isOver = false
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state: Mutex<State>

    init(count: Int) { state = Mutex(State(outcomes: Array(repeating: nil, count: count), missing: count)) }

    func note(_ index: Int, _ outcome: ReadOutcome?) {
        let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
            guard !state.isOver else { return nil }
            state.outcomes[index] = outcome
            state.missing -= 1
            return state.missing == 0 ? Self.end(&state) : nil
        }
        waiter?.resume()
    }

    func end() { state.withLock { Self.end(&$0) }?.resume() }

    private static func end(_ state: inout State) -> CheckedContinuation<Void, Never>? {
        state.isOver = true
        defer { state.waiter = nil }
        return state.waiter
    }

    /// nil for what has not come in time.
    func outcomes() async -> [ReadOutcome?] {
        await withCheckedContinuation { continuation in
            let isOver = state.withLock { state in
                if !state.isOver { state.waiter = continuation }
                return state.isOver
            }
            if isOver { continuation.resume() }
        }
        return state.withLock { $0.outcomes }
    }
}
