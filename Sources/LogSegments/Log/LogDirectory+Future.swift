//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel
internal import NIOCore
internal import RuntimeEnvironment

/// Copies of partitions that lie in other log directories: `<topic>-<partition>.<32 hexadecimal digits>-future`, as Kafka names them (KIP-113).
extension LogDirectory {
    /// Makes a directory for a copy, with its identity in it. Not durable on return, as ``create(_:wasSynced:token:)``.
    ///
    /// - Returns: Its name.
    package func createFuture(_ partition: PartitionID, token: (UInt64, UInt64)) throws(SegmentError) -> String {
        func digits(_ number: UInt64) -> String {
            let digits = String(number, radix: 16)
            return String(repeating: "0", count: 16 - digits.utf8.count) + digits
        }
        let name = "\(partition.description).\(digits(token.0))\(digits(token.1))\(SegmentFileKind.futureDirectorySuffix)"
        try onDisk { () throws(DiskError) in
            try disk.makeDirectory(path(name))
            let file = try disk.open("\(path(name))/\(PartitionMetadata.fileName)", .readWriteCreate)
            defer { file.close() }
            try file.write([PartitionMetadata.encode(partition.topicID)], at: 0)
        }
        return name
    }

    /// The copies found. One without an identity was begun just before a crash, and is removed.
    package func futures() throws(SegmentError) -> [Found] {
        var found: [Found] = []
        for entry in try onDisk({ () throws(DiskError) in try disk.list(root) })
        where entry.isDirectory && entry.name.hasSuffix(SegmentFileKind.futureDirectorySuffix) {
            guard let dot = entry.name.lastIndex(of: "."),
                let (topic, number) = PartitionMetadata.parseDirectoryName(String(entry.name[..<dot]))
            else { continue }
            guard let topicID = try identity(ofPartition: entry.name) else {
                try onDisk { () throws(DiskError) in try disk.removeTree(path(entry.name)) }
                continue
            }
            found.append(
                Found(directoryName: entry.name, partition: PartitionID(topicID: topicID, topic: topic, partition: number)))
        }
        return found
    }

    package func holds(_ directoryName: String) throws(SegmentError) -> Bool {
        try onDisk { () throws(DiskError) in try disk.exists(path(directoryName)) }
    }

    /// Gives a copy that was closed in order the partition's own name. Durable on return.
    package func promote(_ future: String, _ partition: PartitionID) throws(SegmentError) {
        try onDisk { () throws(DiskError) in
            try disk.rename(path(future), to: path(partition.description))
            try disk.synchronizeDirectory(root)
        }
    }
}
