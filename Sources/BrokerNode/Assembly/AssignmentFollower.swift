//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import LogEngine
internal import LogModel
internal import Logging
internal import RuntimeEnvironment
internal import Synchronization

/// Makes the engines hold what the metadata says this broker holds: one worker task per partition with something to do, always
/// towards the newest record, so that a slow partition holds up no other and missed steps are skipped.
final class AssignmentFollower: Sendable {
    typealias ConfigurationOf = @Sendable (TopicRecord) throws -> LogConfiguration

    private struct State {
        var isRunning: Set<PartitionID> = []
        var isDirty: Set<PartitionID> = []
        /// Partitions an engine holds or may hold, with their mode.
        var held: [PartitionID: String] = [:]
        /// Replicas that may lie in a log directory that could not be opened: not to be made anew elsewhere until they have been assigned
        /// elsewhere.
        var lost: Set<PartitionID> = []
        var isStopped = false
    }

    private let brokerID: BrokerID
    /// This run.
    private let epoch: BrokerEpoch
    private let doubts: ReplicaDoubts
    private let registry: EngineRegistry
    private let cache: MetadataCache
    private let clock: any Clock
    private let logger: Logger
    private let configurationOf: ConfigurationOf
    /// Told after each change that an engine has made: the log, or nil when this broker let go of the partition.
    private let applied: @Sendable (PartitionID, (any PartitionLog)?) -> Void
    /// Tells the cluster that a replica of this broker's is offline, or that it is there again; its record then comes anew.
    private let setOffline: @Sendable (PartitionID, Bool) async throws -> Void
    private let state = Mutex(State())

    init(
        brokerID: BrokerID, epoch: BrokerEpoch, registry: EngineRegistry, doubts: ReplicaDoubts, cache: MetadataCache,
        clock: any Clock, logger: Logger,
        configurationOf: @escaping ConfigurationOf, setOffline: @escaping @Sendable (PartitionID, Bool) async throws -> Void,
        applied: @escaping @Sendable (PartitionID, (any PartitionLog)?) -> Void
    ) {
        self.brokerID = brokerID
        self.epoch = epoch
        self.doubts = doubts
        self.registry = registry
        self.cache = cache
        self.clock = clock
        self.logger = logger
        self.configurationOf = configurationOf
        self.applied = applied
        self.setOffline = setOffline
    }

    /// Looks at all partitions of this broker in the current image, and at those an engine found here that have moved away since.
    func start() {
        if !registry.replicated.failedVolumes.isEmpty { findLost() }
        for engine in registry.engines {
            for partition in engine.logs.map(\.assignment.partition) {
                state.withLock { $0.held[partition] = engine.name }
                look(at: partition)
            }
        }
        lookAtAll(in: cache.current)
    }

    private func findLost() {
        let image = cache.current
        let lost = image.partitions(on: brokerID).compactMap { record -> PartitionID? in
            guard let topic = image.topic(record.topicID), EngineRegistry.placement(of: topic.storageMode) == .replicated,
                let partition = image.partitionID(record.topicID, record.partition), !registry.replicated.holds(partition)
            else { return nil }
            return partition
        }
        state.withLock { $0.lost = Set(lost) }
    }

    private func lookAtAll(in image: MetadataImage) {
        for record in image.partitions(on: brokerID) {
            if let partition = image.partitionID(record.topicID, record.partition) { look(at: partition) }
        }
    }

    func changed(_ update: MetadataUpdate) {
        // Topics' settings that say nothing of their own are the brokers'.
        if update.brokerConfigsChanged { lookAtAll(in: update.new) }
        for partition in update.changedPartitions { look(at: partition) }
        for topic in update.changedTopics {
            for record in update.new.partitions(of: topic) where record.replicas.contains(brokerID) {
                if let partition = update.new.partitionID(topic, record.partition) { look(at: partition) }
            }
        }
    }

    func stop() { state.withLock { $0.isStopped = true } }

    /// Whether every partition of this broker has been brought up to the image.
    var isIdle: Bool { state.withLock { $0.isRunning.isEmpty && $0.isDirty.isEmpty } }

    private func look(at partition: PartitionID) {
        let starts = state.withLock { state in
            guard !state.isStopped else { return false }
            state.isDirty.insert(partition)
            return state.isRunning.insert(partition).inserted
        }
        if starts { Task { await self.work(on: partition) } }
    }

    private func work(on partition: PartitionID) async {
        var delay: Duration = .milliseconds(20)
        while true {
            let goesOn = state.withLock { state in
                guard !state.isStopped, state.isDirty.remove(partition) != nil else {
                    state.isRunning.remove(partition)
                    return false
                }
                return true
            }
            guard goesOn else { return }
            do {
                try await bring(partition)
                delay = .milliseconds(20)
            } catch {
                logger.warning(
                    "Partition could not follow the metadata; trying again",
                    metadata: ["partition": "\(partition)", "error": "\(error)"])
                try? await clock.sleep(for: delay)
                delay = min(delay * 2, .seconds(2))
                state.withLock { _ = $0.isDirty.insert(partition) }
            }
        }
    }

    private func bring(_ partition: PartitionID) async throws {
        let image = cache.current
        guard let topic = image.topic(partition.topicID), let record = image.partition(partition.topicID, partition.partition)
        else {
            state.withLock { state in
                state.held[partition] = nil
                state.lost.remove(partition)
            }
            applied(partition, nil)
            return
        }
        let isOurs = record.replicas.contains(brokerID)
        if !isOurs { state.withLock { _ = $0.lost.remove(partition) } }
        if state.withLock({ $0.lost.contains(partition) }) {
            if !record.isOffline(brokerID) { try await setOffline(partition, true) }
            return
        }
        if isOurs, let reason = doubts.reason(partition) {
            // Nobody has more than the only member of the ISR; an empty log in its place would say that there was nothing.
            let isBest = reason == .short && record.inSyncReplicas == [brokerID]
            if record.inSyncReplicas.contains(brokerID), !isBest {
                if !record.isOffline(brokerID) { try await setOffline(partition, true) }
                if reason == .missing { try await doubts.settle(partition) }
                return
            }
            try await doubts.settle(partition)
            // That took its time: what the metadata say by now counts.
            state.withLock { _ = $0.isDirty.insert(partition) }
            return
        }
        if record.isOffline(brokerID), isOurs {
            // Its directory failed, or the log is lost: an empty one in its place must not be believed to hold what the others count on.
            let isBack = registry.replicated.holds(partition)
            if !isBack, record.inSyncReplicas.contains(brokerID) || registry.replicated.volumeNumber(of: partition) != nil {
                return
            }
            return try await setOffline(partition, false)
        }
        // Led in an epoch of an earlier run, which had what this one may have lost: the controller begins a new one.
        if record.leader == brokerID, let run = record.inSyncRun(of: brokerID), run != epoch { return }
        guard isOurs || state.withLock({ $0.held[partition] != nil }) else { return }
        guard let engine = registry[topic.storageMode] else {
            throw ConfigurationError("topic \(topic.name) has storage.mode=\(topic.storageMode), which this broker does not run")
        }
        state.withLock { $0.held[partition] = topic.storageMode }
        let log = try await engine.apply(PartitionAssignment(partition, record), configuration: configurationOf(topic))
        if !isOurs { state.withLock { _ = $0.held.removeValue(forKey: partition) } }
        applied(partition, log)
    }
}
