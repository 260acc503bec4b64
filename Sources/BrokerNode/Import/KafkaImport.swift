//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import BrokerFrontend
internal import ClusterMetadata
internal import LogModel
internal import LogSegments
internal import Logging
internal import Metering
internal import RuntimeEnvironment

/// Takes the topics of Apache Kafka's log directories over into a broker that is not running: each partition's files are copied, recovered
/// as Kafka would, and named in the metadata under the topic's own id. Kafka's directories are only read; Kafka must not be writing to them.
///
/// A log directory tells neither a topic's settings nor its number of partitions: every topic gets `retention.ms=-1` unless the caller says
/// otherwise, and as many partitions as are found.
package struct KafkaImport: Sendable {
    /// Kafka's `log.dirs`, of one broker or of several that together hold all partitions.
    package var directories: [String]
    /// Only these; all where empty.
    package var topics: Set<String> = []
    /// Settings of every topic made.
    package var configs: [String: String] = [:]
    /// Look and tell, but write nothing.
    package var isDryRun = false

    package init(directories: [String]) { self.directories = directories }

    /// - Parameter settings: The broker's, as of its `server.properties`.
    /// - Throws: One line that says what is wrong. What has been imported by then stays so.
    package func run(into settings: [String: String], _ progress: (String) -> Void) async throws -> KafkaImportReport {
        let configuration = try BrokerConfiguration(
            ConfigurationValues(settings), alsoKnown: FrontendConfiguration.knownKeys + BrokerConfigs.definitions.map(\.name))
        var configs = self.configs
        if configs["retention.ms"] == nil { configs["retention.ms"] = "-1" }
        let mode: String
        do throws(ConfigProblem) {
            try TopicConfigs.check(configs)
            mode = try TopicConfigs.mode(configs, brokerDefault: configuration.storageMode)
        } catch { throw ConfigurationError("a topic's setting: \(error)") }
        configs[TopicConfigs.storageMode] = nil
        guard ["isr", "tiered"].contains(mode), configuration.enabledModes.contains(mode) else {
            throw ConfigurationError(
                "storage.mode=\(mode) keeps no files of Kafka's format: import into isr or tiered (--topic-config storage.mode=isr), one of the broker's modes (\(configuration.enabledModes.sorted().joined(separator: ", ")))"
            )
        }
        var report = KafkaImportReport(
            broker: configuration.nodeID.rawValue, storageMode: mode, metadataStore: configuration.metadataStoreURL,
            isDryRun: isDryRun)
        let found = try KafkaLogDirectories(directories).found()
        let wanted = choose(found, &report)
        for name in topics.subtracting(found.map(\.topic)).sorted() {
            throw ConfigurationError("topic \(name) is not in \(directories.joined(separator: ", "))")
        }

        // One that is made by looking at it would know of no topic either.
        if isDryRun, !MetadataStoreURL.exists(configuration.metadataStoreURL) {
            for topic in wanted { report.topics.append(try looked(topic)) }
            return report
        }
        let surroundings = NodeSurroundings.system
        let logger = surroundings.makeLogger("ninefold.import")
        if !isDryRun { _ = try DataDirectory.claim(configuration, logger) }
        let target = try isDryRun ? nil : ImportTarget(configuration, mode: mode, surroundings)
        let store = try surroundings.openMetadataStore(configuration)
        do {
            let operations = MetadataOperations(
                store: store, randomness: surroundings.environment.randomness, placement: { EngineRegistry.placement(of: $0) })
            if !isDryRun {
                let clusterID = try await operations.openCluster().clusterID
                _ = try DataDirectory.bind(configuration, to: clusterID, without: [], logger)
            }
            guard try await !operations.isRunning(configuration.nodeID) else {
                throw ConfigurationError("broker \(configuration.nodeID) is running: stop it, import, and start it again")
            }
            for topic in wanted {
                if let obstacle = try await operations.obstacle(toTopic: topic.name, topic.id) {
                    report.skipped.append(KafkaImportReport.Skipped(name: topic.name, reason: obstacle))
                    continue
                }
                progress("\(topic.name), \(topic.partitions.count) partition\(topic.partitions.count == 1 ? "" : "s")")
                let record = TopicRecord(
                    name: topic.name, id: topic.id, storageMode: mode, partitionCount: Int32(topic.partitions.count),
                    requestedReplicationFactor: 1, configs: configs)
                report.topics.append(try await take(topic, record, target, operations, configuration.nodeID))
            }
        } catch {
            await store.close()
            throw error
        }
        await store.close()
        return report
    }

    private func take(
        _ topic: KafkaTopic, _ record: TopicRecord, _ target: ImportTarget?, _ operations: MetadataOperations, _ broker: BrokerID
    ) async throws -> KafkaImportReport.Topic {
        guard let target else { return try looked(topic) }
        var copies: [ImportedLog] = []
        do {
            for (number, source) in topic.partitions.enumerated() {
                let partition = PartitionID(topicID: topic.id, topic: topic.name, partition: Int32(number))
                copies.append(try target.copy(source, as: partition, inDirectory: number))
            }
            for copy in copies { try target.name(copy) }
        } catch {
            // None of a topic rather than a part of it.
            for copy in copies { target.discard(copy) }
            throw error
        }
        do throws(MetadataOperationError) {
            try await operations.adoptTopic(record, leaderEpochs: copies.map(\.nextEpoch), on: broker)
        } catch {
            // Where the store failed the topic may be there all the same; if it is not, the broker's start sets the logs aside.
            if error.code != .storeFailure { for copy in copies { target.discard(copy) } }
            throw error
        }
        return KafkaImportReport.Topic(name: topic.name, id: topic.id.description, partitions: copies.map(\.report))
    }

    private func looked(_ topic: KafkaTopic) throws -> KafkaImportReport.Topic {
        KafkaImportReport.Topic(
            name: topic.name, id: topic.id.description, partitions: try topic.partitions.map { try $0.looked() })
    }

    /// The topics that can be made of what was found, by name.
    private func choose(_ found: [KafkaPartition], _ report: inout KafkaImportReport) -> [KafkaTopic] {
        var chosen: [KafkaTopic] = []
        for (name, partitions) in Dictionary(grouping: found, by: \.topic).sorted(by: { $0.key < $1.key })
        where topics.isEmpty || topics.contains(name) {
            func skip(_ reason: String) { report.skipped.append(KafkaImportReport.Skipped(name: name, reason: reason)) }
            if name.hasPrefix("__") {
                skip("a topic of Kafka's own; groups begin anew, transactions are not served")
                continue
            }
            let ids = Set(partitions.compactMap(\.topicID))
            guard ids.count <= 1 else {
                skip("its partitions carry different topic ids: \(ids.map(\.description).sorted().joined(separator: ", "))")
                continue
            }
            var byNumber: [Int32: KafkaPartition] = [:]
            for partition in partitions {
                // Of several replicas the one that is furthest.
                if let other = byNumber[partition.number], !partition.isFurther(than: other) { continue }
                byNumber[partition.number] = partition
            }
            let count = (byNumber.keys.max() ?? 0) + 1
            let missing = (0..<count).filter { byNumber[$0] == nil }
            guard missing.isEmpty else {
                skip("partitions \(missing.map(String.init).joined(separator: ", ")) are in none of the directories")
                continue
            }
            var generator = SystemRandomNumberGenerator()
            chosen.append(
                KafkaTopic(
                    // Kafka before 2.8 gave topics no ids.
                    name: name, id: ids.first ?? TopicID.random(using: &generator), partitions: (0..<count).map { byNumber[$0]! }))
        }
        return chosen
    }
}

struct KafkaTopic: Sendable {
    var name: String
    var id: TopicID
    /// Numbered from 0.
    var partitions: [KafkaPartition]
}
