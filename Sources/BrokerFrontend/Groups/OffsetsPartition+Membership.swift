//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import KafkaProtocol
internal import LogEngine
internal import LogModel
internal import Synchronization

extension OffsetsPartition {
    func join(_ id: String, _ call: JoinGroupCall) async -> JoinGroupAnswer {
        let now = now
        return await withCheckedContinuation { continuation in
            let result = change(id) { group, state in
                state.lastTicket += 1
                let ticket = GroupTicket(state.lastTicket)
                state.joins[ticket] = continuation
                if group == nil {
                    guard call.memberID.isEmpty else {
                        return (
                            (), [.answerJoin(ticket, JoinGroupAnswer(error: .unknownMemberId, memberID: call.memberID))]
                        )
                    }
                    group = Group(state: GroupState(id: id, limits: settings.limits, at: now))
                }
                return ((), group?.state.join(call, ticket: ticket, at: now) ?? [])
            }
            if case .failure(let why) = result {
                continuation.resume(returning: JoinGroupAnswer(error: why.error, memberID: call.memberID))
            }
        }
    }

    func sync(_ id: String, _ call: SyncGroupCall) async -> SyncGroupAnswer {
        let now = now
        return await withCheckedContinuation { continuation in
            let result = change(id) { group, state in
                state.lastTicket += 1
                let ticket = GroupTicket(state.lastTicket)
                state.syncs[ticket] = continuation
                let missing = [GroupState.Action.answerSync(ticket, SyncGroupAnswer(error: .unknownMemberId))]
                return ((), group?.state.sync(call, ticket: ticket, at: now) ?? missing)
            }
            if case .failure(let why) = result {
                // While groups are loaded, the member is to join again rather than to wait here.
                let error = why.error == .coordinatorLoadInProgress ? ErrorCode.rebalanceInProgress : why.error
                continuation.resume(returning: SyncGroupAnswer(error: error))
            }
        }
    }

    func heartbeat(_ id: String, memberID: String, instanceID: String?, generation: Int32) -> ErrorCode {
        let now = now
        let result = change(id) { group, _ in
            (
                group?.state.heartbeat(memberID: memberID, instanceID: instanceID, generation: generation, at: now)
                    ?? .unknownMemberId, []
            )
        }
        switch result {
        case .success(let error): return error
        // Members live on while their group is loaded.
        case .failure(let why): return why.error == .coordinatorLoadInProgress ? .none : why.error
        }
    }

    func leave(_ id: String, memberID: String, instanceID: String?) -> ErrorCode {
        let now = now
        let result = change(id) { group, _ in
            group?.state.leave(memberID: memberID, instanceID: instanceID, at: now) ?? (.unknownMemberId, [])
        }
        switch result {
        case .success(let error): return error
        case .failure(let why): return why.error
        }
    }

    /// A copy of the group; nil if there is none.
    func group(_ id: String) -> Result<Group?, GroupUnavailable> {
        state.withLock { state in
            if let why = Self.unavailable(state.status) { return .failure(why) }
            return .success(state.groups[id])
        }
    }

    /// Of all groups.
    func allGroups() -> Result<[GroupState], GroupUnavailable> {
        state.withLock { state in
            if let why = Self.unavailable(state.status) { return .failure(why) }
            return .success(state.groups.values.map(\.state))
        }
    }

    /// Deletes an empty group and its offsets.
    ///
    /// - Returns: Once the deletion is durable.
    func delete(_ id: String) async -> ErrorCode {
        let now = now
        let result = change(id) { group, _ -> (DeletionStep, [GroupState.Action]) in
            guard let found = group, found.state.phase != .dead else { return (.done(.groupIdNotFound), []) }
            guard found.state.phase == .empty else { return (.done(.nonEmptyGroup), []) }
            do throws(LogError) {
                let receipt = try append(Self.tombstones(of: id, found))
                let actions = group?.state.die(.groupIdNotFound, at: now) ?? []
                group = nil
                return (.written(receipt), actions)
            } catch {
                return (.done(ErrorCode(storingGroup: error)), [])
            }
        }
        switch result {
        case .failure(let why): return why.error
        case .success(.done(let error)): return error
        case .success(.written(let receipt)): return await durable(receipt)
        }
    }

    private enum DeletionStep: Sendable {
        case done(ErrorCode)
        case written(AppendReceipt)
    }

    static func tombstones(of id: String, _ group: Group) -> [GroupRecord] {
        group.offsets.keys.map { .offset(group: id, $0, nil) } + [.group(id, nil)]
    }
}
