//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import KafkaProtocol
package import LogModel
internal import RuntimeEnvironment

extension KafkaClientError {
    /// Throws for any code but none.
    package static func check(
        _ code: ErrorCode, _ what: @autoclosure () -> String, message: String? = nil
    ) throws(KafkaClientError) {
        guard code != .none else { return }
        let detail = message.map { $0.isEmpty ? "" : ": \($0)" } ?? ""
        throw KafkaClientError(.broker(code), "\(what()): \(code)\(detail)")
    }
}

/// A partition on its way to other brokers.
package struct OngoingReassignment: Sendable, Hashable {
    package var topic: String
    package var partition: Int32
    package var replicas: [BrokerID]
    package var adding: [BrokerID]
    package var removing: [BrokerID]
}

extension KafkaClient {
    /// Creates a topic. Its partitions may have no leader yet on return: see ``waitForLeaders(of:)``.
    ///
    /// - Parameters:
    ///   - partitions: How many; ignored where `assignments` says which brokers hold each.
    ///   - assignments: Replicas of partition 0, 1, …, the preferred leader first; nil to let the cluster choose.
    package func createTopic(
        _ name: String, partitions: Int, replicationFactor: Int, configuration: [String: String] = [:],
        assignments: [[BrokerID]]? = nil
    ) async throws(KafkaClientError) {
        var topic = CreateTopicsRequest.CreatableTopic()
        topic.name = name
        topic.numPartitions = assignments == nil ? Int32(partitions) : -1
        topic.replicationFactor = assignments == nil ? Int16(replicationFactor) : -1
        for (index, brokers) in (assignments ?? []).enumerated() {
            var assignment = CreateTopicsRequest.CreatableReplicaAssignment()
            assignment.partitionIndex = Int32(index)
            assignment.brokerIds = brokers.map(\.rawValue)
            topic.assignments.append(assignment)
        }
        for (key, value) in configuration.sorted(by: { $0.key < $1.key }) {
            var entry = CreateTopicsRequest.CreatableTopicConfig()
            entry.name = key
            entry.value = value
            topic.configs.append(entry)
        }
        let request = CreateTopicsRequest(topics: [topic], timeoutMs: Int32(requestTimeout.inMilliseconds))
        _ = try await callController(request) { (answer) throws(KafkaClientError) in
            for result in answer.topics {
                try KafkaClientError.check(result.errorCode, "topic \(result.name) was not created", message: result.errorMessage)
            }
        }
    }

    package func deleteTopics(_ names: [String]) async throws(KafkaClientError) {
        var request = DeleteTopicsRequest()
        request.topicNames = names
        request.timeoutMs = Int32(requestTimeout.inMilliseconds)
        // From version 6 on, topics are given in another field.
        _ = try await callController(request, versionMax: 5) { (answer) throws(KafkaClientError) in
            for result in answer.responses {
                try KafkaClientError.check(
                    result.errorCode, "topic \(result.name ?? "") was not deleted", message: result.errorMessage)
            }
        }
    }

    /// Asks for partitions to be moved, and returns once that is accepted.
    ///
    /// - Parameter targets: The brokers to hold each partition, the preferred leader first; nil to call a move off.
    package func alterPartitionReassignments(
        topic: String, _ targets: [Int32: [BrokerID]?]
    ) async throws(KafkaClientError) {
        var entry = AlterPartitionReassignmentsRequest.ReassignableTopic()
        entry.name = topic
        for (partition, brokers) in targets.sorted(by: { $0.key < $1.key }) {
            var move = AlterPartitionReassignmentsRequest.ReassignablePartition()
            move.partitionIndex = partition
            move.replicas = brokers?.map(\.rawValue)
            entry.partitions.append(move)
        }
        var request = AlterPartitionReassignmentsRequest()
        request.timeoutMs = Int32(requestTimeout.inMilliseconds)
        request.topics = [entry]
        _ = try await callController(request) { (answer) throws(KafkaClientError) in
            try KafkaClientError.check(answer.errorCode, "the reassignment was refused", message: answer.errorMessage)
            for topic in answer.responses {
                for partition in topic.partitions {
                    try KafkaClientError.check(
                        partition.errorCode, "the reassignment of \(topic.name)-\(partition.partitionIndex) was refused",
                        message: partition.errorMessage)
                }
            }
        }
    }

    /// Partitions that are being moved now.
    package func listPartitionReassignments() async throws(KafkaClientError) -> [OngoingReassignment] {
        var request = ListPartitionReassignmentsRequest()
        request.timeoutMs = Int32(requestTimeout.inMilliseconds)
        let answer = try await callController(request) { (answer) throws(KafkaClientError) in
            try KafkaClientError.check(answer.errorCode, "reassignments were not listed", message: answer.errorMessage)
        }
        return answer.topics.flatMap { topic in
            topic.partitions.map {
                OngoingReassignment(
                    topic: topic.name, partition: $0.partitionIndex, replicas: $0.replicas.map { BrokerID($0) },
                    adding: $0.addingReplicas.map { BrokerID($0) }, removing: $0.removingReplicas.map { BrokerID($0) })
            }
        }
    }

