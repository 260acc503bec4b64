//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation
package import LogModel
internal import RuntimeEnvironment

extension MetadataOperations {
    /// Layout of the whole store that this version writes and the highest it reads.
    package static let formatVersion = 1

    /// The cluster's own record; made, with a random id, by whoever comes first.
    ///
    /// - Throws: ``MetadataOperationError/Code/unsupportedFormat`` if a newer version wrote the store.
    package func openCluster() async throws(MetadataOperationError) -> ClusterRecord {
        let (record, _) = try await retrying("making the cluster's record") { () async throws -> Proposal<ClusterRecord> in
            if let old = try await read(ClusterRecord.self, MetadataKey.cluster)?.record {
                return Proposal(transaction: Transaction(operations: []), value: old, isVoid: true)
            }
            var generator = RandomSourceGenerator(randomness)
            // Kafka's cluster ids are random UUIDs in the same text form as topic ids.
            let record = ClusterRecord(
                clusterID: TopicID.random(using: &generator).description, formatVersion: Self.formatVersion)
            return Proposal(
                transaction: Transaction(
                    conditions: [.absent(MetadataKey.cluster)], operations: [.put(MetadataKey.cluster, RecordCoding.encode(record))]
                ),
                value: record)
        }
        guard record.formatVersion <= Self.formatVersion else {
            throw MetadataOperationError(
                .unsupportedFormat,
                "the cluster's metadata were written by a newer version (format \(record.formatVersion), this one reads up to "
                    + "\(Self.formatVersion)): start that version again")
        }
        return record
    }

    /// Changes a topic's settings. `change` may run more than once.
    @discardableResult
    package func alterTopicConfigs(
        _ name: String, validateOnly: Bool = false,
        _ change: @Sendable (inout [String: String]) throws(MetadataOperationError) -> Void
    ) async throws(MetadataOperationError) -> (topic: TopicRecord, revision: Int64) {
        let (record, revision) = try await retrying("changing the settings of topic '\(name)'") {
            let topic = try await topic(name)
            var record = topic.record
            try change(&record.configs)
            return Proposal(
                transaction: Transaction(
                    conditions: [.revision(MetadataKey.topic(name), topic.revision)],
                    operations: [.put(MetadataKey.topic(name), RecordCoding.encode(record))]),
                value: record, isVoid: validateOnly || record == topic.record)
        }
        return (record, revision)
    }

    /// Changes the settings of one broker, or those common to all where `broker` is nil. `change` may run more than once.
    @discardableResult
    package func alterBrokerConfigs(
        _ broker: BrokerID?, validateOnly: Bool = false,
        _ change: @Sendable (inout [String: String]) throws(MetadataOperationError) -> Void
    ) async throws(MetadataOperationError) -> (configs: [String: String], revision: Int64) {
        let key = MetadataKey.brokerConfig(broker)
        let (configs, revision) = try await retrying("changing broker settings") {
            let old = try await read(ConfigRecord.self, key)
            var record = old?.record ?? ConfigRecord(configs: [:])
            try change(&record.configs)
            return Proposal(
                transaction: Transaction(
                    conditions: [old.map { .revision(key, $0.revision) } ?? .absent(key)],
                    operations: [.put(key, RecordCoding.encode(record))]),
                value: record.configs, isVoid: validateOnly || record == old?.record)
        }
        return (configs, revision)
    }

    /// Producer ids that no other broker gives out.
    package func allocateProducerIDs(count: Int64 = 1_000) async throws(MetadataOperationError) -> Range<Int64> {
        let key = MetadataKey.producerIDs
        let (block, _) = try await retrying("allocating producer ids") {
            let stored = try await store.get(key)
            let first = try stored.map(RecordCoding.decodeDecimal) ?? 0
            let (end, overflow) = first.addingReportingOverflow(count)
            guard !overflow else { throw MetadataOperationError(.invalidRequest, "all producer ids have been given out") }
            return Proposal(
                transaction: Transaction(
                    conditions: [stored.map { .revision(key, $0.modRevision) } ?? .absent(key)],
                    operations: [.put(key, RecordCoding.encode(decimal: end))]),
                value: first..<end)
        }
        return block
    }

    /// Ids of the log directories that a broker has had since this was last recorded; empty for a broker that is new.
    package func logDirectories(of broker: BrokerID) async throws(MetadataOperationError) -> Set<String> {
        do throws(MetadataStoreError) {
            return Set(try await read([String].self, MetadataKey.logDirectories(of: broker))?.record ?? [])
        } catch { throw MetadataOperationError(error) }
    }

    /// Topics deleted in the last days.
    package func deletedTopics() async throws(MetadataOperationError) -> Set<TopicID> {
        do throws(MetadataStoreError) {
            let stored = try await store.list(prefix: MetadataKey.deletedTopics).values
            return Set(stored.compactMap { TopicID(hex: String($0.key.dropFirst(MetadataKey.deletedTopics.count))) })
        } catch { throw MetadataOperationError(error) }
    }

    /// Durable on return.
    package func recordLogDirectories(_ ids: Set<String>, of broker: BrokerID) async throws(MetadataOperationError) {
        _ = try await retrying("recording the log directories of broker \(broker)") {
            Proposal(
                transaction: Transaction(
                    operations: [.put(MetadataKey.logDirectories(of: broker), RecordCoding.encode(ids.sorted()))]),
                value: ())
        }
    }
}
