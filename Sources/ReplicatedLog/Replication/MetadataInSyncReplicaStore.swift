//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import ClusterMetadata
internal import LogEngine
internal import LogModel

/// The in-sync sets as the cluster's metadata keeps them, in the partitions' records.
public struct MetadataInSyncReplicaStore: InSyncReplicaStore {
    private let states: PartitionStateStore

    public init(store: any MetadataStore) { states = PartitionStateStore(store: store) }

    public func propose(_ proposal: InSyncReplicaProposal) async throws -> InSyncReplicaDecision {
        let change = try await states.changeInSyncReplicas(
            proposal.partition, leader: proposal.leader, leaderEpoch: proposal.leaderEpoch,
            expectedPartitionEpoch: proposal.partitionEpoch, inSyncReplicas: proposal.inSyncReplicas,
            brokerEpochs: proposal.brokerEpochs.filter { $0.value != .none })
        switch change {
        case .updated(let record):
            return .accepted(
                PartitionAssignment(
                    partition: proposal.partition, leader: record.leader, leaderEpoch: record.leaderEpoch,
                    partitionEpoch: record.partitionEpoch, replicas: record.replicas, inSyncReplicas: record.inSyncReplicas,
                    addingReplicas: record.addingReplicas, removingReplicas: record.removingReplicas))
        case .fenced(let record):
            // Unchanged, but this broker's own lease is gone: nothing was written, and nothing newer will come by itself.
            return record?.partitionEpoch == proposal.partitionEpoch ? .refused : .superseded
        case .ineligible: return .refused
        }
    }
}
