//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel
internal import NIOCore
package import RuntimeEnvironment

/// A directory that holds partitions' directories, and beside them the files that speak of all: checkpoints, identity, the mark of a
/// clean stop. All calls block.
package struct LogDirectory: Sendable {
    package let disk: any Disk
    /// Relative to the disk; "" for its root.
    package let root: String

    package init(disk: any Disk, root: String) {
        self.disk = disk
        self.root = root
    }

    package func path(_ name: String) -> String { root.isEmpty ? name : "\(root)/\(name)" }

    /// A partition's directory as found.
    package struct Found: Sendable {
        package var directoryName: String
        package var partition: PartitionID
    }

    /// The partitions' directories; those deleted earlier are removed, and those that a power cut has left without their identity.
    ///
    /// - Parameter wasSynced: Whether records of a directory of that name had been synced once. Its identity was synced with them, so where
    ///   it is not there, it was never durable, and nothing else in the directory was; otherwise it is damaged, and is left alone. Nil if
    ///   the directory is not known to be ours: then nothing without an identity is touched.
    package func partitions(wasSynced: ((_ directoryName: String) -> Bool)? = nil) throws(SegmentError) -> [Found] {
        var found: [Found] = []
        for entry in try onDisk({ () throws(DiskError) in try disk.list(root) }) where entry.isDirectory {
            if entry.name.hasSuffix(SegmentFileKind.deletedDirectorySuffix) {
                try onDisk { () throws(DiskError) in try disk.removeTree(path(entry.name)) }
                continue
            }
            guard let (topic, number) = PartitionMetadata.parseDirectoryName(entry.name) else { continue }
            guard let topicID = try identity(ofPartition: entry.name) else {
                if let wasSynced, try isRemains(entry.name, wasSynced: wasSynced(entry.name)) {
                    try onDisk { () throws(DiskError) in try disk.removeTree(path(entry.name)) }
                }
                continue
            }
            found.append(
                Found(directoryName: entry.name, partition: PartitionID(topicID: topicID, topic: topic, partition: number)))
        }
        return found
    }

    /// - Returns: nil if the file is not there or names no topic. One that cannot be read is an error: it may well name one.
    package func identity(ofPartition directoryName: String) throws(SegmentError) -> TopicID? {
        do throws(DiskError) {
            return PartitionMetadata.decode(try disk.readFile("\(path(directoryName))/\(PartitionMetadata.fileName)"))
        } catch {
            if error.code == .notFound { return nil }
            throw .disk(error)
        }
    }

    /// Whether a directory without identity holds nothing that was ever durable.
    private func isRemains(_ directoryName: String, wasSynced: Bool) throws(SegmentError) -> Bool {
        guard wasSynced else { return true }
        return try onDisk { () throws(DiskError) in
            try !disk.list(path(directoryName)).contains { $0.name.hasSuffix(".\(SegmentFileKind.log.rawValue)") && $0.size > 0 }
        }
    }

    /// Makes a partition's directory with its identity in it, before anything else. Not durable on return: a log opened with
    /// ``LogOpening/identityNeedsSync`` makes it so before it counts anything of its own as synced.
    ///
    /// A directory of that name that names no topic was cut off before any of it was durable, and is removed.
    ///
    /// - Parameter wasSynced: Records of that name had been synced once: then it is damage, and records there get another name (`-stray`)
    ///   and are left alone.
    package func create(_ partition: PartitionID, wasSynced: Bool, token: UInt64) throws(SegmentError) {
        let name = partition.description
        let metadata = "\(path(name))/\(PartitionMetadata.fileName)"
        if try onDisk({ () throws(DiskError) in try disk.exists(path(name)) }), try identity(ofPartition: name) == nil {
            let isRemains = try isRemains(name, wasSynced: wasSynced)
            try onDisk { () throws(DiskError) in
                if isRemains { return try disk.removeTree(path(name)) }
                try disk.rename(path(name), to: path("\(name).\(String(token, radix: 16))\(SegmentFileKind.strayDirectorySuffix)"))
            }
        }
        try onDisk { () throws(DiskError) in
            try disk.makeDirectory(path(name))
            let file = try disk.open(metadata, .readWriteCreate)
            defer { file.close() }
            let identity = PartitionMetadata.encode(partition.topicID)
            try file.write([identity], at: 0)
            try file.truncate(to: Int64(identity.readableBytes))
        }
    }

    /// Gives the directory another name, so that it is no partition's any more. Durable on return.
    ///
    /// - Returns: The new name's path, to be removed when nobody reads from it.
    package func retire(
        _ directoryName: String, token: UInt64, suffix: String = SegmentFileKind.deletedDirectorySuffix
    ) throws(SegmentError) -> String {
        let token = String(token, radix: 16)
        let retired = path("\(directoryName).\(token)\(suffix)")
        try onDisk { () throws(DiskError) in
            try disk.rename(path(directoryName), to: retired)
            try disk.synchronizeDirectory(root)
        }
        return retired
    }

    // MARK: Checkpoints

    /// Empty if the file is missing or damaged: then everything is checked at the next start.
    package func checkpoint(_ file: OffsetCheckpoint.File) throws(SegmentError) -> OffsetCheckpoint {
        do throws(DiskError) {
            return OffsetCheckpoint(decoding: try disk.readFile(path(file.rawValue))) ?? OffsetCheckpoint()
        } catch {
            if error.code == .notFound { return OffsetCheckpoint() }
            throw .disk(error)
        }
    }

    /// Durable on return.
    package func store(_ checkpoint: OffsetCheckpoint, as file: OffsetCheckpoint.File) throws(SegmentError) {
        try onDisk { () throws(DiskError) in try disk.replaceFile(path(file.rawValue), with: checkpoint.encode()) }
    }

    // MARK: Clean stop

    private static let cleanMark = ".kafka_cleanshutdown"

    /// Whether the directory was closed in order; takes the mark away, durably, so that a crash from here on is noticed.
    package func takeCleanMark() throws(SegmentError) -> Bool {
        try onDisk { () throws(DiskError) in
            guard try disk.exists(path(Self.cleanMark)) else { return false }
            try disk.remove(path(Self.cleanMark))
            try disk.synchronizeDirectory(root)
            return true
        }
    }

    /// The last act of an orderly stop. Durable on return.
    package func leaveCleanMark(_ epoch: BrokerEpoch) throws(SegmentError) {
        try onDisk { () throws(DiskError) in
            try disk.replaceFile(
                path(Self.cleanMark), with: ByteBuffer(string: "{\"version\":0,\"brokerEpoch\":\(epoch.rawValue)}"))
        }
    }
}
