//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogEngine
internal import LogModel
internal import RuntimeEnvironment
internal import Synchronization

/// Fetches from one leader for all partitions that follow it.
///
/// Two lanes, each one Fetch at a time over all its partitions: the steady lane for replicas that are in sync, whose fetches carry acks=all,
/// and the catch-up lane for the others, so that a copy of gigabytes does not stand in the way of an acknowledgement. A replica that has joined
/// the in-sync set changes lanes when the steady lane next begins a round; what the other lane still brings for it is dropped.
final class LeaderFetcher: Sendable {
    enum Lane: Int, CaseIterable {
        case steady = 0
        case catchUp = 1
    }

    struct Entry {
        var partition: ReplicatedPartition
        var lane: Lane
        /// Fetched in this order; who got data goes to the end.
        var turn: UInt64
        var pausedUntil: MonotonicInstant?
    }

    struct State {
        var entries: [PartitionID: Entry] = [:]
        var isFetching = [false, false]
        var nextTurn: UInt64 = 0
        var sleepers: [CheckedContinuation<Void, Never>?] = [nil, nil]
        var tasks: [Task<Void, Never>] = []
        var isStopped = false
    }

    let leader: BrokerID
    let context: EngineContext
    let state = Mutex(State())

    init(leader: BrokerID, context: EngineContext) {
        self.leader = leader
        self.context = context
    }

    func add(_ partition: ReplicatedPartition) {
        let isInSync = partition.isInSync
        let sleepers = state.withLock { state -> [CheckedContinuation<Void, Never>] in
            guard !state.isStopped else { return [] }
            // A steady fetch under way may wait long for others' data; the catch-up lane looks after the newcomer till then.
            let lane: Lane = isInSync && !state.isFetching[Lane.steady.rawValue] ? .steady : .catchUp
            state.nextTurn += 1
            state.entries[partition.partition] = Entry(partition: partition, lane: lane, turn: state.nextTurn)
            if state.tasks.isEmpty {
                state.tasks = Lane.allCases.map { lane in
                    Task(executorPreference: context.fetcher.executor(ofLane: lane.rawValue, to: leader)) { await self.run(lane) }
                }
            }
            return state.wake()
        }
        for sleeper in sleepers { sleeper.resume() }
    }

    /// - Returns: True if nothing is left to fetch.
    func remove(_ partition: PartitionID) -> Bool {
        state.withLock { state in
            state.entries[partition] = nil
            return state.entries.isEmpty
        }
    }

    /// Ends both lanes and waits for them.
    func stop() async {
        let (tasks, sleepers) = state.withLock { state in
            state.isStopped = true
            state.entries = [:]
            return (state.tasks, state.wake())
        }
        for task in tasks { task.cancel() }
        for sleeper in sleepers { sleeper.resume() }
        for task in tasks { await task.value }
    }

    private func run(_ lane: Lane) async {
        while !Task.isCancelled, !state.withLock({ $0.isStopped }) {
            let (partitions, resumeAt) = claim(lane)
            if partitions.isEmpty {
                if let resumeAt { try? await context.environment.clock.sleep(until: resumeAt) } else { await sleep(lane) }
                continue
            }
            var requests: [(ReplicatedPartition, ReplicaFetchRequest)] = []
            requests.reserveCapacity(partitions.count)
            let now = context.environment.clock.now()
            for partition in partitions {
                let wait = lane == .catchUp ? partition.fetchWait(at: now) : .zero
                if wait > .zero {
                    pause(partition, for: min(wait, Self.throttlePauseMax))
                } else if let request = partition.nextFetch(from: leader) {
                    requests.append((partition, request))
                } else {
                    state.withLock { $0.entries[partition.partition] = nil }
                }
            }
            if !requests.isEmpty { await round(lane, requests) }
            state.withLock { $0.isFetching[lane.rawValue] = false }
        }
    }

