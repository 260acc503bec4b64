//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel
internal import RuntimeEnvironment

/// A topic to be made.
package struct NewTopic: Sendable, Hashable {
    package enum Layout: Sendable, Hashable {
        /// Placed over the live brokers. The caller has put the broker's defaults where the client left them open.
        case automatic(partitionCount: Int32, replicationFactor: Int16)
        /// The brokers of each partition, partitions numbered from 0 without gaps.
        case manual([Int32: [BrokerID]])
    }

    package var name: String
    package var layout: Layout
    package var storageMode: String
    /// Settings that differ from the broker's defaults, already checked.
    package var configs: [String: String]
    package var isInternal: Bool

    package init(
        name: String, layout: Layout, storageMode: String, configs: [String: String] = [:], isInternal: Bool = false
    ) {
        self.name = name
        self.layout = layout
        self.storageMode = storageMode
        self.configs = configs
        self.isInternal = isInternal
    }
}

extension MetadataOperations {
    /// Makes a topic with its partitions, each led by the first of its replicas.
    ///
    /// - Parameter validateOnly: Decide, but make nothing.
    /// - Returns: The records as made (or as they would be), and the revision at which they are.
    package func createTopic(
        _ topic: NewTopic, validateOnly: Bool = false
    ) async throws(MetadataOperationError) -> (topic: TopicRecord, partitions: [PartitionRecord], revision: Int64) {
        if let fault = TopicName.fault(in: topic.name) { throw MetadataOperationError(.invalidTopic, fault) }
        let ((record, partitions), revision) = try await retrying("creating topic '\(topic.name)'") {
            if try await store.get(MetadataKey.topic(topic.name)) != nil {
                throw MetadataOperationError(.topicExists, "topic '\(topic.name)' already exists")
            }
            try await refuseCollision(of: topic.name)
            var generator = RandomSourceGenerator(randomness)
            let hosts = try await brokersForNewReplicas()
            let brokers = hosts.map(\.id)
            let (replicas, replicationFactor) = try assignments(for: topic, brokers: brokers, using: &generator)
            let id = TopicID.random(using: &generator)
            let record = TopicRecord(
                name: topic.name, id: id, storageMode: topic.storageMode, partitionCount: Int32(replicas.count),
                requestedReplicationFactor: replicationFactor, configs: topic.configs, isInternal: topic.isInternal)
            let partitions = replicas.enumerated().map { number, replicas in
                Self.newPartition(id, Int32(number), on: replicas, hosts)
            }
            return Proposal(
                transaction: Transaction(
                    conditions: [.absent(MetadataKey.topic(topic.name))],
                    operations: [.put(MetadataKey.topic(topic.name), RecordCoding.encode(record))] + partitions.map(Self.put)),
                value: (record, partitions), isVoid: validateOnly)
        }
        return (record, partitions, revision)
    }

    /// Adds partitions to a topic.
    ///
    /// - Parameters:
    ///   - partitionCount: How many the topic shall have altogether.
    ///   - assignments: The brokers of each new partition; chosen where nil.
    package func createPartitions(
        topic name: String, partitionCount: Int32, assignments: [[BrokerID]]? = nil, validateOnly: Bool = false
    ) async throws(MetadataOperationError) -> (partitions: [PartitionRecord], revision: Int64) {
        let (partitions, revision) = try await retrying("adding partitions to topic '\(name)'") {
            let topic = try await topic(name)
            var record = topic.record
            guard partitionCount > record.partitionCount else {
                throw MetadataOperationError(
                    .invalidPartitions,
                    "topic '\(name)' has \(record.partitionCount) partitions; their number can only grow, not become \(partitionCount)"
                )
            }
            try Self.check(partitionCount: partitionCount)
            let added = partitionCount - record.partitionCount
            var generator = RandomSourceGenerator(randomness)
            let hosts = try await brokersForNewReplicas()
            let brokers = hosts.map(\.id)
            let placement = placement(record.storageMode)
            var replicas: [[BrokerID]]
            if let assignments {
                guard assignments.count == Int(added) else {
                    throw MetadataOperationError(
                        .invalidReplicaAssignment,
                        "\(added) partitions are to be added, but brokers are named for \(assignments.count)")
                }
                for assignment in assignments {
                    try Self.check(assignment, replicationFactor: Int(record.requestedReplicationFactor), brokers: brokers)
                }
                replicas = assignments
            } else {
                let factor = try Self.check(
                    replicationFactor: record.requestedReplicationFactor, brokers: brokers, placement: placement)
                replicas = ReplicaPlacer.place(
                    partitionCount: Int(added), replicationFactor: factor, brokers: brokers,
                    firstPartition: Int(record.partitionCount), using: &generator)
            }
            if placement == .singleOwner { replicas = replicas.map { [$0[0]] } }
            let partitions = replicas.enumerated().map { index, replicas in
                Self.newPartition(record.id, record.partitionCount + Int32(index), on: replicas, hosts)
            }
            record.partitionCount = partitionCount
            return Proposal(
                transaction: Transaction(
                    conditions: [.revision(MetadataKey.topic(name), topic.revision)],
                    operations: [.put(MetadataKey.topic(name), RecordCoding.encode(record))] + partitions.map(Self.put)),
                value: partitions, isVoid: validateOnly)
        }
        return (partitions, revision)
    }

