//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogEngine
internal import LogModel
internal import LogSegments
internal import Logging
internal import RuntimeEnvironment

/// Opening and closing a log directory; each call on its volume's writer.
extension ReplicatedLogEngine {
    func open(_ volume: LogVolume) throws(SegmentError) {
        let directory = volume.directory
        do { try directory.disk.makeDirectory(directory.root) } catch { throw .disk(error) }
        let isOurs = try identify(volume)
        let isClean = try directory.takeCleanMark()
        let recoveryPoints = try volume.load(.recoveryPoint)
        let logStarts = try volume.load(.logStart)
        let highWatermarks = try volume.load(.highWatermark)
        let partitions = try directory.partitions(wasSynced: isOurs ? { (recoveryPoints[$0] ?? 0) > 0 } : nil)
        for found in partitions {
            let name = found.directoryName
            var opening = LogOpening(
                logStart: logStarts[name].map { Offset($0) }, recoveryPoint: Offset(recoveryPoints[name] ?? 0), isClean: isClean,
                startMayBeRemote: context.settings.startMayBeRemote)
            opening.identityNeedsSync = !isClean
            let (log, report) = try SegmentedLog.open(
                disk: directory.disk, directory: directory.path(name), settings: SegmentSettings(), opening: opening,
                tail: volume.tail)
            if let damage = report.damage {
                context.logger.warning(
                    "log cut at its first damaged batch",
                    metadata: [
                        "partition": "\(name)", "end": "\(log.logEnd)", "bytes": "\(report.bytesCut)", "damage": "\(damage)",
                    ])
            }
            if let synced = recoveryPoints[name], log.logEnd < Offset(synced) {
                context.logger.error(
                    "log opened shorter than it was synced: what is missing is copied from the other replicas",
                    metadata: ["partition": "\(name)", "end": "\(log.logEnd)", "synced to": "\(synced)"])
                context.registry.noteShort(found.partition)
            }
            let partition = ReplicatedPartition(
                partition: found.partition, log: log, volume: volume, highWatermark: Offset(highWatermarks[name] ?? 0),
                context: context)
            if try prevails(partition) { context.registry.add(partition, isApplied: false) }
        }
        // A recovery may have found less than was synced once.
        try context.registry.storeRecoveryPoints(volume)
    }

    /// Whether the log just opened is the partition's, where another directory has one as well: a directory that was away while the replica
    /// was made anew elsewhere is back, or a move between directories was cut off at its end. Of two logs that followed the same leaders,
    /// the one that ends in the later epoch, or further on in the same, holds all that was committed in the other (the Raft paper, §5.4.1).
    private func prevails(_ partition: ReplicatedPartition) throws(SegmentError) -> Bool {
        guard let former = context.registry.find(partition.partition) else { return true }
        // What cannot be read cannot be compared with; it stays where it is, and so does this one.
        guard former.volume.failure == nil else { return false }
        let isAhead = Self.isAhead(partition.log, of: former.log)
        let (winner, loser) = isAhead ? (partition, former) : (former, partition)
        context.logger.notice(
            "A partition was found in two log directories; the log that is behind is removed",
            metadata: [
                "partition": "\(partition.partition)", "removed from": "\(loser.volume.specification)",
                "ends at": "\(loser.log.logEnd)", "kept ends at": "\(winner.log.logEnd)",
            ])
        loser.letGo()
        try loser.volume.retire(partition.partition.description, delay: .zero)
        return isAhead
    }

    private static func isAhead(_ log: SegmentedLog, of other: SegmentedLog) -> Bool {
        let epoch = log.epochs.latest?.epoch ?? .none
        let otherEpoch = other.epochs.latest?.epoch ?? .none
        return epoch == otherEpoch ? log.logEnd > other.logEnd : epoch > otherEpoch
    }

    /// Refuses a directory of another broker, cluster or layout; signs one that is new.
    ///
    /// - Returns: Whether it had been signed before.
    private func identify(_ volume: LogVolume) throws(SegmentError) -> Bool {
        let directory = volume.directory
        if let identity = try directory.identity() {
            guard identity.nodeID == context.broker else {
                throw .corrupt(
                    "\(directory.path("meta.properties")): the directory belongs to node \(identity.nodeID), this is node \(context.broker); name another directory in log.dirs"
                )
            }
            if let clusterID = context.settings.clusterID, identity.clusterID != clusterID {
                throw .corrupt(
                    "\(directory.path("meta.properties")): the directory belongs to cluster \(identity.clusterID), this is \(clusterID); name another directory in log.dirs"
                )
            }
            volume.setID(identity.directoryID)
            return true
        }
        if let clusterID = context.settings.clusterID {
            var generator = RandomSourceGenerator(context.environment.randomness)
            let identity = DirectoryIdentity(
                clusterID: clusterID, nodeID: context.broker, directoryID: TopicID.random(using: &generator).description)
            try directory.store(identity)
            volume.setID(identity.directoryID)
        }
        return false
    }

    func create(
        _ id: PartitionID, on volume: LogVolume, _ configuration: LogConfiguration
    ) throws(SegmentError) -> ReplicatedPartition {
        if let held = context.registry.find(id) { return held }
        // A topic of that name that was deleted while this broker was away.
        if let stray = context.registry.find(directoryName: id.description) {
            context.registry.remove(stray.partition)
            stray.letGo()
            try stray.volume.retire(id.description, delay: configuration.fileDeleteDelay)
        }
        try volume.directory.create(
            id, wasSynced: (volume.storedOffset(.recoveryPoint, id.description) ?? 0) > 0,
            token: context.environment.randomness.next())
        var opening = LogOpening(startMayBeRemote: context.settings.startMayBeRemote)
        opening.identityNeedsSync = true
        let (log, _) = try SegmentedLog.open(
            disk: volume.disk, directory: volume.directory.path(id.description), settings: SegmentSettings(configuration),
            opening: opening, tail: volume.tail)
        let partition = ReplicatedPartition(partition: id, log: log, volume: volume, highWatermark: .zero, context: context)
        context.registry.add(partition, isApplied: false)
        // The files may still speak of a namesake that was deleted.
        try context.registry.lowerCheckpoints(of: partition)
        return partition
    }

    /// Closes every log in order and leaves the mark that says so; without the mark, the next start checks what was not synced.
    func close(_ volume: LogVolume) {
        var isClean = true
        for partition in context.registry.all where partition.volume === volume {
            partition.writeQueue()
            partition.stop()
            do throws(SegmentError) { try partition.log.close() } catch {
                isClean = false
                context.logger.error(
                    "log not closed in order", metadata: ["partition": "\(partition.partition)", "error": "\(error)"])
            }
        }
        do throws(SegmentError) {
            try context.registry.storeHighWatermarks(volume)
            try context.registry.storeLogStarts(volume)
            try context.registry.storeRecoveryPoints(volume)
            if isClean { try volume.directory.leaveCleanMark(context.brokerEpoch()) }
        } catch {
            context.logger.error(
                "checkpoints not stored", metadata: ["directory": "\(volume.directory.root)", "error": "\(error)"])
        }
    }
}
