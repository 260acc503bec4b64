//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel

extension MetadataOperations {
    /// Begins, or with a nil `target` cancels, the move of a partition (KIP-455).
    ///
    /// - Parameter allowReplicationFactorChange: Whether a replicated partition may get more or fewer replicas (KIP-860).
    @discardableResult
    package func reassign(
        topic name: String, partition number: Int32, to target: [BrokerID]?, allowReplicationFactorChange: Bool = true
    ) async throws(MetadataOperationError) -> (partition: PartitionRecord, revision: Int64) {
        try await changePartition(name, number) { record, topic, brokers throws(MetadataOperationError) in
            let placement = placement(topic.storageMode)
            guard let target else { return try Reassignment.cancel(record, placement: placement, brokers: brokers) }
            let factor = record.replicas.count - record.addingReplicas.filter { !record.removingReplicas.contains($0) }.count
            if placement == .replicated, !allowReplicationFactorChange, target.count != factor {
                throw MetadataOperationError(
                    .invalidReplicationFactor, "partition \(name)-\(number) has \(factor) replicas, not \(target.count)")
            }
            return try Reassignment.begin(record, target: target, placement: placement, brokers: brokers)
        }
    }

    /// Elects the preferred leader; or, `unclean`, any live replica where no one leads (KIP-460).
    @discardableResult
    package func electLeader(
        topic name: String, partition number: Int32, unclean: Bool = false
    ) async throws(MetadataOperationError) -> (partition: PartitionRecord, revision: Int64) {
        try await changePartition(name, number) { record, topic, brokers throws(MetadataOperationError) in
            let placement = placement(topic.storageMode)
            guard unclean else { return try LeaderElection.electPreferred(record, placement: placement, brokers: brokers) }
            if let leader = record.leader, brokers.live.contains(leader) {
                throw MetadataOperationError(.electionNotNeeded, "partition \(name)-\(number) has a leader")
            }
            guard placement == .replicated, let next = LeaderElection.elect(record, brokers: brokers, unclean: true),
                next.leader != nil
            else {
                throw MetadataOperationError(.eligibleLeadersNotAvailable, "no replica of partition \(name)-\(number) is alive")
            }
            return next
        }
    }

    private func changePartition(
        _ name: String, _ number: Int32,
        _ change: (PartitionRecord, TopicRecord, BrokerAvailability) throws(MetadataOperationError) -> PartitionRecord
    ) async throws(MetadataOperationError) -> (partition: PartitionRecord, revision: Int64) {
        let (record, revision) = try await retrying("changing partition \(name)-\(number)") {
            let topic = try await topic(name)
            let key = MetadataKey.partition(topic.record.id, number)
            guard let old = try await read(PartitionRecord.self, key) else {
                throw MetadataOperationError.unknownPartition(name, number)
            }
            let brokers = try await liveBrokers()
            let availability = BrokerAvailability(
                live: Set(brokers.map(\.id)), draining: Set(brokers.filter(\.isDraining).map(\.id)),
                epochs: Dictionary(uniqueKeysWithValues: brokers.map { ($0.id, $0.epoch) }))
            let next = try change(old.record, topic.record, availability.able(old.record))
            return Proposal(
                transaction: Transaction(
                    conditions: [.revision(key, old.revision), .exists(MetadataKey.topic(name))], operations: [Self.put(next)]),
                value: next, isVoid: next == old.record)
        }
        return (record, revision)
    }

    // MARK: Deletion

    /// Marks a topic as deleted. Clients see it no longer; its records go once the brokers have let go of its data.
    @discardableResult
    package func deleteTopic(_ name: String) async throws(MetadataOperationError) -> (topic: TopicRecord, revision: Int64) {
        let (record, revision) = try await retrying("deleting topic '\(name)'") {
            let topic = try await topic(name)
            var record = topic.record
            record.isBeingDeleted = true
            return Proposal(
                transaction: Transaction(
                    conditions: [.revision(MetadataKey.topic(name), topic.revision)],
                    operations: [.put(MetadataKey.topic(name), RecordCoding.encode(record))]),
                value: record)
        }
        return (record, revision)
    }

    /// A broker has done its ``DeletionDuty``.
    package func acknowledgeDeletion(_ duty: DeletionDuty) async throws(MetadataOperationError) {
        _ = try await retrying("acknowledging the deletion of topic '\(duty.topic.name)'") {
            let record = DeletionAcknowledgement(
                topicID: duty.topic.id, broker: duty.broker, ownedPartitions: duty.ownedPartitions.sorted())
            let key = MetadataKey.deletion(of: duty.topic.id)
            let isPending = try await store.get(key) != nil
            return Proposal(
                transaction: Transaction(
                    // Once the records are gone nothing may be left behind.
                    conditions: [.exists(key)],
                    operations: [
                        .put(MetadataKey.deletion(of: duty.topic.id, by: duty.broker), RecordCoding.encode(record))
                    ]),
                value: (), isVoid: !isPending)
        }
    }

    // MARK: Recovery

    /// The assignee has taken over what a dead broker left.
    package func completeRecovery(_ recovery: RecoveryRecord) async throws(MetadataOperationError) {
        _ = try await retrying("completing the recovery of broker \(recovery.broker)") {
            let key = MetadataKey.recovery(of: recovery.broker)
            let current = try await read(RecoveryRecord.self, key)
            let closedKey = MetadataKey.closedEpoch(recovery.broker)
            let closed = try await store.get(closedKey)
            let epoch = try max(recovery.epoch.rawValue, closed.map(RecordCoding.decodeDecimal) ?? -1)
            return Proposal(
                transaction: Transaction(
                    conditions: [
                        current.map { .revision(key, $0.revision) } ?? .absent(key),
                        closed.map { .revision(closedKey, $0.modRevision) } ?? .absent(closedKey),
                    ],
                    operations: [.delete(key), .put(closedKey, RecordCoding.encode(decimal: epoch))]),
                // Another was named, or a later run of the broker died: then that is another duty.
                value: (), isVoid: current?.record != recovery)
        }
    }

    /// The assignee cannot take over what the broker left, and the broker is back: it shall do so itself.
    package func handBackRecovery(_ recovery: RecoveryRecord) async throws(MetadataOperationError) {
        _ = try await retrying("handing back the recovery of broker \(recovery.broker)") {
            let key = MetadataKey.recovery(of: recovery.broker)
            let current = try await read(RecoveryRecord.self, key)
            var next = recovery
            next.assignee = recovery.broker
            return Proposal(
                transaction: Transaction(
                    conditions: [current.map { .revision(key, $0.revision) } ?? .absent(key)],
                    operations: [.put(key, RecordCoding.encode(next))]),
                value: (), isVoid: current?.record != recovery)
        }
    }
}
