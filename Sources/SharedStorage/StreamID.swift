//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import LogModel

/// Names a stream: the log of one partition over all its owners. Stream offset and Kafka offset are the same number.
public struct StreamID: Hashable, Sendable, Codable, Comparable, CustomStringConvertible {
    public var topicID: TopicID
    public var partition: Int32

    public init(topicID: TopicID, partition: Int32) {
        self.topicID = topicID
        self.partition = partition
    }

    public init(_ partition: PartitionID) { self.init(topicID: partition.topicID, partition: partition.partition) }

    public static func < (left: StreamID, right: StreamID) -> Bool {
        left.topicID != right.topicID ? left.topicID < right.topicID : left.partition < right.partition
    }

    /// `<topic id, 32 hex digits>/<partition>`: its part of a metadata key.
    public var description: String { "\(topicID.hex)/\(partition)" }
}
