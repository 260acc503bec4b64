//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogEngine
package import LogModel

/// The logs that this broker holds, of whichever engine.
package protocol LogProvider: Sendable {
    /// The log as last applied; nil if this broker holds nothing of the partition.
    func log(for partition: PartitionID) -> (any PartitionLog)?

    /// Where logs are kept, for DescribeLogDirs: one entry per place (a broker's volume, an engine's object store).
    func logDirectories() async -> [LogDirectory]
}

/// One place where logs are kept.
package struct LogDirectory: Sendable {
    /// A path or a URL.
    package var path: String
    package var logs: [any PartitionLog]
    /// Of the file system; nil where nobody can tell.
    package var totalBytes: Int64?
    package var usableBytes: Int64?
    /// The place cannot be used now.
    package var isOffline: Bool

    package init(
        path: String, logs: [any PartitionLog], totalBytes: Int64? = nil, usableBytes: Int64? = nil, isOffline: Bool = false
    ) {
        self.path = path
        self.logs = logs
        self.totalBytes = totalBytes
        self.usableBytes = usableBytes
        self.isOffline = isOffline
    }
}
