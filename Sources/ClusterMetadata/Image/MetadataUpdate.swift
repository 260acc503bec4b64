//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel

/// One step of a ``MetadataCache``: the image before and after, and what differs, so that nobody needs to compare them.
package struct MetadataUpdate: Sendable {
    package let old: MetadataImage
    package let new: MetadataImage
    /// Partitions whose record came, went or changed, sorted by name.
    package let changedPartitions: [PartitionID]
    /// Topics whose record came, went or changed (settings, deletion).
    package let changedTopics: Set<TopicID>
    /// Brokers that came, went or changed what they say of themselves.
    package let changedBrokers: Set<BrokerID>
    /// Brokers that lost their lease; one may be back, in a new epoch, in the new image.
    package let diedBrokers: Set<BrokerID>
    package let controllerChanged: Bool
    /// Something of recoveries or of topics' deletions changed.
    package let dutiesChanged: Bool
    package let brokerConfigsChanged: Bool

    init(old: MetadataImage, new: MetadataImage, difference: ImageDifference) {
        self.old = old
        self.new = new
        changedPartitions = difference.partitions.compactMap { key in
            new.partitionID(key.topic, key.number) ?? old.partitionID(key.topic, key.number)
        }.sorted()
        changedTopics = difference.topics
        changedBrokers = difference.brokers
        diedBrokers = difference.diedBrokers
        controllerChanged = difference.controllerChanged
        dutiesChanged = difference.dutiesChanged
        brokerConfigsChanged = difference.configsChanged
    }
}

extension MetadataImage {
    /// What differs, where the changes between were missed.
    func difference(from old: MetadataImage) -> ImageDifference {
        var difference = ImageDifference()
        for topic in Set(partitionsByTopic.keys).union(old.partitionsByTopic.keys) {
            let entries = partitionsByTopic[topic]?.entries ?? []
            let before = old.partitionsByTopic[topic]?.entries ?? []
            for number in 0..<max(entries.count, before.count) {
                let entry = number < entries.count ? entries[number] : nil
                let previous = number < before.count ? before[number] : nil
                if entry?.revision != previous?.revision {
                    difference.partitions.insert(PartitionKey(topic: topic, number: Int32(number)))
                }
            }
        }
        for name in Set(topicsByName.keys).union(old.topicsByName.keys) {
            let topic = topicsByName[name]
            let before = old.topicsByName[name]
            guard topic?.revision != before?.revision else { continue }
            for id in [topic?.record.id, before?.record.id] { if let id { difference.topics.insert(id) } }
        }
        for id in Set(brokers.keys).union(old.brokers.keys) where brokers[id]?.revision != old.brokers[id]?.revision {
            difference.brokers.insert(id)
            if let before = old.brokers[id], before.record.epoch != brokers[id]?.record.epoch { difference.diedBrokers.insert(id) }
        }
        difference.controllerChanged = controller?.revision != old.controller?.revision
        difference.dutiesChanged =
            recoveries != old.recoveries || closedEpochs != old.closedEpochs || deletions != old.deletions
            || deletionAcknowledgements != old.deletionAcknowledgements
        difference.configsChanged = brokerConfigs != old.brokerConfigs
        return difference
    }
}
