//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogModel
internal import LogSegments
internal import Metering
internal import NIOCore
internal import RuntimeEnvironment

/// A log copied into a directory of the broker's, under a name that is no partition's yet.
struct ImportedLog: Sendable {
    var partition: PartitionID
    var directory: LogDirectory
    var temporaryName: String
    /// Later than all of its epochs.
    var nextEpoch: LeaderEpoch
    var report: KafkaImportReport.Partition
}

/// The log directories of a broker that is not running.
struct ImportTarget: Sendable {
    /// Ends the names of copies under way; whatever bears it after a crash can be removed.
    static let suffix = "-import"
    private static let chunkBytes = 1 << 20

    private let directories: [LogDirectory]
    private let randomness: any RandomSource

    init(_ configuration: BrokerConfiguration, mode: String, _ surroundings: NodeSurroundings) throws {
        let volumes = try configuration.logDirectories.map { specification in
            try surroundings.openVolume(VolumeRequest(specification: specification, classify: { _ in .metadata }), Meters())
        }
        randomness = surroundings.environment.randomness
        directories = volumes.map { LogDirectory(disk: $0.disk, root: EngineAssembly.directory(ofReplicatedLogsFor: mode)) }
    }

    /// Copies and recovers a partition. Durable on return, but for its name.
    ///
    /// - Parameter number: Of the log directory, beyond the last from the first again.
    func copy(_ source: KafkaPartition, as partition: PartitionID, inDirectory number: Int) throws -> ImportedLog {
        let directory = directories[number % directories.count]
        let disk = directory.disk
        for other in directories where try other.holds(partition.description) {
            throw ConfigurationError(
                "\(other.path(partition.description)): is there already, though the cluster has no such topic; remove it or move it away"
            )
        }
        let name = "\(partition.description).\(String(randomness.next(), radix: 16))\(Self.suffix)"
        let path = directory.path(name)
        do {
            try disk.makeDirectory(path)
            for entry in try source.disk.list(source.name) where !entry.isDirectory {
                guard SegmentFileKind.parse(entry.name) != nil || entry.name == LeaderEpochCheckpoint.fileName else { continue }
                try copyFile("\(source.name)/\(entry.name)", entry.size, from: source.disk, to: "\(path)/\(entry.name)", on: disk)
            }
            let identity = try disk.open("\(path)/\(PartitionMetadata.fileName)", .createNew)
            defer { identity.close() }
            try identity.write([PartitionMetadata.encode(partition.topicID)], at: 0)
            try identity.synchronize()
            var opening = LogOpening(
                logStart: source.logStart, recoveryPoint: source.recoveryPoint ?? .zero, isClean: source.isClean)
            opening.identityNeedsSync = true
            let (log, recovery) = try SegmentedLog.open(
                disk: disk, directory: path, settings: SegmentSettings(), opening: opening)
            try log.close()
            try disk.synchronizeDirectory(path)
            let latest = log.epochs.latest?.epoch ?? LeaderEpoch(-1)
            return ImportedLog(
                partition: partition, directory: directory, temporaryName: name,
                nextEpoch: LeaderEpoch(max(0, latest.rawValue + 1)),
                report: KafkaImportReport.Partition(
                    number: partition.partition, source: source.path, logStart: log.logStart.rawValue,
                    logEnd: log.logEnd.rawValue, bytes: log.sizeInBytes, bytesCut: recovery.bytesCut,
                    damage: recovery.damage?.replacing(path, with: source.path),
                    openTransaction: log.firstOpenTransaction?.rawValue))
        } catch {
            try? disk.removeTree(path)
            throw ConfigurationError("\(source.path): not imported: \(error)")
        }
    }

    /// Gives a copy the partition's name. Durable on return. Without its topic in the metadata the broker's start sets it aside.
    func name(_ copy: ImportedLog) throws {
        let directory = copy.directory
        let name = copy.partition.description
        // First: with a start that is too low, records that Kafka had deleted would be back; and above a recovery point the gaps that
        // compaction left would be taken for segments that were lost.
        for (file, offset) in [
            (OffsetCheckpoint.File.logStart, copy.report.logStart), (.recoveryPoint, copy.report.logEnd),
        ] {
            var checkpoint = try directory.checkpoint(file)
            checkpoint.offsets[name] = offset
            try directory.store(checkpoint, as: file)
        }
        try directory.disk.rename(directory.path(copy.temporaryName), to: directory.path(name))
        try directory.disk.synchronizeDirectory(directory.root)
    }

    /// Removes a copy, whatever its name is by now. As good as it can: the import has failed already.
    func discard(_ copy: ImportedLog) {
        for name in [copy.temporaryName, copy.partition.description] {
            try? copy.directory.disk.removeTree(copy.directory.path(name))
        }
    }

    private func copyFile(_ source: String, _ size: Int64, from: any Disk, to target: String, on disk: any Disk) throws {
        let reading = try from.open(source, .readOnly)
        defer { reading.close() }
        let writing = try disk.open(target, .createNew)
        defer { writing.close() }
        var position: Int64 = 0
        while position < size {
            let bytes = try reading.readBytes(at: position, length: Int(min(Int64(Self.chunkBytes), size - position)))
            try writing.writeDropping([bytes], at: position)
            position += Int64(bytes.readableBytes)
        }
        try writing.synchronize()
    }
}
