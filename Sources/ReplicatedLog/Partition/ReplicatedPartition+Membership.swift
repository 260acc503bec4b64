//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogEngine
internal import LogModel
internal import LogSegments
internal import Logging
internal import RuntimeEnvironment
internal import Synchronization

extension ReplicatedPartition {
    /// Asks the metadata to let a member in or out, if one is due. Called after fetches, and from time to time for those that do not come.
    func proposeMembership(at now: MonotonicInstant, mayShrink: Bool) {
        let proposal = state.withLock { state -> InSyncReplicaProposal? in
            guard case .leader(var leader) = state.role else { return nil }
            state.role = .idle
            defer { state.role = .leader(leader) }
            guard
                let change = leader.membershipChange(
                    highWatermark: state.highWatermark, leaderEnd: log.logEnd,
                    lagTimeMax: mayShrink ? context.settings.replicaLagTimeMax : nil, at: now)
            else { return nil }
            return InSyncReplicaProposal(
                partition: partition, leader: context.broker, leaderEpoch: leader.leaderEpoch,
                partitionEpoch: change.partitionEpoch,
                inSyncReplicas: change.inSyncReplicas, brokerEpochs: change.brokerEpochs)
        }
        guard let proposal else { return }
        context.logger.info(
            "in-sync set proposed",
            metadata: ["partition": "\(partition)", "isr": "\(proposal.inSyncReplicas)", "epoch": "\(proposal.leaderEpoch)"])
        Task {
            let decision: InSyncReplicaDecision?
            do { decision = try await context.membership.propose(proposal) } catch {
                context.logger.warning(
                    "in-sync set not answered", metadata: ["partition": "\(partition)", "error": "\(error)"])
                decision = nil
            }
            membershipDecided(decision, proposal)
        }
    }

    private func membershipDecided(_ decision: InSyncReplicaDecision?, _ proposal: InSyncReplicaProposal) {
        let now = context.environment.clock.now()
        let retryAt = now + context.settings.membershipRetryInterval
        var completions = Completions()
        let changed = state.withLock { state -> Bool in
            // A newer record has come meanwhile: the answer is about the past.
            guard case .leader(var leader) = state.role, leader.leaderEpoch == proposal.leaderEpoch,
                state.assignment.partitionEpoch == proposal.partitionEpoch
            else { return false }
            state.role = .idle
            switch decision {
            case .accepted(let assignment):
                // Where leadership moved in the same record, the change of role comes with the metadata.
                if assignment.leader == context.broker, assignment.leaderEpoch == leader.leaderEpoch,
                    assignment.partitionEpoch > state.assignment.partitionEpoch
                {
                    leader.adopt(assignment, at: now)
                    state.assignment = assignment
                }
            case .refused: leader.membershipChangeRefused(retryAt: retryAt)
            // The newer record will come with the metadata; it may be this very change, by an answer that was lost before.
            case .superseded, nil: leader.membershipChangeUnknown(retryAt: retryAt)
            }
            state.role = .leader(leader)
            advanceHighWatermark(&state, leaderEnd: log.logEnd, &completions)
            return true
        }
        completions.run()
        if changed { tellProgress() }
    }
}