    /// What one broker's log directories hold.
    package func describeLogDirectories(
        of broker: BrokerID
    ) async throws(KafkaClientError) -> [DescribeLogDirsResponse.DescribeLogDirsResult] {
        var request = DescribeLogDirsRequest()
        request.topics = nil
        let answer = try await connection(to: broker).send(request, timeout: requestTimeout)
        try KafkaClientError.check(answer.errorCode, "broker \(broker) did not describe its log directories")
        return answer.results
    }

    /// Has one broker's replicas moved to another of its log directories.
    ///
    /// - Returns: The broker's answer for each partition.
    package func alterReplicaLogDirectories(
        of broker: BrokerID, topic: String, partitions: [Int32], to path: String
    ) async throws(KafkaClientError) -> [Int32: ErrorCode] {
        let request = AlterReplicaLogDirsRequest(dirs: [.init(path: path, topics: [.init(name: topic, partitions: partitions)])])
        let answer = try await connection(to: broker).send(request, timeout: requestTimeout)
        let results = answer.results.flatMap(\.partitions).map { ($0.partitionIndex, $0.errorCode) }
        return Dictionary(results, uniquingKeysWith: { _, last in last })
    }

    /// A topic's configuration, values by key.
    package func describeConfiguration(ofTopic topic: String) async throws(KafkaClientError) -> [String: String] {
        var resource = DescribeConfigsRequest.DescribeConfigsResource()
        resource.resourceType = 2
        resource.resourceName = topic
        resource.configurationKeys = nil
        var request = DescribeConfigsRequest()
        request.resources = [resource]
        let answer = try await callAny(request) { (answer) throws(KafkaClientError) in
            for result in answer.results {
                try KafkaClientError.check(
                    result.errorCode, "the configuration of \(result.resourceName) was not described", message: result.errorMessage)
            }
        }
        var values: [String: String] = [:]
        for entry in answer.results.first?.configs ?? [] { values[entry.name] = entry.value }
        return values
    }

    /// Sets (or, with nil, removes) keys of a topic's configuration.
    package func alterConfiguration(ofTopic topic: String, _ changes: [String: String?]) async throws(KafkaClientError) {
        try await alterConfiguration(resourceType: 2, name: topic, changes)
    }

    /// The same for a broker; an empty name means all brokers.
    package func alterConfiguration(ofBroker broker: String, _ changes: [String: String?]) async throws(KafkaClientError) {
        try await alterConfiguration(resourceType: 4, name: broker, changes)
    }

    private func alterConfiguration(
        resourceType: Int8, name: String, _ changes: [String: String?]
    ) async throws(KafkaClientError) {
        var resource = IncrementalAlterConfigsRequest.AlterConfigsResource()
        resource.resourceType = resourceType
        resource.resourceName = name
        for (key, value) in changes.sorted(by: { $0.key < $1.key }) {
            var change = IncrementalAlterConfigsRequest.AlterableConfig()
            change.name = key
            // 0 sets, 1 deletes (KIP-339).
            change.configOperation = value == nil ? 1 : 0
            change.value = value
            resource.configs.append(change)
        }
        var request = IncrementalAlterConfigsRequest()
        request.resources = [resource]
        _ = try await callController(request) { (answer) throws(KafkaClientError) in
            for result in answer.responses {
                try KafkaClientError.check(
                    result.errorCode, "the configuration of \(result.resourceName) was not changed", message: result.errorMessage)
            }
        }
    }

    /// The offset that ListOffsets answers for `timestamp`: -1 the end, -2 the start, else the first record at or after it (-1 none).
    package func listOffset(
        of topic: String, partition: Int32, timestamp: Int64
    ) async throws(KafkaClientError) -> Int64 {
        var asked = ListOffsetsRequest.ListOffsetsPartition()
        asked.partitionIndex = partition
        asked.timestamp = timestamp
        var entry = ListOffsetsRequest.ListOffsetsTopic()
        entry.name = topic
        entry.partitions = [asked]
        var request = ListOffsetsRequest()
        request.replicaId = -1
        request.topics = [entry]
        let answer = try await callLeader(of: topic, partition: partition, request, versionMax: 7) {
            (answer) throws(KafkaClientError) in
            for topic in answer.topics {
                for partition in topic.partitions {
                    try KafkaClientError.check(
                        partition.errorCode, "no offset of \(topic.name)-\(partition.partitionIndex) was told")
                }
            }
        }
        return answer.topics.first?.partitions.first?.offset ?? -1
    }
}
