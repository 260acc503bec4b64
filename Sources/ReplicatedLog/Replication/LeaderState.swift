//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogEngine
package import LogModel
package import RuntimeEnvironment

/// What a leader knows of its followers, and what follows from it: the high watermark and who is in sync (KIP-16, KIP-497). No I/O, no
/// clock.
package struct LeaderState: Sendable {
    struct Follower: Sendable {
        /// nil until it has fetched from this leader.
        var logEnd: Offset?
        /// nil until it has said so to this leader.
        var logStart: Offset?
        /// When it last had all that the leader had.
        var caughtUpAt: MonotonicInstant?
        var lastFetchAt: MonotonicInstant
        /// The leader's log end at the last fetch.
        var leaderEndAtLastFetch: Offset
        var brokerEpoch: BrokerEpoch
    }

    /// A change of the in-sync set, on its way to the metadata store.
    enum Pending: Sendable, Hashable {
        /// Until it is known, the high watermark waits for the new member too.
        case expanding([BrokerID])
        /// Until it is known, the high watermark waits for the old member still.
        case shrinking([BrokerID])
    }

    package let broker: BrokerID
    package let leaderEpoch: LeaderEpoch
    /// Where this leader's epoch begins: a follower that has not got there may lack what was committed before.
    package let epochStart: Offset
    private(set) var partitionEpoch: Int64
    private(set) var replicas: [BrokerID]
    /// As committed.
    package private(set) var inSyncReplicas: [BrokerID]
    private var pending: Pending?
    /// Members by proposals whose outcome is not known.
    private var unsettled: Set<BrokerID> = []
    private var followers: [BrokerID: Follower]
    private var retryAt: MonotonicInstant?

    package init(broker: BrokerID, assignment: PartitionAssignment, epochStart: Offset, at now: MonotonicInstant) {
        self.broker = broker
        self.leaderEpoch = assignment.leaderEpoch
        self.epochStart = epochStart
        partitionEpoch = assignment.partitionEpoch
        replicas = assignment.replicas
        inSyncReplicas = assignment.inSyncReplicas
        followers = [:]
        adoptReplicas(assignment, at: now)
    }

    /// A newer record under the same leadership.
    package mutating func adopt(_ assignment: PartitionAssignment, at now: MonotonicInstant) {
        precondition(assignment.leaderEpoch == leaderEpoch, "a new leader epoch makes a new leader state")
        partitionEpoch = assignment.partitionEpoch
        replicas = assignment.replicas
        inSyncReplicas = assignment.inSyncReplicas
        pending = nil
        unsettled = []
        retryAt = nil
        adoptReplicas(assignment, at: now)
    }

    private mutating func adoptReplicas(_ assignment: PartitionAssignment, at now: MonotonicInstant) {
        followers = followers.filter { assignment.replicas.contains($0.key) }
        for replica in assignment.replicas where replica != broker && followers[replica] == nil {
            // A member starts with a full lag time in which to show itself.
            followers[replica] = Follower(
                logEnd: nil, caughtUpAt: assignment.inSyncReplicas.contains(replica) ? now : nil, lastFetchAt: now,
                leaderEndAtLastFetch: .zero, brokerEpoch: .none)
        }
    }

    /// Committed members, and those that may have become one: who must hold a record before it counts as committed.
    package var maximalInSyncReplicas: [BrokerID] {
        var members = inSyncReplicas + unsettled.filter { !inSyncReplicas.contains($0) }
        if case .expanding(let proposed) = pending { members += proposed.filter { !members.contains($0) } }
        return members
    }

    /// Where the follower's log ends; nil until it has fetched from this leader.
    package func logEnd(of follower: BrokerID) -> Offset? { followers[follower]?.logEnd }

    package func isReplica(_ broker: BrokerID) -> Bool { broker == self.broker || followers[broker] != nil }

    /// Where the logs of this leader and of its followers that are `isLive` begin at the earliest; -1 while one has not told.
    package func lowestLogStart(own: Offset, isLive: (BrokerID) -> Bool) -> Offset {
        followers.reduce(own) { lowest, entry in isLive(entry.key) ? min(lowest, entry.value.logStart ?? Offset(-1)) : lowest }
    }

    /// A follower asks from `offset`, so it holds everything below, down to its log start.
    ///
    /// - Returns: Whether its log begins later than it did.
    @discardableResult
    package mutating func followerFetched(
        _ follower: BrokerID, from offset: Offset, logStart: Offset? = nil, leaderEnd: Offset, brokerEpoch: BrokerEpoch,
        at now: MonotonicInstant
    ) -> Bool {
        guard var state = followers[follower] else { return false }
        if offset >= leaderEnd {
            state.caughtUpAt = max(now, state.caughtUpAt ?? now)
        } else if state.logEnd != nil, offset >= state.leaderEndAtLastFetch {
            state.caughtUpAt = max(state.lastFetchAt, state.caughtUpAt ?? state.lastFetchAt)
        }
        let hasRaisedLogStart = logStart.map { $0 > state.logStart ?? Offset(-1) } ?? false
        if let logStart { state.logStart = logStart }
        state.logEnd = offset
        state.lastFetchAt = now
        state.leaderEndAtLastFetch = leaderEnd
        state.brokerEpoch = brokerEpoch
        followers[follower] = state
        return hasRaisedLogStart
    }

    /// A topic with fewer replicas than `min.insync.replicas` can have no more than all of them in sync (KIP-966).
    package func effectiveMinimum(of minInSyncReplicas: Int) -> Int { min(minInSyncReplicas, replicas.count) }

    /// What every member of the maximal in-sync set holds; never below `current`. It stands still while there are fewer members than
    /// the topic's minimum, or than replicas (KIP-966).
    package func highWatermark(after current: Offset, leaderEnd: Offset, minInSyncReplicas: Int) -> Offset {
        guard inSyncReplicas.count >= effectiveMinimum(of: minInSyncReplicas) else { return current }
        var lowest = leaderEnd
        func include(_ members: some Sequence<BrokerID>) -> Bool {
            for member in members where member != broker {
                guard let end = followers[member]?.logEnd else { return false }
                lowest = min(lowest, end)
            }
            return true
        }
        guard include(inSyncReplicas), include(unsettled) else { return current }
        if case .expanding(let proposed) = pending, !include(proposed) { return current }
        return max(current, lowest)
    }

    /// The change that should be proposed now, if any.
    ///
    /// - Parameter lagTimeMax: How late a member may be; nil asks only for new members.
    package mutating func membershipChange(
        highWatermark: Offset, leaderEnd: Offset, lagTimeMax: Duration?, at now: MonotonicInstant
    ) -> (inSyncReplicas: [BrokerID], brokerEpochs: [BrokerID: BrokerEpoch], partitionEpoch: Int64)? {
        guard pending == nil, inSyncReplicas.contains(broker) else { return nil }
        if let retryAt, now < retryAt { return nil }
        guard lagTimeMax != nil || inSyncReplicas.count < replicas.count else { return nil }
        let late = inSyncReplicas.filter { member in
            guard let lagTimeMax, let follower = followers[member], follower.logEnd != leaderEnd else { return false }
            return follower.caughtUpAt.map { now - $0 > lagTimeMax } ?? true
        }
        if !late.isEmpty {
            let proposed = inSyncReplicas.filter { !late.contains($0) }
            pending = .shrinking(proposed)
            return (proposed, epochs(of: proposed), partitionEpoch)
        }
        let ready = replicas.filter { replica in
            guard !inSyncReplicas.contains(replica), let end = followers[replica]?.logEnd else { return false }
            return end >= highWatermark && end >= epochStart
        }
        guard !ready.isEmpty else { return nil }
        let proposed = replicas.filter { inSyncReplicas.contains($0) || ready.contains($0) }
        pending = .expanding(proposed)
        return (proposed, epochs(of: proposed), partitionEpoch)
    }

    /// The store refused the proposal: nothing was changed. Ask again from `time` on.
    package mutating func membershipChangeRefused(retryAt time: MonotonicInstant) {
        pending = nil
        retryAt = time
    }

    /// The store did not answer: members that were proposed may be members now, until the record tells. Ask again from `time` on.
    package mutating func membershipChangeUnknown(retryAt time: MonotonicInstant) {
        if case .expanding(let proposed) = pending { unsettled.formUnion(proposed.filter { !inSyncReplicas.contains($0) }) }
        pending = nil
        retryAt = time
    }

    private func epochs(of members: [BrokerID]) -> [BrokerID: BrokerEpoch] {
        var epochs: [BrokerID: BrokerEpoch] = [:]
        for member in members { epochs[member] = followers[member]?.brokerEpoch }
        return epochs
    }
}
