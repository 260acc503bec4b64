//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import LogEngine
public import LogModel

/// A leader's wish to change the in-sync set of its partition: AlterPartition (KIP-497, KIP-903).
public struct InSyncReplicaProposal: Sendable, Hashable {
    public var partition: PartitionID
    public var leader: BrokerID
    /// The proposer leads at this epoch; any other in the record refuses it.
    public var leaderEpoch: LeaderEpoch
    /// Of the record that the proposal changes: compare-and-set.
    public var partitionEpoch: Int64
    public var inSyncReplicas: [BrokerID]
    /// Of the members that fetched, as each told in its fetch: one that has restarted since must not be let in.
    public var brokerEpochs: [BrokerID: BrokerEpoch]

    public init(
        partition: PartitionID, leader: BrokerID, leaderEpoch: LeaderEpoch, partitionEpoch: Int64, inSyncReplicas: [BrokerID],
        brokerEpochs: [BrokerID: BrokerEpoch]
    ) {
        self.partition = partition
        self.leader = leader
        self.leaderEpoch = leaderEpoch
        self.partitionEpoch = partitionEpoch
        self.inSyncReplicas = inSyncReplicas
        self.brokerEpochs = brokerEpochs
    }
}

public enum InSyncReplicaDecision: Sendable, Hashable {
    /// Committed: the record as it is now, which may have completed a move as well.
    case accepted(PartitionAssignment)
    /// The record has changed meanwhile; its newer state will be applied, or has been.
    case superseded
    /// Nothing was changed: a proposed member is dead, draining, or has restarted since it fetched, or the leader's own lease is gone.
    case refused
}

/// The part of the cluster's metadata that a leader writes. Linearizable.
public protocol InSyncReplicaStore: Sendable {
    /// - Throws: if the store did not answer: the proposal may or may not have been carried out, and may be repeated.
    func propose(_ proposal: InSyncReplicaProposal) async throws -> InSyncReplicaDecision
}
