//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel
internal import RuntimeEnvironment

extension MetadataOperations {
    /// Whether a broker of that id has a lease.
    package func isRunning(_ broker: BrokerID) async throws(MetadataOperationError) -> Bool {
        do throws(MetadataStoreError) { return try await store.get(MetadataKey.broker(broker)) != nil } catch {
            throw MetadataOperationError(error)
        }
    }

    /// Why a topic of that name and id cannot be made; nil if it can.
    package func obstacle(toTopic name: String, _ id: TopicID) async throws(MetadataOperationError) -> String? {
        if let fault = TopicName.fault(in: name) { return fault }
        do throws(MetadataStoreError) {
            for stored in try await store.list(prefix: MetadataKey.topics).values {
                let other = try RecordCoding.decode(TopicRecord.self, from: stored)
                if other.name == name { return "the cluster has a topic of that name" }
                if other.id == id { return "the cluster has topic '\(other.name)' with the same id, \(id)" }
                if TopicName.collide(name, other.name) { return "the name collides with topic '\(other.name)'" }
            }
            return nil
        } catch { throw MetadataOperationError(error) }
    }

    /// Makes a topic of logs that lie in a broker's directories already, each with that broker as its only replica. Durable on return.
    ///
    /// - Parameters:
    ///   - leaderEpochs: Of each partition, numbered from 0: later than every epoch of its log.
    ///   - broker: Not running; its next start takes them up.
    /// - Throws: ``MetadataOperationError/Code/topicExists``, ``MetadataOperationError/Code/nodeIDInUse`` if it has been started meanwhile.
    package func adoptTopic(
        _ topic: TopicRecord, leaderEpochs: [LeaderEpoch], on broker: BrokerID
    ) async throws(MetadataOperationError) {
        let partitions = leaderEpochs.enumerated().map { number, epoch in
            PartitionRecord(
                topicID: topic.id, partition: Int32(number), leader: broker, leaderEpoch: epoch, replicas: [broker],
                inSyncReplicas: [broker])
        }
        _ = try await retrying("making topic '\(topic.name)'") {
            if try await store.get(MetadataKey.topic(topic.name)) != nil {
                throw MetadataOperationError(.topicExists, "topic '\(topic.name)' already exists")
            }
            if try await store.get(MetadataKey.broker(broker)) != nil {
                throw MetadataOperationError(.nodeIDInUse, "broker \(broker) has been started meanwhile")
            }
            return Proposal(
                transaction: Transaction(
                    conditions: [.absent(MetadataKey.topic(topic.name)), .absent(MetadataKey.broker(broker))],
                    operations: [
                        .put(MetadataKey.topic(topic.name), RecordCoding.encode(topic)),
                        .delete(MetadataKey.deletedTopic(topic.id)),
                    ] + partitions.map(Self.put)),
                value: ())
        }
    }
}
