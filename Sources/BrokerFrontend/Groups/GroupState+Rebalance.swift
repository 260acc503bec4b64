//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import KafkaProtocol
internal import NIOCore
internal import RuntimeEnvironment

extension GroupState {
    /// Begins a rebalance unless one is being prepared; ends the preparation if nobody is missing.
    mutating func rebalance(at now: Moment) -> [Action] {
        var actions: [Action] = []
        switch phase {
        case .dead: return []
        case .preparingRebalance: break
        case .completingRebalance:
            for id in members.keys.sorted() {
                if let sync = members[id]?.sync {
                    actions.append(.answerSync(sync, SyncGroupAnswer(error: .rebalanceInProgress)))
                    members[id]?.sync = nil
                    touch(id, at: now)
                }
                members[id]?.assignment = ByteBuffer()
            }
            prepare(at: now)
        case .stable: prepare(at: now)
        case .empty:
            let total = rebalanceTimeout
            let first = limits.initialRebalanceDelay
            enter(.preparingRebalance, at: now)
            if first > .zero {
                initialDelayLeft = max(total - first, .zero)
                newMemberAdded = false
                joinDeadline = now.monotonic + first
            } else {
                joinDeadline = now.monotonic + total
            }
        }
        return actions + finishIfAllJoined(at: now)
    }

    private mutating func prepare(at now: Moment) {
        for id in members.keys { members[id]?.owesSync = false }
        syncDeadline = nil
        initialDelayLeft = nil
        joinDeadline = now.monotonic + rebalanceTimeout
        enter(.preparingRebalance, at: now)
    }

    /// The patience of the most patient member.
    private var rebalanceTimeout: Duration { members.values.map(\.rebalanceTimeout).max() ?? .zero }

    mutating func finishIfAllJoined(at now: Moment) -> [Action] {
        guard phase == .preparingRebalance, initialDelayLeft == nil, pendingMembers.isEmpty,
            members.values.allSatisfy({ $0.join != nil })
        else { return [] }
        return finishPreparation(at: now)
    }

    /// The join deadline has passed.
    mutating func joinTimedOut(at now: Moment) -> [Action] {
        if let left = initialDelayLeft, newMemberAdded, left > .zero {
            newMemberAdded = false
            let delay = min(limits.initialRebalanceDelay, left)
            initialDelayLeft = left - delay
            joinDeadline = now.monotonic + delay
            return []
        }
        return finishPreparation(at: now)
    }

    /// Those who have joined make up the next generation. A static member keeps its place without having joined.
    private mutating func finishPreparation(at now: Moment) -> [Action] {
        initialDelayLeft = nil
        for member in orderedMembers where member.join == nil && member.instanceID == nil { _ = remove(member.id) }
        if !members.isEmpty, !electJoinedLeader() {
            // Only static members, none of which has come back yet: they are waited for.
            joinDeadline = now.monotonic + rebalanceTimeout
            return []
        }
        joinDeadline = nil
        generation = generation == .max ? 1 : generation + 1
        guard !members.isEmpty else {
            protocolName = nil
            enter(.empty, at: now)
            return [.store(snapshot)]
        }
        protocolName = selectedProtocol()
        enter(.completingRebalance, at: now)
        syncDeadline = now.monotonic + rebalanceTimeout
        var actions: [Action] = []
        for member in orderedMembers {
            members[member.id]?.isNew = false
            members[member.id]?.owesSync = true
            guard let join = member.join else { continue }
            members[member.id]?.join = nil
            touch(member.id, at: now)
            actions.append(.answerJoin(join, answer(for: member.id)))
        }
        return actions
    }

    private mutating func electJoinedLeader() -> Bool {
        if let leader, members[leader]?.join != nil { return true }
        guard let joined = orderedMembers.first(where: { $0.join != nil }) else { return false }
        leader = joined.id
        return true
    }

    mutating func touch(_ id: String, at now: Moment) {
        guard let timeout = members[id]?.sessionTimeout else { return }
        members[id]?.sessionDeadline = now.monotonic + timeout
    }

    // MARK: Synchronising

    /// A member asks for its assignment; the leader brings everybody's.
    package mutating func sync(_ call: SyncGroupCall, ticket: GroupTicket, at now: Moment) -> [Action] {
        func refuse(_ error: ErrorCode) -> [Action] { [.answerSync(ticket, SyncGroupAnswer(error: error))] }
        guard phase != .dead else { return refuse(.coordinatorNotAvailable) }
        if let fault = fault(memberID: call.memberID, instanceID: call.instanceID) { return refuse(fault) }
        guard call.generation == generation else { return refuse(.illegalGeneration) }
        if let type = call.protocolType, type != protocolType { return refuse(.inconsistentGroupProtocol) }
        if let name = call.protocolName, name != protocolName { return refuse(.inconsistentGroupProtocol) }
        let id = call.memberID
        switch phase {
        case .empty, .dead: return refuse(.unknownMemberId)
        case .preparingRebalance: return refuse(.rebalanceInProgress)
        case .stable:
            touch(id, at: now)
            members[id]?.owesSync = false
            settleSyncDeadline()
            return [.answerSync(ticket, answerToSync(id))]
        case .completingRebalance:
            var actions: [Action] = []
            if let earlier = members[id]?.sync, earlier != ticket {
                actions.append(.answerSync(earlier, SyncGroupAnswer(error: .rebalanceInProgress)))
            }
            members[id]?.sync = ticket
            members[id]?.owesSync = false
            settleSyncDeadline()
            guard id == leader else { return actions }
            var snapshot = snapshot
            for index in snapshot.members.indices {
                snapshot.members[index].assignment = call.assignments[snapshot.members[index].id] ?? ByteBuffer()
                proposed[snapshot.members[index].id] = snapshot.members[index].assignment
            }
            return actions + [.store(snapshot)]
        }
    }

    private mutating func settleSyncDeadline() {
        if !members.values.contains(where: \.owesSync) { syncDeadline = nil }
    }

    private func answerToSync(_ id: String) -> SyncGroupAnswer {
        SyncGroupAnswer(
            error: .none, protocolType: protocolType, protocolName: protocolName,
            assignment: members[id]?.assignment ?? ByteBuffer())
    }

    /// The snapshot of `generation` is stored, or could not be. An older generation's changes nothing.
    package mutating func stored(generation: Int32, failure: ErrorCode?, at now: Moment) -> [Action] {
        guard phase == .completingRebalance, generation == self.generation else { return [] }
        if let failure {
            var actions: [Action] = []
            for member in orderedMembers {
                guard let sync = member.sync else { continue }
                members[member.id]?.sync = nil
                actions.append(.answerSync(sync, SyncGroupAnswer(error: failure)))
            }
            proposed = [:]
            return actions + rebalance(at: now)
        }
        enter(.stable, at: now)
        var actions: [Action] = []
        for member in orderedMembers {
            members[member.id]?.assignment = proposed[member.id] ?? ByteBuffer()
            guard let sync = member.sync else { continue }
            members[member.id]?.sync = nil
            touch(member.id, at: now)
            actions.append(.answerSync(sync, answerToSync(member.id)))
        }
        proposed = [:]
        return actions
    }
}
