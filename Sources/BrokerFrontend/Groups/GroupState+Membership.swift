//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import KafkaProtocol
internal import LogModel
internal import RuntimeEnvironment

extension GroupState {
    // MARK: Heartbeats

    package mutating func heartbeat(memberID: String, instanceID: String?, generation: Int32, at now: Moment) -> ErrorCode {
        guard phase != .dead else { return .coordinatorNotAvailable }
        if let fault = fault(memberID: memberID, instanceID: instanceID) { return fault }
        guard generation == self.generation else { return .illegalGeneration }
        switch phase {
        case .empty, .dead: return .unknownMemberId
        case .completingRebalance, .stable:
            touch(memberID, at: now)
            return .none
        case .preparingRebalance:
            touch(memberID, at: now)
            return .rebalanceInProgress
        }
    }

    /// Whether offsets may be committed in the name of this member; its session goes on.
    ///
    /// A generation below zero is a client that manages its partitions itself, or an administrator: allowed while the group is empty.
    package mutating func commit(memberID: String, instanceID: String?, generation: Int32, at now: Moment) -> ErrorCode {
        guard phase != .dead else { return .coordinatorNotAvailable }
        if generation < 0, phase == .empty { return .none }
        if generation >= 0 || !memberID.isEmpty || instanceID != nil {
            if let fault = fault(memberID: memberID, instanceID: instanceID) { return fault }
            guard generation == self.generation else { return .illegalGeneration }
        } else {
            return .unknownMemberId
        }
        switch phase {
        case .empty, .dead: return .unknownMemberId
        case .stable, .preparingRebalance:
            touch(memberID, at: now)
            return .none
        case .completingRebalance:
            touch(memberID, at: now)
            return .rebalanceInProgress
        }
    }

    // MARK: Leaving

    /// A member leaves on its own account, or an administrator takes it out (by its instance id, KIP-345).
    package mutating func leave(memberID: String, instanceID: String?, at now: Moment) -> (error: ErrorCode, actions: [Action]) {
        guard phase != .dead else { return (.coordinatorNotAvailable, []) }
        if let instanceID {
            guard let known = staticMembers[instanceID] else { return (.unknownMemberId, []) }
            guard memberID.isEmpty || memberID == known else { return (.fencedInstanceId, []) }
            return (.none, takeOut(known, at: now))
        }
        if pendingMembers.removeValue(forKey: memberID) != nil { return (.none, finishIfAllJoined(at: now)) }
        guard members[memberID] != nil else { return (.unknownMemberId, []) }
        return (.none, takeOut(memberID, at: now))
    }

    private mutating func takeOut(_ id: String, at now: Moment) -> [Action] {
        guard let member = remove(id) else { return [] }
        var actions: [Action] = []
        if let join = member.join { actions.append(.answerJoin(join, JoinGroupAnswer(error: .unknownMemberId, memberID: id))) }
        if let sync = member.sync { actions.append(.answerSync(sync, SyncGroupAnswer(error: .unknownMemberId))) }
        switch phase {
        case .stable, .completingRebalance: return actions + rebalance(at: now)
        case .preparingRebalance: return actions + finishIfAllJoined(at: now)
        case .empty, .dead: return actions
        }
    }

    // MARK: Time

    /// Does what is due by `now`: members that fell silent go, waits that are over end.
    package mutating func tick(at now: Moment) -> [Action] {
        guard phase != .dead else { return [] }
        var actions: [Action] = []
        let lapsed = pendingMembers.filter { $0.value <= now.monotonic }.map(\.key)
        for id in lapsed { pendingMembers[id] = nil }
        for member in orderedMembers {
            if let deadline = member.deadline, deadline <= now.monotonic { actions += takeOut(member.id, at: now) }
        }
        if let deadline = syncDeadline, deadline <= now.monotonic {
            syncDeadline = nil
            for member in orderedMembers where member.owesSync { actions += takeOut(member.id, at: now) }
        }
        if let deadline = joinDeadline, deadline <= now.monotonic {
            actions += joinTimedOut(at: now)
        } else if !lapsed.isEmpty {
            actions += finishIfAllJoined(at: now)
        }
        return actions
    }

    /// The group is no longer ours, or is deleted: whoever waits is told `error`.
    package mutating func die(_ error: ErrorCode, at now: Moment) -> [Action] {
        var actions: [Action] = []
        for member in orderedMembers {
            if let join = member.join { actions.append(.answerJoin(join, JoinGroupAnswer(error: error, memberID: member.id))) }
            if let sync = member.sync { actions.append(.answerSync(sync, SyncGroupAnswer(error: error))) }
            members[member.id]?.join = nil
            members[member.id]?.sync = nil
        }
        enter(.dead, at: now)
        joinDeadline = nil
        syncDeadline = nil
        pendingMembers = [:]
        return actions
    }
}
