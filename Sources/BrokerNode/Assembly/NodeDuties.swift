//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import LogEngine
internal import LogModel
internal import Logging
internal import RuntimeEnvironment
internal import Synchronization

/// What the metadata asks of this broker besides holding partitions: recovering a dead broker's data, deleting topics.
final class NodeDuties: Sendable {
    private struct State {
        var recovering: Set<RecoveryRecord> = []
        /// Deaths that are another broker's to recover, and that the engines have been told of.
        var told: Set<BrokerRun> = []
        var deleting: Set<TopicID> = []
        var isStopped = false
    }

    private let brokerID: BrokerID
    private let registry: EngineRegistry
    private let cache: MetadataCache
    private let operations: MetadataOperations
    private let volumes: WALVolumes
    private let clock: any Clock
    private let logger: Logger
    private let state = Mutex(State())

    init(
        brokerID: BrokerID, registry: EngineRegistry, cache: MetadataCache, operations: MetadataOperations, volumes: WALVolumes,
        clock: any Clock, logger: Logger
    ) {
        self.brokerID = brokerID
        self.registry = registry
        self.cache = cache
        self.operations = operations
        self.volumes = volumes
        self.clock = clock
        self.logger = logger
    }

    func stop() { state.withLock { $0.isStopped = true } }

    /// Takes up what is assigned in the current image. Idempotent; called after every change of duties.
    func look() {
        let image = cache.current
        for recovery in image.recoveryDuties(of: brokerID) {
            let starts = state.withLock { !$0.isStopped && $0.recovering.insert(recovery).inserted }
            if starts { Task { await self.recover(recovery) } }
        }
        for recovery in image.recoveries.values.map(\.record) where recovery.assignee != brokerID && recovery.broker != brokerID {
            let run = BrokerRun(broker: recovery.broker, epoch: recovery.epoch)
            let starts = state.withLock { !$0.isStopped && $0.told.insert(run).inserted }
            if starts { Task { await self.tell(recovery) } }
        }
        for duty in image.deletionDuties(of: brokerID) {
            let starts = state.withLock { !$0.isStopped && $0.deleting.insert(duty.topic.id).inserted }
            if starts { Task { await self.delete(duty) } }
        }
    }

    private func recover(_ recovery: RecoveryRecord) async {
        await retry("Recovery of a dead broker's data failed; trying again", ["broker": "\(recovery.broker)"]) {
            do {
                try await self.volumes.learn(recovery.broker)
                for engine in self.registry.engines {
                    try await engine.brokerDied(recovery.broker, epoch: recovery.epoch, assigned: true)
                }
            } catch {
                // Back, it waits for this one, and is nearer to its data.
                guard recovery.broker != self.brokerID, self.cache.current.isLive(recovery.broker) else { throw error }
                self.logger.notice(
                    "A broker whose data cannot be recovered from here is back; it recovers them itself",
                    metadata: ["broker": "\(recovery.broker)", "error": "\(error)"])
                return try await self.operations.handBackRecovery(recovery)
            }
            try await self.operations.completeRecovery(recovery)
        } while: {
            self.cache.current.recoveryDuties(of: self.brokerID).contains(recovery)
        }
        state.withLock { _ = $0.recovering.remove(recovery) }
    }

    private func tell(_ recovery: RecoveryRecord) async {
        await retry("An engine could not take note of a dead broker; trying again", ["broker": "\(recovery.broker)"]) {
            for engine in self.registry.engines {
                try await engine.brokerDied(recovery.broker, epoch: recovery.epoch, assigned: false)
            }
        } while: {
            self.cache.current.recoveries[recovery.broker]?.record.epoch == recovery.epoch
        }
    }

    /// Deletes logs that the engines found on their volumes and whose topics were deleted while this broker was away. One whose topic nobody
    /// is known to have deleted is set aside: the metadata may be older than it is (restored from a copy, or another cluster's).
    ///
    /// Called once, after the engines' start, with an image not older than that.
    func clearStrays() async throws(MetadataOperationError) {
        let image = cache.current
        var deleted: Set<TopicID>?
        for engine in registry.engines {
            for partition in engine.logs.map(\.assignment.partition)
            where image.partitionID(partition.topicID, partition.partition) == nil {
                if deleted == nil { deleted = try await operations.deletedTopics() }
                let wasDeleted = deleted?.contains(partition.topicID) ?? false
                do {
                    if !wasDeleted, let path = try await registry.replicated.setAside(partition) {
                        logger.warning(
                            "The metadata know nothing of a topic, nor that it was deleted; its log is set aside. Remove the directory if it is not wanted",
                            metadata: ["partition": "\(partition)", "topic id": "\(partition.topicID)", "directory": "\(path)"])
                        continue
                    }
                    logger.notice(
                        "Topic was deleted while the broker was away; deleting its data here",
                        metadata: ["partition": "\(partition)"])
                    try await engine.delete(partition, ownsSharedData: false)
                } catch {
                    logger.warning(
                        "Data of a deleted topic could not be removed; the next start tries again",
                        metadata: ["partition": "\(partition)", "error": "\(error)"])
                }
            }
        }
    }

    private func delete(_ duty: DeletionDuty) async {
        await retry("Deletion of a topic's data failed; trying again", ["topic": "\(duty.topic.name)"]) {
            if let engine = self.registry[duty.topic.storageMode] {
                for number in Set(duty.localPartitions).union(duty.ownedPartitions).sorted() {
                    let partition = PartitionID(topicID: duty.topic.id, topic: duty.topic.name, partition: number)
                    try await engine.delete(partition, ownsSharedData: duty.ownedPartitions.contains(number))
                }
            }
            try await self.operations.acknowledgeDeletion(duty)
        } while: {
            self.cache.current.deletionDuties(of: self.brokerID).contains { $0.topic.id == duty.topic.id }
        }
        state.withLock { _ = $0.deleting.remove(duty.topic.id) }
    }

    private func retry(
        _ message: String, _ metadata: Logger.Metadata, _ body: () async throws -> Void, while isWanted: () -> Bool
    ) async {
        var delay: Duration = .milliseconds(50)
        while !state.withLock(\.isStopped), isWanted() {
            do {
                try await body()
                return
            } catch {
                logger.warning("\(message)", metadata: metadata.merging(["error": "\(error)"]) { $1 })
                try? await clock.sleep(for: delay)
                delay = min(delay * 2, .seconds(5))
            }
        }
    }
}
