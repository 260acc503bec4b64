//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import LogModel

/// What the metadata says of one partition, as given to an engine. A newer one always has a higher ``partitionEpoch``.
public struct PartitionAssignment: Sendable, Hashable {
    public var partition: PartitionID
    /// nil: no leader now.
    public var leader: BrokerID?
    public var leaderEpoch: LeaderEpoch
    /// Grows at each change of the partition's record; compare-and-set goes by it.
    public var partitionEpoch: Int64
    /// In order of preference; during a move, targets and old replicas together.
    public var replicas: [BrokerID]
    public var inSyncReplicas: [BrokerID]
    public var addingReplicas: [BrokerID]
    public var removingReplicas: [BrokerID]

    public init(
        partition: PartitionID, leader: BrokerID?, leaderEpoch: LeaderEpoch, partitionEpoch: Int64, replicas: [BrokerID],
        inSyncReplicas: [BrokerID], addingReplicas: [BrokerID] = [], removingReplicas: [BrokerID] = []
    ) {
        self.partition = partition
        self.leader = leader
        self.leaderEpoch = leaderEpoch
        self.partitionEpoch = partitionEpoch
        self.replicas = replicas
        self.inSyncReplicas = inSyncReplicas
        self.addingReplicas = addingReplicas
        self.removingReplicas = removingReplicas
    }

    public var isMoving: Bool { !addingReplicas.isEmpty || !removingReplicas.isEmpty }
    /// Replicas once the move is done.
    public var targetReplicas: [BrokerID] { replicas.filter { !removingReplicas.contains($0) } }
}
