//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import LogEngine
internal import LogModel
internal import ReplicatedLog

/// Lets a leader of the replicated log change its in-sync set in the cluster's metadata.
struct PartitionMembership: InSyncReplicaStore {
    let store: PartitionStateStore

    func propose(_ proposal: InSyncReplicaProposal) async throws -> InSyncReplicaDecision {
        let change = try await store.changeInSyncReplicas(
            proposal.partition, leader: proposal.leader, leaderEpoch: proposal.leaderEpoch,
            expectedPartitionEpoch: proposal.partitionEpoch, inSyncReplicas: proposal.inSyncReplicas,
            brokerEpochs: proposal.brokerEpochs)
        switch change {
        case .updated(let record): return .accepted(PartitionAssignment(proposal.partition, record))
        case .fenced: return .superseded
        case .ineligible: return .refused
        }
    }
}
