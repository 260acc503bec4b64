//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel
internal import NIOCore
internal import RuntimeEnvironment

/// Whose a log directory is: `meta.properties`, version 1 as KRaft writes it.
package struct DirectoryIdentity: Sendable, Hashable {
    package var clusterID: String
    package var nodeID: BrokerID
    /// 22 characters of base64, as a topic id.
    package var directoryID: String

    package init(clusterID: String, nodeID: BrokerID, directoryID: String) {
        self.clusterID = clusterID
        self.nodeID = nodeID
        self.directoryID = directoryID
    }
}

extension LogDirectory {
    private static let propertiesName = "meta.properties"

    /// - Returns: nil where the directory has none yet.
    /// - Throws: SegmentError/corrupt(_:) if the file is of a version that we do not know, or lacks a line.
    package func identity() throws(SegmentError) -> DirectoryIdentity? {
        let bytes: ByteBuffer
        do throws(DiskError) { bytes = try disk.readFile(path(Self.propertiesName)) } catch {
            if error.code == .notFound { return nil }
            throw .disk(error)
        }
        var values: [Substring: String] = [:]
        for line in String(buffer: bytes).split(separator: "\n") where !line.hasPrefix("#") {
            guard let equals = line.firstIndex(of: "=") else { continue }
            values[line[..<equals]] = String(line[line.index(after: equals)...]).filter { $0 != "\r" }
        }
        let name = path(Self.propertiesName)
        guard values["version"] == "1" else {
            throw .corrupt("\(name): version \(values["version"] ?? "none") of the directory's layout is not known, 1 is")
        }
        guard let cluster = values["cluster.id"], let node = values["node.id"].flatMap({ Int32($0) }) else {
            throw .corrupt("\(name): cluster.id or node.id is missing")
        }
        return DirectoryIdentity(clusterID: cluster, nodeID: BrokerID(node), directoryID: values["directory.id"] ?? "")
    }

    /// Durable on return.
    package func store(_ identity: DirectoryIdentity) throws(SegmentError) {
        let text =
            "version=1\ncluster.id=\(identity.clusterID)\nnode.id=\(identity.nodeID)\ndirectory.id=\(identity.directoryID)\n"
        try onDisk { () throws(DiskError) in
            try disk.makeDirectory(root)
            // Its own name too: else a power cut takes all of it, with what was synced in it.
            if !root.isEmpty { try disk.synchronizeDirectory(root.parentDirectory) }
            try disk.replaceFile(path(Self.propertiesName), with: ByteBuffer(string: text))
        }
    }
}
