//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import KafkaProtocol
package import LogEngine
package import LogModel

/// The logs that this broker holds, of whichever engine.
package protocol LogProvider: Sendable {
    /// The log as last applied; nil if this broker holds nothing of the partition.
    func log(for partition: PartitionID) -> (any PartitionLog)?

    /// Where logs are kept, for DescribeLogDirs: one entry per place (a broker's volume, an engine's object store).
    func logDirectories() async -> [LogDirectory]

    /// Begins to move this broker's replica of the partition to another of its log directories (KIP-113), or notes where it is to be made.
    ///
    /// - Returns: Kafka's answer: none once it is being copied.
    func moveReplica(of partition: PartitionID, to path: String) async -> ErrorCode
}

/// One place where logs are kept.
package struct LogDirectory: Sendable {
    /// A path or a URL.
    package var path: String
    package var logs: [any PartitionLog]
    /// Copies of logs that lie elsewhere, which are to take their place.
    package var arriving: [ArrivingLog] = []
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

/// A log on its way into a log directory.
package struct ArrivingLog: Sendable {
    package var partition: PartitionID
    package var sizeInBytes: Int64
    package var offsetLag: Int64

    package init(partition: PartitionID, sizeInBytes: Int64, offsetLag: Int64) {
        self.partition = partition
        self.sizeInBytes = sizeInBytes
        self.offsetLag = offsetLag
    }
}
