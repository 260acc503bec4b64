//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation
internal import LogModel
internal import LogSegments
internal import NIOCore
internal import RuntimeEnvironment

/// A partition as it lies in one of Kafka's log directories.
struct KafkaPartition: Sendable {
    var disk: any Disk
    /// Of the log directory, as given.
    var root: String
    var name: String
    var topic: String
    var number: Int32
    /// Nil where Kafka was older than 2.8.
    var topicID: TopicID?
    /// The directory was closed in order.
    var isClean: Bool
    /// By the checkpoints; nil where they have no line.
    var logStart: Offset?
    var recoveryPoint: Offset?
    var highWatermark: Offset?
    var lastEpoch: LeaderEpoch?

    var path: String { "\(root)/\(name)" }

    func isFurther(than other: KafkaPartition) -> Bool {
        let (mine, its) = ((lastEpoch ?? .none), (other.lastEpoch ?? .none))
        return mine != its ? mine > its : (highWatermark ?? .zero) > (other.highWatermark ?? .zero)
    }

    /// What can be told without a copy: the end is the high watermark's.
    func looked() throws -> KafkaImportReport.Partition {
        let segments = try disk.list(name).filter { entry in
            if case (.log, _)? = SegmentFileKind.parse(entry.name) { true } else { false }
        }
        let first = segments.compactMap { SegmentFileKind.parse($0.name)?.1 }.min() ?? .zero
        return KafkaImportReport.Partition(
            number: number, source: path, logStart: max(logStart ?? first, first).rawValue,
            logEnd: (highWatermark ?? first).rawValue, bytes: segments.reduce(0) { $0 + $1.size }, bytesCut: 0)
    }
}

/// Reads Kafka's log directories, and changes nothing in them.
struct KafkaLogDirectories {
    private let paths: [String]

    init(_ paths: [String]) { self.paths = paths }

    func found() throws -> [KafkaPartition] {
        var found: [KafkaPartition] = []
        for path in paths { found += try partitions(in: path) }
        guard !found.isEmpty else {
            throw ConfigurationError(
                "\(paths.joined(separator: ", ")): no partition lies there; give Kafka's log.dirs, whose folders are named <topic>-<partition>"
            )
        }
        return found
    }

    private func partitions(in path: String) throws -> [KafkaPartition] {
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory), isDirectory.boolValue else {
            throw ConfigurationError("\(path): no such directory; give Kafka's log.dirs")
        }
        let disk = PosixDisk(root: path)
        let directory = LogDirectory(disk: disk, root: "")
        let isClean = try disk.exists(".kafka_cleanshutdown")
        let starts = try directory.checkpoint(.logStart).offsets
        let recoveryPoints = try directory.checkpoint(.recoveryPoint).offsets
        let highWatermarks = try directory.checkpoint(.highWatermark).offsets
        return try disk.list("").compactMap { (entry) -> KafkaPartition? in
            // Not those that are being deleted, copied, or have been set aside, whose names end otherwise.
            guard entry.isDirectory, let (topic, number) = PartitionMetadata.parseDirectoryName(entry.name) else { return nil }
            let name = entry.name
            return KafkaPartition(
                disk: disk, root: path, name: name, topic: topic, number: number,
                topicID: try directory.identity(ofPartition: name), isClean: isClean, logStart: starts[name].map { Offset($0) },
                recoveryPoint: recoveryPoints[name].map { Offset($0) }, highWatermark: highWatermarks[name].map { Offset($0) },
                lastEpoch: try lastEpoch(name, disk))
        }
    }

    private func lastEpoch(_ name: String, _ disk: any Disk) throws -> LeaderEpoch? {
        do {
            return LeaderEpochCheckpoint.decode(try disk.readFile("\(name)/\(LeaderEpochCheckpoint.fileName)"))?.latest?.epoch
        } catch {
            if error.code == .notFound { return nil }
            throw error
        }
    }
}
