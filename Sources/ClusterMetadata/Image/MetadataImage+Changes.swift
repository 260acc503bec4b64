//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogModel

/// What changed from one image to the next.
struct ImageDifference {
    var partitions: Set<PartitionKey> = []
    var topics: Set<TopicID> = []
    /// Came, went, or changed what they say of themselves.
    var brokers: Set<BrokerID> = []
    /// Of these: lost their lease, even if they are back in the next image.
    var diedBrokers: Set<BrokerID> = []
    var controllerChanged = false
    var dutiesChanged = false
    var configsChanged = false

    var isEmpty: Bool {
        partitions.isEmpty && topics.isEmpty && brokers.isEmpty && !controllerChanged && !dutiesChanged && !configsChanged
    }
}

struct PartitionKey: Hashable {
    var topic: TopicID
    var number: Int32
}

extension MetadataImage {
    /// The parts of the store that an image is made of. The engines' own keys are not among them.
    static let prefixes = [
        MetadataKey.cluster, MetadataKey.brokers, MetadataKey.brokerEpochs, MetadataKey.controller, MetadataKey.topics,
        MetadataKey.partitions, MetadataKey.brokerConfigs, MetadataKey.recoveries, MetadataKey.closedEpochs, MetadataKey.deletions,
    ]

    /// The one of ``prefixes`` that `key` begins with.
    static func prefix(of key: String) -> String? { prefixes.first { key.utf8.starts(with: $0.utf8) } }

    /// Takes in changes that follow ``revision``, and notes in `difference` what they touched.
    ///
    /// - Parameter unreadable: Called for each record that cannot be decoded; what was known of it before stays.
    mutating func apply(
        _ changes: some Sequence<MetadataChange>, noting difference: inout ImageDifference,
        unreadable: (MetadataStoreError) -> Void
    ) {
        var partitions: [TopicID: [Versioned<PartitionRecord>?]] = [:]
        for change in changes {
            revision = max(revision, change.revision)
            guard let prefix = Self.prefix(of: change.key) else { continue }
            do throws(MetadataStoreError) {
                if prefix == MetadataKey.partitions {
                    try applyPartition(change, to: &partitions, noting: &difference)
                } else {
                    try apply(change, prefix: prefix, noting: &difference)
                }
            } catch {
                unreadable(error)
            }
        }
        for (topic, entries) in partitions {
            partitionsByTopic[topic] = entries.contains { $0 != nil } ? TopicPartitions(entries) : nil
        }
    }

    private func applyPartition(
        _ change: MetadataChange, to partitions: inout [TopicID: [Versioned<PartitionRecord>?]],
        noting difference: inout ImageDifference
    ) throws(MetadataStoreError) {
        let parts = change.key.dropFirst(MetadataKey.partitions.count).split(separator: "/")
        guard parts.count == 2, let topic = TopicID(hex: String(parts[0])), let number = Int32(parts[1]),
            (0..<Int32(TopicLimits.partitionsMax)).contains(number)
        else { throw .strange(change.key) }
        var entry: Versioned<PartitionRecord>?
        if case .put(let value) = change {
            entry = Versioned(try RecordCoding.decode(PartitionRecord.self, from: value), revision: value.modRevision)
        }
        var entries = partitions.removeValue(forKey: topic) ?? partitionsByTopic[topic]?.entries ?? []
        if entries.count <= Int(number) {
            entries.append(contentsOf: repeatElement(nil, count: Int(number) + 1 - entries.count))
        }
        entries[Int(number)] = entry
        partitions[topic] = entries
        difference.partitions.insert(PartitionKey(topic: topic, number: number))
    }

