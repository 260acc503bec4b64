//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel

/// A record, and the store's revision that compare-and-set goes by.
package struct Versioned<Record: Sendable & Hashable>: Sendable, Hashable {
    package var record: Record
    package var revision: Int64

    package init(_ record: Record, revision: Int64) {
        self.record = record
        self.revision = revision
    }
}

/// All that the cluster knows of itself at one revision: brokers, topics, partitions, settings, duties.
///
/// A value: whoever has one sees one moment. Applying a change costs by what it touches, and copies at most one list of references
/// (per topic), never the partitions of other topics.
package struct MetadataImage: Sendable {
    /// Changes up to here are in.
    package internal(set) var revision: Int64 = 0
    package internal(set) var cluster: ClusterRecord?
    package internal(set) var brokers: [BrokerID: Versioned<BrokerRecord>] = [:]
    package internal(set) var controller: Versioned<ControllerRecord>?
    /// The last epoch given to each broker ever seen, alive or not.
    package internal(set) var brokerEpochs: [BrokerID: BrokerEpoch] = [:]
    /// The last epoch of each broker whose data are taken care of.
    package internal(set) var closedEpochs: [BrokerID: BrokerEpoch] = [:]
    package internal(set) var recoveries: [BrokerID: Versioned<RecoveryRecord>] = [:]
    /// By broker; nil holds what all have in common.
    package internal(set) var brokerConfigs: [BrokerID?: [String: String]] = [:]
    var topicsByName: [String: Versioned<TopicRecord>] = [:]
    var topicNames: [TopicID: String] = [:]
    var partitionsByTopic: [TopicID: TopicPartitions] = [:]
    var deletions: [TopicID: Versioned<DeletionRecord>] = [:]
    var deletionAcknowledgements: [TopicID: [BrokerID: DeletionAcknowledgement]] = [:]

    package init() {}

    // MARK: Brokers

    /// Brokers whose lease holds.
    package var liveBrokers: Set<BrokerID> { Set(brokers.keys) }
    /// Of these, the ones about to stop.
    package var drainingBrokers: Set<BrokerID> { Set(brokers.values.lazy.filter(\.record.isDraining).map(\.record.id)) }

    package func broker(_ id: BrokerID) -> BrokerRecord? { brokers[id]?.record }
    package func isLive(_ id: BrokerID) -> Bool { brokers[id] != nil }

    /// A setting of the broker: its own, else the one common to all.
    package func brokerConfig(_ name: String, of id: BrokerID) -> String? { brokerConfigs[id]?[name] ?? brokerConfigs[nil]?[name] }

    // MARK: Topics

    /// Topics that clients may see, in no order.
    package var topics: some Sequence<TopicRecord> { topicsByName.values.lazy.filter { !$0.record.isBeingDeleted }.map(\.record) }
    /// Topics on their way out, in no order.
    package var topicsBeingDeleted: some Sequence<TopicRecord> {
        topicsByName.values.lazy.filter(\.record.isBeingDeleted).map(\.record)
    }

    /// Nil too for a topic that is being deleted.
    package func topic(named name: String) -> TopicRecord? {
        topicsByName[name].flatMap { $0.record.isBeingDeleted ? nil : $0.record }
    }

    /// Nil too for a topic that is being deleted.
    package func topic(_ id: TopicID) -> TopicRecord? { topicNames[id].flatMap(topic(named:)) }

    /// A topic, deleted or not, with what compare-and-set goes by.
    package func storedTopic(named name: String) -> Versioned<TopicRecord>? { topicsByName[name] }

    package func isInternal(_ topic: String) -> Bool { topicsByName[topic]?.record.isInternal ?? false }

    // MARK: Partitions

    /// In order of number. A partition whose record has not arrived yet is left out.
    package func partitions(of topic: TopicID) -> [PartitionRecord] {
        partitionsByTopic[topic]?.entries.compactMap { $0?.record } ?? []
    }

    package func partition(_ topic: TopicID, _ number: Int32) -> PartitionRecord? { storedPartition(topic, number)?.record }

    package func partition(topic name: String, _ number: Int32) -> PartitionRecord? {
        topic(named: name).flatMap { partition($0.id, number) }
    }

    package func storedPartition(_ topic: TopicID, _ number: Int32) -> Versioned<PartitionRecord>? {
        guard let entries = partitionsByTopic[topic]?.entries, number >= 0, number < entries.count else { return nil }
        return entries[Int(number)]
    }

    /// The partition's name for engines and logs; nil if the topic is not known.
    package func partitionID(_ topic: TopicID, _ number: Int32) -> PartitionID? {
        topicNames[topic].map { PartitionID(topicID: topic, topic: $0, partition: number) }
    }

    package func partitionID(topic name: String, _ number: Int32) -> PartitionID? {
        topicsByName[name].map { PartitionID(topicID: $0.record.id, topic: name, partition: number) }
    }

    /// The broker that serves the partition now, if it is alive.
    package func leader(of topic: TopicID, _ number: Int32) -> BrokerRecord? {
        partition(topic, number)?.leader.flatMap { broker($0) }
    }

    /// Every partition, those of topics being deleted included, in no order.
    package var allPartitions: some Sequence<PartitionRecord> {
        partitionsByTopic.values.lazy.flatMap { $0.entries.lazy.compactMap { $0?.record } }
    }

    /// Partitions that name the broker among their replicas, in no order.
    package func partitions(on broker: BrokerID) -> [PartitionRecord] {
        allPartitions.filter { $0.replicas.contains(broker) }
    }

    // MARK: Deletion of topics

    package func deletion(of topic: TopicID) -> DeletionRecord? { deletions[topic]?.record }
    package func deletionAcknowledgement(of topic: TopicID, by broker: BrokerID) -> DeletionAcknowledgement? {
        deletionAcknowledgements[topic]?[broker]
    }
}

/// The partitions of one topic, by number. A class, so that an image's copy shares those of topics that did not change.
final class TopicPartitions: Sendable {
    let entries: [Versioned<PartitionRecord>?]

    init(_ entries: [Versioned<PartitionRecord>?] = []) { self.entries = entries }
}
