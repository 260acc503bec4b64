//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel

/// What a broker has to delete of a topic, before it may acknowledge.
package struct DeletionDuty: Sendable, Hashable {
    package var topic: TopicRecord
    package var broker: BrokerID
    /// Partitions of which it holds a replica on its volume.
    package var localPartitions: [Int32]
    /// Partitions whose data in shared stores it deletes, it alone.
    package var ownedPartitions: [Int32]
}

extension MetadataImage {
    /// What `broker` has yet to delete, by topic.
    package func deletionDuties(of broker: BrokerID) -> [DeletionDuty] {
        deletions.values.compactMap { deletion in
            let deletion = deletion.record
            guard let topic = topicNames[deletion.topicID].flatMap({ topicsByName[$0]?.record }), topic.isBeingDeleted else {
                return nil
            }
            let local = partitions(of: topic.id).filter { $0.replicas.contains(broker) }.map(\.partition)
            let owned = deletion.owners.indices.filter { deletion.owners[$0] == broker }.map(Int32.init)
            guard !local.isEmpty || !owned.isEmpty else { return nil }
            if let done = deletionAcknowledgement(of: topic.id, by: broker), owned.allSatisfy(done.ownedPartitions.contains) {
                return nil
            }
            return DeletionDuty(topic: topic, broker: broker, localPartitions: local, ownedPartitions: owned)
        }
    }

    /// Dead brokers whose data `broker` has to take over.
    package func recoveryDuties(of broker: BrokerID) -> [RecoveryRecord] {
        recoveries.values.map(\.record).filter { $0.assignee == broker }.sorted { $0.broker < $1.broker }
    }

    /// Partitions being moved, sorted by name.
    package var reassignments: [(partition: PartitionID, record: PartitionRecord)] {
        allPartitions.filter(\.isMoving).compactMap { record in
            partitionID(record.topicID, record.partition).map { ($0, record) }
        }.sorted { $0.partition < $1.partition }
    }

    /// Partitions that the broker leads, of topics that are not being deleted, in no order.
    package func partitions(ledBy broker: BrokerID) -> [PartitionRecord] {
        allPartitions.filter { $0.leader == broker && topic($0.topicID) != nil }
    }
}
