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

    private struct State {
        var held: [PartitionID: Held] = [:]
        /// By the name of the directory, which a topic and its namesake made later cannot both have.
        var names: [String: PartitionID] = [:]
        /// Where logs are about to be made.
        var chosen: [PartitionID: LogVolume] = [:]
    }

    private let state = Mutex(State())
    /// Partition epochs of the records that took a partition away: what is older must not bring it back.
    private let dropped = Mutex<[PartitionID: Int64]>([:])

    /// Copies that are to take the place of logs in other directories.
    private let futures = Mutex<[PartitionID: FutureReplica]>([:])
    /// Where logs are to be made that are not there yet, as an operator wishes.
    private let preferred = Mutex<[PartitionID: Int]>([:])

    /// Logs that ended, when they were opened, before what had been synced of them.
    private let foundShort = Mutex<Set<PartitionID>>([])

    var short: Set<PartitionID> { foundShort.withLock { $0 } }
    func noteShort(_ partition: PartitionID) { foundShort.withLock { _ = $0.insert(partition) } }

    func future(of partition: PartitionID) -> FutureReplica? { futures.withLock { $0[partition] } }
    var allFutures: [FutureReplica] { futures.withLock { Array($0.values) } }

    /// - Returns: False if the partition has one already.
    func add(_ future: FutureReplica) -> Bool {
        futures.withLock { futures in
            guard futures[future.partition.partition] == nil else { return false }
            futures[future.partition.partition] = future
            return true
        }
    }

    /// - Returns: False if it was removed before.
    func remove(_ future: FutureReplica) -> Bool {
        futures.withLock { futures in
            guard futures[future.partition.partition] === future else { return false }
            futures[future.partition.partition] = nil
            return true
        }
    }

    func prefer(_ number: Int, for partition: PartitionID) { preferred.withLock { $0[partition] = number } }

    func noteDropped(_ partition: PartitionID, by partitionEpoch: Int64) {
        dropped.withLock { $0[partition] = max(partitionEpoch, $0[partition] ?? partitionEpoch) }
    }

    func isOutdated(_ partition: PartitionID, _ partitionEpoch: Int64) -> Bool {
        dropped.withLock { $0[partition].map { partitionEpoch <= $0 } ?? false }
    }

    func add(_ partition: ReplicatedPartition, isApplied: Bool) {
        let id = partition.partition
        state.withLock { state in
            state.held[id] = Held(partition: partition, isApplied: isApplied)
            state.names[id.description] = id
            state.chosen[id] = nil
        }
    }

    func find(_ partition: PartitionID) -> ReplicatedPartition? { state.withLock { $0.held[partition]?.partition } }

    func findApplied(_ partition: PartitionID) -> ReplicatedPartition? {
        state.withLock { state in state.held[partition].flatMap { $0.isApplied ? $0.partition : nil } }
    }

    func markApplied(_ partition: PartitionID) { state.withLock { $0.held[partition]?.isApplied = true } }

    /// A log in the directory of that name, whatever its topic's id.
    func find(directoryName: String) -> ReplicatedPartition? {
        state.withLock { state in state.names[directoryName].flatMap { state.held[$0]?.partition } }
    }

    @discardableResult
    func remove(_ partition: PartitionID) -> ReplicatedPartition? {
        state.withLock { state in
            guard let held = state.held.removeValue(forKey: partition) else { return nil }
            let name = partition.description
            if state.names[name] == partition { state.names[name] = nil }
            return held.partition
        }
    }

    var all: [ReplicatedPartition] { state.withLock { $0.held.values.map(\.partition) } }
    var applied: [ReplicatedPartition] { state.withLock { $0.held.values.compactMap { $0.isApplied ? $0.partition : nil } } }

    /// The volume with the fewest logs, those that are about to be made among them; the log is one of these until it is added, or the
    /// choice is forgotten.
    func choose(for partition: PartitionID, among volumes: [LogVolume]) -> LogVolume? {
        if volumes.count == 1 { return volumes[0] }
        let wish = preferred.withLock { $0.removeValue(forKey: partition) }
        return state.withLock { state in
            var counts: [ObjectIdentifier: Int] = [:]
            for held in state.held.values { counts[ObjectIdentifier(held.partition.volume), default: 0] += 1 }
            for volume in state.chosen.values { counts[ObjectIdentifier(volume), default: 0] += 1 }
            let chosen =
                volumes.first { $0.number == wish }
                ?? volumes.min { counts[ObjectIdentifier($0), default: 0] < counts[ObjectIdentifier($1), default: 0] }
            state.chosen[partition] = chosen
            return chosen
        }
    }

    func forgetChoice(for partition: PartitionID) { state.withLock { $0.chosen[partition] = nil } }

    // MARK: Checkpoints

    func storeLogStarts(_ volume: LogVolume) throws(SegmentError) {
        try store(.logStart, volume) { partition in
            let log = partition.log
            let start = log.logStart
            // As Kafka: where the first segment's name says it already, no line is needed. With a tier below, that segment may go at any time.
            return start == log.segments[0].baseOffset && partition.volume === volume
                && !partition.context.settings.startMayBeRemote ? nil : start
        }
    }

    func storeRecoveryPoints(_ volume: LogVolume) throws(SegmentError) {
        try store(.recoveryPoint, volume) { $0.log.recoveryPoint }
    }

    func storeHighWatermarks(_ volume: LogVolume) throws(SegmentError) {
        try store(.highWatermark, volume) { $0.offsets.highWatermark }
    }

    /// Stores what the files say too high of a partition whose log was cut or is new, before anything is appended: the next start would
    /// trust, or drop, records that it should check.
    func lowerCheckpoints(of partition: ReplicatedPartition) throws(SegmentError) {
        let (volume, log, name) = (partition.volume, partition.log, partition.partition.description)
        func isLower(_ offset: Offset, than file: OffsetCheckpoint.File) -> Bool {
            volume.storedOffset(file, name).map { offset.rawValue < $0 } ?? false
        }
        if isLower(log.recoveryPoint, than: .recoveryPoint) { try storeRecoveryPoints(volume) }
        if isLower(log.logStart, than: .logStart) { try storeLogStarts(volume) }
        if isLower(partition.offsets.highWatermark, than: .highWatermark) { try storeHighWatermarks(volume) }
    }

    private func store(
        _ file: OffsetCheckpoint.File, _ volume: LogVolume, _ offset: (ReplicatedPartition) -> Offset?
    ) throws(SegmentError) {
        try volume.store(as: file) {
            var checkpoint = OffsetCheckpoint()
            // One that is about to arrive is told of before its directory has its name.
            for partition in all
            where partition.volume === volume || future(of: partition.partition)?.isArriving(on: volume) == true {
                checkpoint.offsets[partition.partition.description] = offset(partition)?.rawValue
            }
            return checkpoint
        }
    }
}
