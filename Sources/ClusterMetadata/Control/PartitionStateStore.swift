//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel

/// What a partition's leader itself changes of its record: the ISR, and the end of a hand-over. By compare-and-set, so that a leader
/// that is one no longer changes nothing.
package struct PartitionStateStore: Sendable {
    package enum Change: Sendable, Hashable {
        case updated(PartitionRecord)
        /// Somebody else changed the record; this is it now. Nil if the partition is gone.
        case fenced(PartitionRecord?)
        /// These brokers may not be added: not alive, about to stop, of another run, or no replicas.
        case ineligible([BrokerID])
    }

    private let store: any MetadataStore

    package init(store: any MetadataStore) { self.store = store }

    package func read(_ topic: TopicID, _ partition: Int32) async throws(MetadataStoreError) -> PartitionRecord? {
        try await stored(topic, partition)?.record
    }

    /// Sets the ISR (Kafka's AlterPartition, KIP-497). Durable on return.
    ///
    /// - Parameters:
    ///   - expectedPartitionEpoch: The record that the leader decided upon.
    ///   - inSyncReplicas: Holds the leader.
    ///   - brokerEpochs: Runs in which the members fetched, where known: one of another run may have lost what it had (KIP-903).
    package func changeInSyncReplicas(
        _ partition: PartitionID, leader: BrokerID, leaderEpoch: LeaderEpoch, expectedPartitionEpoch: Int64,
        inSyncReplicas: [BrokerID], brokerEpochs: [BrokerID: BrokerEpoch] = [:]
    ) async throws(MetadataStoreError) -> Change {
        precondition(inSyncReplicas.contains(leader), "a leader is in its own ISR")
        while true {
            guard let old = try await stored(partition.topicID, partition.partition) else { return .fenced(nil) }
            guard old.record.leader == leader, old.record.leaderEpoch == leaderEpoch,
                old.record.partitionEpoch == expectedPartitionEpoch
            else { return .fenced(old.record) }
            // A leader whose lease is gone must not shrink the ISR to itself before the election.
            var conditions: [Transaction.Condition] = [.exists(MetadataKey.broker(leader))]
            var ineligible: [BrokerID] = []
            var added: [BrokerRun] = []
            for member in inSyncReplicas where !old.record.inSyncReplicas.contains(member) {
                guard old.record.replicas.contains(member), !old.record.isOffline(member),
                    let stored = try await store.get(MetadataKey.broker(member))
                else {
                    ineligible.append(member)
                    continue
                }
                let record = try RecordCoding.decode(BrokerRecord.self, from: stored)
                if record.isDraining || brokerEpochs[member].map({ $0 != record.epoch }) == true { ineligible.append(member) }
                conditions.append(.revision(stored.key, stored.modRevision))
                added.append(BrokerRun(broker: member, epoch: record.epoch))
            }
            guard ineligible.isEmpty else { return .ineligible(ineligible) }
            var next = old.record
            next.inSyncReplicas = old.record.replicas.filter(inSyncReplicas.contains)
            for run in added { next.countIn(run.broker, run: run.epoch) }
            guard let next = next.bumped(after: old.record) else { return .updated(old.record) }
            if try await commit(next, after: old, conditions) { return .updated(next) }
            guard try await store.get(MetadataKey.broker(leader)) != nil else { return .fenced(old.record) }
        }
    }

    /// Notes that a replica's log directory failed, or that the replica is there again. The controller then sees who is to lead.
    package func setOffline(
        _ partition: PartitionID, replica: BrokerID, _ isOffline: Bool
    ) async throws(MetadataStoreError) -> Change {
        while true {
            guard let old = try await stored(partition.topicID, partition.partition) else { return .fenced(nil) }
            guard old.record.replicas.contains(replica) else { return .fenced(old.record) }
            var next = old.record
            let others = (old.record.offlineReplicas ?? []).filter { $0 != replica }
            next.offlineReplicas = isOffline ? others + [replica] : others.isEmpty ? nil : others
            guard old.record.isOffline(replica) != isOffline, let next = next.bumped(after: old.record) else {
                return .updated(old.record)
            }
            if try await commit(next, after: old, []) { return .updated(next) }
        }
    }

    /// Makes `heir` the owner of a single-owner partition, in the next leader epoch. To be called by the owner when it has closed the
    /// log and everything is where the heir finds it; from then on it must not append.
    ///
    /// - Returns: `.ineligible` if the heir is not alive: the owner keeps the partition.
    package func completeHandover(
        _ partition: PartitionID, from owner: BrokerID, to heir: BrokerID, leaderEpoch: LeaderEpoch
    ) async throws(MetadataStoreError) -> Change {
        while true {
            guard let old = try await stored(partition.topicID, partition.partition) else { return .fenced(nil) }
            guard old.record.leader == owner, old.record.leaderEpoch == leaderEpoch, old.record.addingReplicas.contains(heir) else {
                return .fenced(old.record)
            }
            var next = old.record
            next.lead(heir, after: old.record)
            next.own(heir)
            // Nil: it has just died. Whoever takes over from it needs no run of its.
            if let stored = try await store.get(MetadataKey.broker(heir)) {
                next.countIn(heir, run: try RecordCoding.decode(BrokerRecord.self, from: stored).epoch)
            }
            next = next.bumped(after: old.record)!
            let conditions: [Transaction.Condition] = [.exists(MetadataKey.broker(owner)), .exists(MetadataKey.broker(heir))]
            if try await commit(next, after: old, conditions) { return .updated(next) }
            guard try await store.get(MetadataKey.broker(owner)) != nil else { return .fenced(old.record) }
            guard try await store.get(MetadataKey.broker(heir)) != nil else { return .ineligible([heir]) }
        }
    }

    private func stored(_ topic: TopicID, _ partition: Int32) async throws(MetadataStoreError) -> Versioned<PartitionRecord>? {
        guard let stored = try await store.get(MetadataKey.partition(topic, partition)) else { return nil }
        return Versioned(try RecordCoding.decode(PartitionRecord.self, from: stored), revision: stored.modRevision)
    }

    private func commit(
        _ record: PartitionRecord, after old: Versioned<PartitionRecord>, _ conditions: [Transaction.Condition]
    ) async throws(MetadataStoreError) -> Bool {
        let key = MetadataKey.partition(record.topicID, record.partition)
        let transaction = Transaction(
            conditions: [.revision(key, old.revision)] + conditions, operations: [.put(key, RecordCoding.encode(record))])
        return try await store.commit(transaction).succeeded
    }
}