    private mutating func apply(
        _ change: MetadataChange, prefix: String, noting difference: inout ImageDifference
    ) throws(MetadataStoreError) {
        let name = String(change.key.dropFirst(prefix.count))
        let value: StoredValue? = if case .put(let value) = change { value } else { nil }
        switch prefix {
        case MetadataKey.cluster:
            cluster = try value.map { (value) throws(MetadataStoreError) in try RecordCoding.decode(ClusterRecord.self, from: value)
            }
        case MetadataKey.controller:
            controller = try Self.versioned(ControllerRecord.self, value)
            difference.controllerChanged = true
        case MetadataKey.brokers:
            let id = try Self.brokerID(name, in: change.key)
            let record = try Self.versioned(BrokerRecord.self, value)
            if let old = brokers[id], old.record.epoch != record?.record.epoch { difference.diedBrokers.insert(id) }
            brokers[id] = record
            difference.brokers.insert(id)
        case MetadataKey.brokerEpochs:
            brokerEpochs[try Self.brokerID(name, in: change.key)] = try Self.epoch(value)
        case MetadataKey.closedEpochs:
            closedEpochs[try Self.brokerID(name, in: change.key)] = try Self.epoch(value)
            difference.dutiesChanged = true
        case MetadataKey.recoveries:
            recoveries[try Self.brokerID(name, in: change.key)] = try Self.versioned(RecoveryRecord.self, value)
            difference.dutiesChanged = true
        case MetadataKey.brokerConfigs:
            let id = name.isEmpty ? nil : try Self.brokerID(name, in: change.key)
            brokerConfigs[id] = try Self.versioned(ConfigRecord.self, value)?.record.configs
            difference.configsChanged = true
        case MetadataKey.topics:
            try applyTopic(name, value, noting: &difference)
        case MetadataKey.deletions:
            try applyDeletion(name, value, key: change.key)
            difference.dutiesChanged = true
        default: break
        }
    }

    private mutating func applyTopic(
        _ name: String, _ value: StoredValue?, noting difference: inout ImageDifference
    ) throws(MetadataStoreError) {
        let record = try Self.versioned(TopicRecord.self, value)
        if let old = topicsByName[name]?.record {
            difference.topics.insert(old.id)
            // The topic may have been deleted and made again at once.
            if old.id != record?.record.id { topicNames[old.id] = nil }
        }
        topicsByName[name] = record
        if let record {
            topicNames[record.record.id] = name
            difference.topics.insert(record.record.id)
        }
    }

    private mutating func applyDeletion(_ name: String, _ value: StoredValue?, key: String) throws(MetadataStoreError) {
        let parts = name.split(separator: "/")
        guard let first = parts.first, let topic = TopicID(hex: String(first)), parts.count <= 2 else { throw .strange(key) }
        if parts.count == 1 {
            deletions[topic] = try Self.versioned(DeletionRecord.self, value)
        } else {
            let broker = try Self.brokerID(String(parts[1]), in: key)
            let record = try Self.versioned(DeletionAcknowledgement.self, value)?.record
            deletionAcknowledgements[topic, default: [:]][broker] = record
            if deletionAcknowledgements[topic]?.isEmpty == true { deletionAcknowledgements[topic] = nil }
        }
    }

    private static func versioned<Record: Decodable & Sendable & Hashable>(
        _ type: Record.Type, _ value: StoredValue?
    ) throws(MetadataStoreError) -> Versioned<Record>? {
        guard let value else { return nil }
        return Versioned(try RecordCoding.decode(type, from: value), revision: value.modRevision)
    }

    private static func epoch(_ value: StoredValue?) throws(MetadataStoreError) -> BrokerEpoch? {
        guard let value else { return nil }
        return BrokerEpoch(try RecordCoding.decodeDecimal(value))
    }

    private static func brokerID(_ text: String, in key: String) throws(MetadataStoreError) -> BrokerID {
        guard let number = Int32(text) else { throw .strange(key) }
        return BrokerID(number)
    }
}

extension MetadataStoreError {
    fileprivate static func strange(_ key: String) -> MetadataStoreError {
        MetadataStoreError(.corrupt, "the metadata key \(key) has no meaning that this version knows")
    }
}
