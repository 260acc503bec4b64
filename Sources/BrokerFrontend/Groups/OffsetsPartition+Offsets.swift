//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import KafkaProtocol
internal import LogEngine
internal import LogModel
internal import RuntimeEnvironment
internal import Synchronization

extension OffsetsPartition {
    /// Who commits.
    struct Committer: Sendable {
        var memberID: String
        var instanceID: String?
        var generation: Int32
    }

    private enum CommitStep: Sendable {
        case refused(ErrorCode)
        case written(AppendReceipt)
    }

    /// Writes offsets; they are visible, and this returns, once they are durable.
    func commit(_ id: String, by committer: Committer, _ offsets: [(OffsetKey, CommittedOffset)]) async -> ErrorCode {
        let now = now
        let result = change(id) { group, _ -> (CommitStep, [GroupState.Action]) in
            if group == nil {
                guard committer.generation < 0 else { return (.refused(.illegalGeneration), []) }
                group = Group(state: GroupState(id: id, limits: settings.limits, at: now))
            }
            let error = group?.state.commit(
                memberID: committer.memberID, instanceID: committer.instanceID, generation: committer.generation, at: now)
            if let error, error != .none { return (.refused(error), []) }
            guard !offsets.isEmpty else { return (.refused(.none), []) }
            do throws(LogError) {
                let receipt = try append(offsets.map { .offset(group: id, $0.0, $0.1) })
                group?.pendingCommits += 1
                return (.written(receipt), [])
            } catch {
                return (.refused(ErrorCode(committingOffsets: error)), [])
            }
        }
        switch result {
        case .failure(let why): return why.error
        case .success(.refused(let error)): return error
        case .success(.written(let receipt)):
            return await durable(receipt) { [weak self] isDurable in
                self?.committed(id, offsets, at: receipt.range, isDurable: isDurable)
            }
        }
    }

    private func committed(_ id: String, _ offsets: [(OffsetKey, CommittedOffset)], at range: Range<Offset>, isDurable: Bool) {
        _ = change(id) { group, _ in
            group?.pendingCommits -= 1
            guard isDurable else { return ((), []) }
            for (index, (key, committed)) in offsets.enumerated() {
                let logOffset = range.lowerBound + Int64(index)
                if let known = group?.offsets[key], known.logOffset > logOffset { continue }
                group?.offsets[key] = StoredOffset(committed: committed, logOffset: logOffset)
            }
            return ((), [])
        }
    }

    /// Waits for durability, at most the commit time-out.
    ///
    /// - Parameter whenKnown: Told the outcome, even if it comes after the time-out.
    func durable(_ receipt: AppendReceipt, whenKnown: (@Sendable (Bool) -> Void)? = nil) async -> ErrorCode {
        await withCheckedContinuation { continuation in
            let answer = OnceAnswer(continuation)
            let timer = timers.schedule(at: clock.now() + settings.commitTimeout) {
                answer.give(ErrorCode(committingOffsets: LogError(.timedOut, "")))
            }
            receipt.durable.whenComplete { [timers] failure in
                whenKnown?(failure == nil)
                timers.cancel(timer)
                answer.give(failure.map(ErrorCode.init(committingOffsets:)) ?? .none)
            }
        }
    }

    /// - Parameter keys: nil for all that the group has.
    func committedOffsets(_ id: String, _ keys: [OffsetKey]?) -> Result<[(OffsetKey, CommittedOffset?)], GroupUnavailable> {
        group(id).map { group in
            guard let keys else {
                return (group?.offsets ?? [:]).sorted { ($0.key.topic, $0.key.partition) < ($1.key.topic, $1.key.partition) }
                    .map { ($0.key, $0.value.committed) }
            }
            return keys.map { ($0, group?.offsets[$0]?.committed) }
        }
    }

    /// Deletes offsets of a group (KIP-496).
    func deleteOffsets(_ id: String, _ keys: [OffsetKey]) async -> ErrorCode {
        let result = change(id) { group, _ -> (CommitStep, [GroupState.Action]) in
            let present = keys.filter { group?.offsets[$0] != nil }
            guard !present.isEmpty else { return (.refused(.none), []) }
            do throws(LogError) {
                let receipt = try append(present.map { .offset(group: id, $0, nil) })
                for key in present { group?.offsets[key] = nil }
                return (.written(receipt), [])
            } catch {
                return (.refused(ErrorCode(committingOffsets: error)), [])
            }
        }
        switch result {
        case .failure(let why): return why.error
        case .success(.refused(let error)): return error
        case .success(.written(let receipt)): return await durable(receipt)
        }
    }

    /// Drops offsets nobody came back for, and groups that have none left (KIP-211).
    func expire() {
        let now = now
        let ids = state.withLock { Array($0.groups.keys) }
        for id in ids {
            _ = change(id) { group, _ in
                guard var found = group, found.state.phase == .empty, found.pendingCommits == 0 else { return ((), []) }
                let expired = found.offsets.filter { isExpired($0.value.committed, of: found.state, at: now.wall) }.map(\.key)
                for key in expired { found.offsets[key] = nil }
                let isOver = found.offsets.isEmpty && isPast(found.state.phaseSince, now.wall)
                var records = expired.map { GroupRecord.offset(group: id, $0, nil) }
                if isOver { records.append(.group(id, nil)) }
                guard !records.isEmpty, (try? append(records)) != nil else { return ((), []) }
                group = isOver ? nil : found
                return ((), [])
            }
        }
    }

    private func isExpired(_ committed: CommittedOffset, of group: GroupState, at now: Timestamp) -> Bool {
        if let expires = committed.expireTimestamp { return now >= expires }
        // A group that had members counts from the time they left, others from the commit.
        return isPast(group.protocolType == nil ? committed.commitTimestamp : max(group.phaseSince, committed.commitTimestamp), now)
    }

    private func isPast(_ start: Timestamp, _ now: Timestamp) -> Bool {
        now.rawValue - start.rawValue >= settings.offsetsRetention.inMilliseconds
    }
}
