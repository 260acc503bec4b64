//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import LogModel

/// Where a setting's value comes from. Raw values are Kafka's, as in DescribeConfigs.
package enum ConfigSource: Int8, Sendable, Hashable {
    case topic = 1
    case dynamicBroker = 2
    case dynamicDefaultBroker = 3
    case staticBroker = 4
    case defaultValue = 5
}

/// The layers a value is looked up in, the first that has it counts.
package struct ConfigSources: Sendable {
    package struct Entry: Sendable, Hashable {
        /// The name it has in its layer: a broker setting's, for a topic setting's default.
        package var name: String
        package var value: String?
        package var source: ConfigSource
    }

    var topic: [String: String] = [:]
    /// Set while running, for this broker.
    var broker: [String: String] = [:]
    /// Set while running, for all brokers.
    var cluster: [String: String] = [:]
    /// From the broker's configuration file.
    var file: [String: String] = [:]

    init(
        topic: [String: String] = [:], broker: [String: String] = [:], cluster: [String: String] = [:], file: [String: String] = [:]
    ) {
        self.topic = topic
        self.broker = broker
        self.cluster = cluster
        self.file = file
    }

    init(topic: TopicRecord? = nil, of broker: BrokerID, in image: MetadataImage, file: [String: String]) {
        self.init(
            topic: topic?.configs ?? [:], broker: image.brokerConfigs[broker] ?? [:], cluster: image.brokerConfigs[nil] ?? [:],
            file: file)
    }

    /// Every layer that has a value, the one that counts first. The default ends the list.
    func entries(_ definition: ConfigDefinition, isTopicConfig: Bool) -> [Entry] {
        var entries: [Entry] = []
        if isTopicConfig, let value = topic[definition.name] {
            entries.append(Entry(name: definition.name, value: value, source: .topic))
        }
        let synonyms = isTopicConfig ? definition.synonyms : [ConfigDefinition.Synonym(definition.name)] + definition.synonyms
        let layers: [(ConfigSource, [String: String])] = [
            (.dynamicBroker, broker), (.dynamicDefaultBroker, cluster), (.staticBroker, file),
        ]
        for (source, values) in layers {
            for synonym in synonyms {
                guard let value = values[synonym.name] else { continue }
                entries.append(Entry(name: synonym.name, value: Self.scale(value, by: synonym.factor), source: source))
            }
        }
        entries.append(
            Entry(
                name: isTopicConfig ? synonyms.first?.name ?? definition.name : definition.name, value: definition.defaultValue,
                source: .defaultValue))
        return entries
    }

    func value(_ definition: ConfigDefinition, isTopicConfig: Bool) -> String? {
        entries(definition, isTopicConfig: isTopicConfig)[0].value
    }

    /// Negative means "none" in every unit.
    private static func scale(_ value: String, by factor: Int64) -> String {
        guard factor != 1, let number = Int64(value), number > 0 else { return value }
        let (scaled, overflow) = number.multipliedReportingOverflow(by: factor)
        return String(overflow ? Int64.max : scaled)
    }
}
