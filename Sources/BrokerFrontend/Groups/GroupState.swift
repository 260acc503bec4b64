//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import KafkaProtocol
package import LogModel
internal import NIOCore
package import RuntimeEnvironment

/// One consumer group under the classic protocol, as a value: it knows no clock and does no I/O. Calls say what happened and when;
/// what they return is to be done, in order.
///
/// ```
///             join                     all joined, or time is up            leader's assignment stored
///   Empty ──────────▶ PreparingRebalance ──────────────────▶ CompletingRebalance ──────────────────▶ Stable
///     ▲                      ▲  │ nobody left                      │ join, leave, expiry                │
///     └──────────────────────┼──┘                                  │                                    │
///                            └─────────────────────────────────────┴────────────────────────────────────┘
/// ```
/// Kafka: `GroupCoordinator`, KIP-62, KIP-134 (initial delay), KIP-345 (static members), KIP-394 (known member id).
package struct GroupState: Sendable {
    /// Kafka's names, as DescribeGroups tells them.
    package enum Phase: String, Sendable, Hashable, CaseIterable {
        case empty = "Empty"
        case preparingRebalance = "PreparingRebalance"
        case completingRebalance = "CompletingRebalance"
        case stable = "Stable"
        /// Deleted, or its coordinator moved. Becomes nothing else.
        case dead = "Dead"
    }

    package struct Limits: Sendable, Hashable {
        /// How long the first rebalance of an empty group waits for more members.
        package var initialRebalanceDelay: Duration
        package var sessionTimeout: ClosedRange<Duration>
        package var sizeMax: Int

        package init(
            initialRebalanceDelay: Duration = .seconds(3),
            sessionTimeout: ClosedRange<Duration> = Duration.seconds(6)...Duration.seconds(1800),
            sizeMax: Int = Int(Int32.max)
        ) {
            self.initialRebalanceDelay = initialRebalanceDelay
            self.sessionTimeout = sessionTimeout
            self.sizeMax = sizeMax
        }
    }

    /// The same moment on both clocks.
    package struct Moment: Sendable, Hashable {
        package var monotonic: MonotonicInstant
        package var wall: Timestamp

        package init(monotonic: MonotonicInstant, wall: Timestamp) {
            self.monotonic = monotonic
            self.wall = wall
        }
    }

    package enum Action: Sendable, Hashable {
        case answerJoin(GroupTicket, JoinGroupAnswer)
        case answerSync(GroupTicket, SyncGroupAnswer)
        /// To be written to the group's log; the outcome comes back in ``stored(generation:failure:at:)``.
        case store(GroupSnapshot)
        /// To be written; the answer goes out once it is, or an error in its place.
        case storeThenAnswerJoin(GroupSnapshot, GroupTicket, JoinGroupAnswer)
    }

    /// Kafka's: how long a new member may wait for the first rebalance to end.
    static let newMemberJoinTimeout = Duration.seconds(300)

    package let id: String
    package let limits: Limits
    package internal(set) var phase = Phase.empty
    package internal(set) var phaseSince: Timestamp
    package internal(set) var generation: Int32 = 0
    /// nil until the first member joins: a group that only keeps offsets.
    package internal(set) var protocolType: String?
    package internal(set) var protocolName: String?
    package internal(set) var leader: String?
    var members: [String: GroupMember] = [:]
    /// Member id by instance id.
    var staticMembers: [String: String] = [:]
    /// Ids that were given out but not used yet, with the time they are given up.
    var pendingMembers: [String: MonotonicInstant] = [:]
    /// End of PreparingRebalance, whoever has joined by then.
    var joinDeadline: MonotonicInstant?
    /// What is left of the rebalance timeout while an empty group waits for more members; nil outside of it.
    var initialDelayLeft: Duration?
    /// Someone joined since the initial delay was last started.
    var newMemberAdded = false
    /// In CompletingRebalance and after: by then every member must have synchronised.
    var syncDeadline: MonotonicInstant?
    /// The leader's assignment while it is being stored, by member id.
    var proposed: [String: ByteBuffer] = [:]
    private var lastJoinNumber = 0

    package init(id: String, limits: Limits, at now: Moment) {
        self.id = id
        self.limits = limits
        phaseSince = now.wall
    }

    /// As read from the group's log: members get a full session to show up again.
    package init(restoring snapshot: GroupSnapshot, limits: Limits, at now: Moment) {
        self.init(id: snapshot.groupID, limits: limits, at: now)
        phase = snapshot.members.isEmpty ? .empty : .stable
        phaseSince = snapshot.phaseSince == .none ? now.wall : snapshot.phaseSince
        generation = snapshot.generation
        protocolType = snapshot.protocolType.isEmpty ? nil : snapshot.protocolType
        protocolName = snapshot.protocolName
        leader = snapshot.leader
        for stored in snapshot.members {
            insert(
                GroupMember(
                    id: stored.id, instanceID: stored.instanceID, clientID: stored.clientID, clientHost: stored.clientHost,
                    rebalanceTimeout: stored.rebalanceTimeout, sessionTimeout: stored.sessionTimeout,
                    protocolType: snapshot.protocolType,
                    protocols: [GroupProtocol(name: snapshot.protocolName ?? "", metadata: stored.subscription)],
                    assignment: stored.assignment, sessionDeadline: now.monotonic + stored.sessionTimeout))
        }
    }

    // MARK: Looking

    /// In the order of joining.
    package var orderedMembers: [GroupMember] { members.values.sorted { $0.joinNumber < $1.joinNumber } }
    package var memberCount: Int { members.count }

    /// When ``tick(at:)`` has something to do, if nothing else happens before; nil for never.
    package var nextDeadline: MonotonicInstant? {
        var next: MonotonicInstant?
        func consider(_ deadline: MonotonicInstant?) {
            guard let deadline else { return }
            next = next.map { min($0, deadline) } ?? deadline
        }
        consider(joinDeadline)
        consider(syncDeadline)
        for deadline in pendingMembers.values { consider(deadline) }
        for member in members.values { consider(member.deadline) }
        return next
    }

    /// What the group's log keeps of the group.
    package var snapshot: GroupSnapshot {
        GroupSnapshot(
            groupID: id, protocolType: protocolType ?? "", generation: generation, protocolName: protocolName, leader: leader,
            phaseSince: phaseSince,
            members: orderedMembers.map { member in
                GroupSnapshot.Member(
                    id: member.id, instanceID: member.instanceID, clientID: member.clientID, clientHost: member.clientHost,
                    rebalanceTimeout: member.rebalanceTimeout, sessionTimeout: member.sessionTimeout,
                    subscription: member.metadata(for: protocolName), assignment: member.assignment)
            })
    }

    // MARK: Members

    mutating func insert(_ member: GroupMember) {
        lastJoinNumber += 1
        var member = member
        member.joinNumber = lastJoinNumber
        if members.isEmpty { protocolType = member.protocolType }
        members[member.id] = member
        if let instanceID = member.instanceID { staticMembers[instanceID] = member.id }
        if leader == nil { leader = member.id }
    }

    /// - Returns: The member as it was, for its open requests.
    mutating func remove(_ id: String) -> GroupMember? {
        guard let member = members.removeValue(forKey: id) else { return nil }
        if let instanceID = member.instanceID, staticMembers[instanceID] == id { staticMembers[instanceID] = nil }
        if leader == id { leader = members.values.min { $0.joinNumber < $1.joinNumber }?.id }
        return member
    }

    mutating func enter(_ phase: Phase, at now: Moment) {
        self.phase = phase
        phaseSince = now.wall
    }

    /// What is wrong with a member's naming itself; nil if nothing is.
    func fault(memberID: String, instanceID: String?) -> ErrorCode? {
        if let instanceID {
            guard let known = staticMembers[instanceID] else { return .unknownMemberId }
            return known == memberID ? nil : .fencedInstanceId
        }
        return members[memberID] == nil ? .unknownMemberId : nil
    }

    /// Whether a member with these protocols can be in the group with the others.
    func supports(protocolType: String, protocols: [GroupProtocol]) -> Bool {
        guard !protocolType.isEmpty, !protocols.isEmpty else { return false }
        if members.isEmpty { return true }
        guard protocolType == self.protocolType else { return false }
        return protocols.contains { offered in members.values.allSatisfy { $0.protocols.contains { $0.name == offered.name } } }
    }

    /// The protocol that all know and most prefer.
    func selectedProtocol() -> String? {
        let ordered = orderedMembers
        guard let first = ordered.first else { return nil }
        let common = first.protocols.map(\.name).filter { name in
            ordered.allSatisfy { $0.protocols.contains { $0.name == name } }
        }
        var votes: [String: Int] = [:]
        for member in ordered {
            if let vote = member.protocols.first(where: { common.contains($0.name) }) { votes[vote.name, default: 0] += 1 }
        }
        let best = votes.values.max()
        return common.first { votes[$0] == best }
    }
}