    private static func newPartition(
        _ topic: TopicID, _ number: Int32, on replicas: [BrokerID], _ hosts: [BrokerRecord]
    ) -> PartitionRecord {
        var record = PartitionRecord(
            topicID: topic, partition: number, leader: replicas[0], replicas: replicas, inSyncReplicas: replicas)
        for replica in replicas {
            if let host = hosts.first(where: { $0.id == replica }) { record.countIn(replica, run: host.epoch) }
        }
        return record
    }

    static func put(_ record: PartitionRecord) -> Transaction.Operation {
        .put(MetadataKey.partition(record.topicID, record.partition), RecordCoding.encode(record))
    }

    // MARK: What may be asked for

    private func refuseCollision(of name: String) async throws {
        // Only a name with one of the two characters can collide with another.
        guard name.utf8.contains(where: { $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "_") }) else { return }
        for stored in try await store.list(prefix: MetadataKey.topics).values {
            let other = String(stored.key.dropFirst(MetadataKey.topics.count))
            if TopicName.collide(name, other) {
                throw MetadataOperationError(
                    .invalidTopic, "topic '\(name)' collides with topic '\(other)': '.' and '_' count as the same character")
            }
        }
    }

    /// The replicas of each partition, and the replication factor to be remembered.
    private func assignments(
        for topic: NewTopic, brokers: [BrokerID], using generator: inout some RandomNumberGenerator
    ) throws(MetadataOperationError) -> (replicas: [[BrokerID]], replicationFactor: Int16) {
        let placement = placement(topic.storageMode)
        switch topic.layout {
        case .automatic(let partitionCount, let replicationFactor):
            try Self.check(partitionCount: partitionCount)
            let factor = try Self.check(replicationFactor: replicationFactor, brokers: brokers, placement: placement)
            let replicas = ReplicaPlacer.place(
                partitionCount: Int(partitionCount), replicationFactor: factor, brokers: brokers, using: &generator)
            return (replicas, replicationFactor)
        case .manual(let assignments):
            try Self.check(partitionCount: Int32(clamping: assignments.count))
            let factor = assignments[0]?.count ?? 0
            var replicas: [[BrokerID]] = []
            for number in 0..<Int32(assignments.count) {
                guard let assignment = assignments[number] else {
                    throw MetadataOperationError(
                        .invalidReplicaAssignment,
                        "partitions are numbered from 0 without gaps, but partition \(number) is not among them")
                }
                try Self.check(assignment, replicationFactor: factor, brokers: brokers)
                replicas.append(placement == .singleOwner ? [assignment[0]] : assignment)
            }
            return (replicas, Int16(clamping: factor))
        }
    }

    private static func check(partitionCount: Int32) throws(MetadataOperationError) {
        guard partitionCount >= 1, partitionCount <= TopicLimits.partitionsMax else {
            throw MetadataOperationError(
                .invalidPartitions, "a topic has 1 to \(TopicLimits.partitionsMax) partitions, not \(partitionCount)")
        }
    }

    /// - Returns: How many replicas each partition gets: 1 where there is a single owner, whatever was asked.
    private static func check(
        replicationFactor: Int16, brokers: [BrokerID], placement: ReplicaPlacement
    ) throws(MetadataOperationError) -> Int {
        guard replicationFactor >= 1 else {
            throw MetadataOperationError(
                .invalidReplicationFactor, "the replication factor must be at least 1, not \(replicationFactor)")
        }
        let needed = placement == .singleOwner ? 1 : Int(replicationFactor)
        guard needed <= brokers.count else {
            throw MetadataOperationError(
                .invalidReplicationFactor,
                "a replication factor of \(needed) needs as many live brokers; there are \(brokers.count)")
        }
        return needed
    }

    static func check(
        _ assignment: [BrokerID], replicationFactor: Int? = nil, brokers: some Collection<BrokerID>
    ) throws(MetadataOperationError) {
        let names = "[\(assignment.map(\.description).joined(separator: ", "))]"
        func refuse(_ why: String) -> MetadataOperationError { MetadataOperationError(.invalidReplicaAssignment, why) }
        guard !assignment.isEmpty else { throw refuse("a partition needs at least one broker") }
        guard Set(assignment).count == assignment.count else { throw refuse("the brokers \(names) of a partition must differ") }
        if let unknown = assignment.first(where: { !brokers.contains($0) }) {
            throw refuse("broker \(unknown) of \(names) is not a live broker of the cluster")
        }
        if let replicationFactor, assignment.count != replicationFactor {
            throw refuse("all partitions of a topic need \(replicationFactor) brokers, not \(assignment.count) as in \(names)")
        }
    }
}
