//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogEngine
internal import LogModel
internal import LogSegments
internal import Synchronization

/// Every log that this broker's directories hold, applied or only found at start, and the checkpoint files that speak of all of them.
final class PartitionRegistry: Sendable {
    struct Held {
        var partition: ReplicatedPartition
        /// Named by an assignment since the start.
        var isApplied: Bool
    }

    private let held = Mutex<[PartitionID: Held]>([:])
    /// Partition epochs of the records that took a partition away: what is older must not bring it back.
    private let dropped = Mutex<[PartitionID: Int64]>([:])

    func noteDropped(_ partition: PartitionID, by partitionEpoch: Int64) {
        dropped.withLock { $0[partition] = max(partitionEpoch, $0[partition] ?? partitionEpoch) }
    }

    func isOutdated(_ partition: PartitionID, _ partitionEpoch: Int64) -> Bool {
        dropped.withLock { $0[partition].map { partitionEpoch <= $0 } ?? false }
    }

    func add(_ partition: ReplicatedPartition, isApplied: Bool) {
        held.withLock { $0[partition.partition] = Held(partition: partition, isApplied: isApplied) }
    }

    func find(_ partition: PartitionID) -> ReplicatedPartition? { held.withLock { $0[partition]?.partition } }

    func findApplied(_ partition: PartitionID) -> ReplicatedPartition? {
        held.withLock { held in held[partition].flatMap { $0.isApplied ? $0.partition : nil } }
    }

    func markApplied(_ partition: PartitionID) { held.withLock { $0[partition]?.isApplied = true } }

    /// A log in the directory of that name, whatever its topic's id.
    func find(directoryName: String) -> ReplicatedPartition? {
        held.withLock { held in held.values.first { $0.partition.partition.description == directoryName }?.partition }
    }

    @discardableResult
    func remove(_ partition: PartitionID) -> ReplicatedPartition? { held.withLock { $0.removeValue(forKey: partition)?.partition } }

    var all: [ReplicatedPartition] { held.withLock { $0.values.map(\.partition) } }
    var applied: [ReplicatedPartition] { held.withLock { $0.values.compactMap { $0.isApplied ? $0.partition : nil } } }

    func count(on volume: LogVolume) -> Int { held.withLock { $0.values.count { $0.partition.volume === volume } } }

    // MARK: Checkpoints, each on its volume's writer

    func storeLogStarts(_ volume: LogVolume) throws(SegmentError) {
        try store(.logStart, volume) { partition in
            let log = partition.log
            let start = log.logStart
            // As Kafka: where the first segment's name says it already, no line is needed. With a tier below, that segment may go at any time.
            return start == log.segments[0].baseOffset && !partition.context.settings.startMayBeRemote ? nil : start
        }
    }

    func storeRecoveryPoints(_ volume: LogVolume) throws(SegmentError) {
        try store(.recoveryPoint, volume) { $0.log.recoveryPoint }
    }

    func storeHighWatermarks(_ volume: LogVolume) throws(SegmentError) {
        try store(.highWatermark, volume) { $0.offsets.highWatermark }
    }

    private func store(
        _ file: OffsetCheckpoint.File, _ volume: LogVolume, _ offset: (ReplicatedPartition) -> Offset?
    ) throws(SegmentError) {
        var checkpoint = OffsetCheckpoint()
        for partition in all where partition.volume === volume {
            checkpoint.offsets[partition.partition.description] = offset(partition)?.rawValue
        }
        try volume.store(checkpoint, as: file)
    }
}