    /// The partitions of the lane's next round.
    private func claim(_ lane: Lane) -> (partitions: [ReplicatedPartition], resumeAt: MonotonicInstant?) {
        let now = context.environment.clock.now()
        let partitions = state.withLock { $0.entries.values.map(\.partition) }
        let members = Set(partitions.lazy.filter(\.isInSync).map(\.partition))
        let (due, resumeAt, sleeper) = state.withLock { state in
            let other = state.changeLanes(members: members, from: lane)
            var due: [Entry] = []
            var resumeAt: MonotonicInstant?
            for entry in state.entries.values where entry.lane == lane {
                if let until = entry.pausedUntil, until > now {
                    resumeAt = min(resumeAt ?? until, until)
                } else {
                    due.append(entry)
                }
            }
            if !due.isEmpty { state.isFetching[lane.rawValue] = true }
            return (due, resumeAt, other)
        }
        sleeper?.resume()
        return (due.sorted { $0.turn < $1.turn }.map(\.partition), resumeAt)
    }

    private func sleep(_ lane: Lane) async {
        await withCheckedContinuation { continuation in
            let mustSleep = state.withLock { state in
                guard !state.isStopped, !state.entries.values.contains(where: { $0.lane == lane && $0.pausedUntil == nil }) else {
                    return false
                }
                state.sleepers[lane.rawValue] = continuation
                return true
            }
            if !mustSleep { continuation.resume() }
        }
    }

    func isMine(_ partition: ReplicatedPartition, _ lane: Lane) -> Bool {
        state.withLock { $0.entries[partition.partition]?.lane == lane }
    }

    func pause(_ partition: ReplicatedPartition, for duration: Duration? = nil) {
        let until = context.environment.clock.now() + (duration ?? min(context.settings.replicaFetchBackoff, Self.pauseMax))
        state.withLock { $0.entries[partition.partition]?.pausedUntil = until }
    }

    /// A throttle may be lifted, and the lane sleeps for as long as all it has is held back.
    private static var throttlePauseMax: Duration { .milliseconds(100) }

    /// A leader that has not heard of its leadership yet will have soon.
    private static var pauseMax: Duration { .milliseconds(25) }
}

extension LeaderFetcher.State {
    /// Called as `lane` begins a round. The steady lane takes what is in sync and gives up what no longer is; the catch-up lane gives what is in
    /// sync to a steady lane that is idle. What a lane under way holds stays its own until its round ends.
    ///
    /// - Returns: The other lane, if it slept and has been given something; to be resumed without the lock.
    fileprivate mutating func changeLanes(
        members: Set<PartitionID>, from lane: LeaderFetcher.Lane
    ) -> CheckedContinuation<Void, Never>? {
        var hasGiven = false
        for (id, entry) in entries {
            let isMember = members.contains(id)
            switch (lane, entry.lane) {
            case (.steady, .catchUp) where isMember: entries[id]?.lane = .steady
            case (.steady, .steady) where !isMember:
                entries[id]?.lane = .catchUp
                hasGiven = true
            case (.catchUp, .catchUp) where isMember && !isFetching[LeaderFetcher.Lane.steady.rawValue]:
                entries[id]?.lane = .steady
                hasGiven = true
            default: break
            }
        }
        guard hasGiven else { return nil }
        let other = lane == .steady ? LeaderFetcher.Lane.catchUp.rawValue : LeaderFetcher.Lane.steady.rawValue
        defer { sleepers[other] = nil }
        return sleepers[other]
    }

    func holds(_ lane: LeaderFetcher.Lane, exactly count: Int) -> Bool {
        !isStopped && entries.values.count { $0.lane == lane } == count
    }

    /// Takes the sleeping lanes out, to be resumed without the lock.
    fileprivate mutating func wake() -> [CheckedContinuation<Void, Never>] {
        let awake = sleepers.compactMap { $0 }
        sleepers = [nil, nil]
        return awake
    }
}
