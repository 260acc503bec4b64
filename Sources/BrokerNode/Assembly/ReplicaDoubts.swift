//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import LogModel
internal import Logging
internal import Synchronization

/// Replicas of this broker that hold less than the others count on: their log directory has been replaced or is not mounted (known by
/// directory ids, as KIP-858's), or their log opened shorter than it had been synced once. One of these that is in sync by the record must
/// not lead, nor count for an acknowledgement, before it has copied what it lacks: it leaves the ISR as an offline replica, and comes back.
final class ReplicaDoubts: Sendable {
    enum Reason: Sendable, Hashable {
        /// Nothing is there where something was.
        case missing
        /// Synced once, and gone.
        case short
    }

    private struct State {
        var reasons: [PartitionID: Reason] = [:]
        /// To be recorded once no replica is missing any more without the cluster's knowing: until then, a restart must see it again.
        var directories: Set<String>?
    }

    private let brokerID: BrokerID
    private let operations: MetadataOperations
    private let logger: Logger
    private let state = Mutex(State())

    init(brokerID: BrokerID, operations: MetadataOperations, logger: Logger) {
        self.brokerID = brokerID
        self.operations = operations
        self.logger = logger
    }

    /// Compares what the engines have opened with what the cluster knows. To be called once, before any replica is made.
    func look(in image: MetadataImage, _ replicated: ReplicatedEngines) async throws(MetadataOperationError) {
        for partition in replicated.openedShort {
            state.withLock { $0.reasons[partition] = .short }
        }
        let present = replicated.directoryIDs
        // Of a directory that cannot be opened nobody knows the id; what may lie there is found by the failure itself.
        guard !present.isEmpty, replicated.failedVolumes.isEmpty else { return }
        let known = try await operations.logDirectories(of: brokerID)
        guard known != present else { return }
        let gone = known.subtracting(present)
        if !gone.isEmpty {
            let missing = image.partitions(on: brokerID).compactMap { record -> PartitionID? in
                guard let topic = image.topic(record.topicID), EngineRegistry.placement(of: topic.storageMode) == .replicated,
                    let partition = image.partitionID(record.topicID, record.partition), !replicated.holds(partition)
                else { return nil }
                return partition
            }
            logger.warning(
                "Log directories that this broker had are gone; its replicas there are copied anew from the others",
                metadata: ["directory ids": "\(gone.sorted())", "replicas": "\(missing.count)"])
            state.withLock { state in
                for partition in missing { state.reasons[partition] = .missing }
            }
        }
        state.withLock { $0.directories = present }
        try await recordDirectories()
    }

    func reason(_ partition: PartitionID) -> Reason? { state.withLock { $0.reasons[partition] } }

    /// The record says by now that the replica cannot be counted on, or nobody does.
    func settle(_ partition: PartitionID) async throws(MetadataOperationError) {
        state.withLock { _ = $0.reasons.removeValue(forKey: partition) }
        try await recordDirectories()
    }

    private func recordDirectories() async throws(MetadataOperationError) {
        let directories = state.withLock { state in
            state.reasons.values.contains(.missing) ? nil : state.directories
        }
        guard let directories else { return }
        try await operations.recordLogDirectories(directories, of: brokerID)
        state.withLock { $0.directories = nil }
    }
}
