//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import KafkaProtocol
internal import RuntimeEnvironment

extension GroupState {
    /// A member asks to join, or to join anew. The answer to `ticket` may come at once, or when the rebalance is over.
    package mutating func join(_ call: JoinGroupCall, ticket: GroupTicket, at now: Moment) -> [Action] {
        func refuse(_ error: ErrorCode) -> [Action] {
            [.answerJoin(ticket, JoinGroupAnswer(error: error, memberID: call.memberID))]
        }
        guard phase != .dead else { return refuse(.coordinatorNotAvailable) }
        guard limits.sessionTimeout.contains(call.sessionTimeout) else { return refuse(.invalidSessionTimeout) }
        guard hasRoom(for: call.memberID) else {
            pendingMembers[call.memberID] = nil
            return refuse(.groupMaxSizeReached)
        }
        guard supports(protocolType: call.protocolType, protocols: call.protocols) else {
            return refuse(.inconsistentGroupProtocol)
        }
        if call.memberID.isEmpty { return joinWithoutID(call, ticket: ticket, at: now) }
        if pendingMembers.removeValue(forKey: call.memberID) != nil {
            guard call.instanceID == nil else { return refuse(.unknownMemberId) }
            return add(call, id: call.memberID, ticket: ticket, at: now)
        }
        if let fault = fault(memberID: call.memberID, instanceID: call.instanceID) { return refuse(fault) }
        return rejoin(call, ticket: ticket, at: now)
    }

    private func hasRoom(for memberID: String) -> Bool {
        if members[memberID] != nil { return phase != .preparingRebalance || isWaitingOrFits(memberID) }
        if phase == .preparingRebalance { return members.values.count { $0.join != nil } < limits.sizeMax }
        return members.count < limits.sizeMax
    }

    private func isWaitingOrFits(_ memberID: String) -> Bool {
        members[memberID]?.join != nil || members.values.count { $0.join != nil } < limits.sizeMax
    }

    private mutating func joinWithoutID(_ call: JoinGroupCall, ticket: GroupTicket, at now: Moment) -> [Action] {
        if let instanceID = call.instanceID, let oldID = staticMembers[instanceID] {
            return replaceStatic(oldID, by: call, ticket: ticket, at: now)
        }
        guard call.requiresKnownMemberID else { return add(call, id: call.candidateID, ticket: ticket, at: now) }
        pendingMembers[call.candidateID] = now.monotonic + call.sessionTimeout
        return [.answerJoin(ticket, JoinGroupAnswer(error: .memberIdRequired, memberID: call.candidateID))]
    }

    private mutating func add(_ call: JoinGroupCall, id: String, ticket: GroupTicket, at now: Moment) -> [Action] {
        var member = GroupMember(
            id: id, instanceID: call.instanceID, clientID: call.clientID, clientHost: call.clientHost,
            rebalanceTimeout: call.rebalanceTimeout, sessionTimeout: call.sessionTimeout, protocolType: call.protocolType,
            protocols: call.protocols, sessionDeadline: now.monotonic + Self.newMemberJoinTimeout)
        member.isNew = true
        member.join = ticket
        insert(member)
        // Whoever joins while the first rebalance waits makes it wait a little longer.
        if phase == .preparingRebalance, initialDelayLeft != nil { newMemberAdded = true }
        return rebalance(at: now)
    }

    /// A known member joins again: with the rebalance that is under way, or to bring one about.
    private mutating func rejoin(_ call: JoinGroupCall, ticket: GroupTicket, at now: Moment) -> [Action] {
        guard let member = members[call.memberID] else { preconditionFailure("a member without fault is in the group") }
        switch phase {
        case .preparingRebalance:
            return update(call, ticket: ticket, at: now)
        case .completingRebalance:
            // The same again: the answer was lost on its way.
            guard member.protocols == call.protocols else { return update(call, ticket: ticket, at: now) }
            return answerAsItStands(member.id, ticket: ticket, at: now)
        case .stable:
            // A leader joins to have the work divided anew, say because a topic grew.
            guard leader != member.id, member.protocols == call.protocols else { return update(call, ticket: ticket, at: now) }
            return answerAsItStands(member.id, ticket: ticket, at: now)
        case .empty, .dead:
            return [.answerJoin(ticket, JoinGroupAnswer(error: .unknownMemberId, memberID: call.memberID))]
        }
    }

    private mutating func answerAsItStands(_ id: String, ticket: GroupTicket, at now: Moment) -> [Action] {
        touch(id, at: now)
        return [.answerJoin(ticket, answer(for: id))]
    }

    private mutating func update(_ call: JoinGroupCall, ticket: GroupTicket, at now: Moment) -> [Action] {
        let id = call.memberID
        var actions: [Action] = []
        if let earlier = members[id]?.join, earlier != ticket {
            // The member gave up on its earlier request; nobody reads this.
            actions.append(.answerJoin(earlier, JoinGroupAnswer(error: .rebalanceInProgress, memberID: id)))
        }
        members[id]?.protocols = call.protocols
        members[id]?.rebalanceTimeout = call.rebalanceTimeout
        members[id]?.sessionTimeout = call.sessionTimeout
        members[id]?.clientID = call.clientID
        members[id]?.clientHost = call.clientHost
        members[id]?.join = ticket
        return actions + rebalance(at: now)
    }

    /// A static member came back without its id: it takes its own place, under a new id, and whoever still uses the old one is fenced.
    private mutating func replaceStatic(_ oldID: String, by call: JoinGroupCall, ticket: GroupTicket, at now: Moment) -> [Action] {
        let wasLeader = leader == oldID
        let selectedBefore = protocolName
        guard var member = members.removeValue(forKey: oldID) else { preconditionFailure("a static id names a member") }
        var actions: [Action] = []
        if let join = member.join {
            actions.append(.answerJoin(join, JoinGroupAnswer(error: .fencedInstanceId, memberID: oldID)))
        }
        if let sync = member.sync { actions.append(.answerSync(sync, SyncGroupAnswer(error: .fencedInstanceId))) }
        member.id = call.candidateID
        member.clientID = call.clientID
        member.clientHost = call.clientHost
        member.rebalanceTimeout = call.rebalanceTimeout
        member.sessionTimeout = call.sessionTimeout
        member.protocols = call.protocols
        member.join = nil
        member.sync = nil
        member.sessionDeadline = now.monotonic + call.sessionTimeout
        members[member.id] = member
        if let instanceID = member.instanceID { staticMembers[instanceID] = member.id }
        if wasLeader { leader = member.id }

        if phase == .stable, selectedProtocol() == selectedBefore {
            var answer = answer(for: member.id)
            if wasLeader, call.supportsSkippingAssignment {
                answer.skipsAssignment = true
            } else if wasLeader {
                // An old client would divide the work anew if told that it leads.
                answer.leader = oldID
                answer.members = []
            }
            return actions + [.storeThenAnswerJoin(snapshot, ticket, answer)]
        }
        members[member.id]?.join = ticket
        return actions + rebalance(at: now)
    }

    /// The current generation as the member is to see it.
    func answer(for id: String) -> JoinGroupAnswer {
        var answer = JoinGroupAnswer(error: .none, memberID: id)
        answer.generation = generation
        answer.protocolType = protocolType
        answer.protocolName = protocolName
        answer.leader = leader ?? ""
        if leader == id {
            answer.members = orderedMembers.map {
                JoinGroupAnswer.Member(id: $0.id, instanceID: $0.instanceID, metadata: $0.metadata(for: protocolName))
            }
        }
        return answer
    }
}
