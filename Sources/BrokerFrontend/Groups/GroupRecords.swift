//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import KafkaProtocol
package import LogModel
internal import NIOCore
internal import RuntimeEnvironment

/// An offset as a group committed it.
package struct CommittedOffset: Sendable, Hashable {
    package var offset: Offset
    package var leaderEpoch: LeaderEpoch
    package var metadata: String
    package var commitTimestamp: Timestamp
    /// Only from clients that set a retention of their own (OffsetCommit below version 5).
    package var expireTimestamp: Timestamp?

    package init(
        offset: Offset, leaderEpoch: LeaderEpoch = .none, metadata: String, commitTimestamp: Timestamp,
        expireTimestamp: Timestamp? = nil
    ) {
        self.offset = offset
        self.leaderEpoch = leaderEpoch
        self.metadata = metadata
        self.commitTimestamp = commitTimestamp
        self.expireTimestamp = expireTimestamp
    }
}

package struct OffsetKey: Sendable, Hashable {
    package var topic: String
    package var partition: Int32

    package init(topic: String, partition: Int32) {
        self.topic = topic
        self.partition = partition
    }
}

/// The records of `__consumer_offsets`: Kafka's layouts (`OffsetCommitKey`, `OffsetCommitValue`, `GroupMetadataKey`,
/// `GroupMetadataValue`). Keys and values begin with an int16: the kind of the record, the version of the value.
///
/// ```
/// key 0, 1   group, topic, partition     value 0 … 4   offset, leaderEpoch (3+), metadata, commitTimestamp, expireTimestamp (1)
/// key 2      group                       value 0 … 4   protocolType, generation, protocol?, leader?, phaseSince (2+),
///                                                      members { id, instance? (3+), clientId, clientHost, rebalanceTimeout (1+),
///                                                                sessionTimeout, subscription, assignment }
/// ```
/// Version 4 of both values is flexible. A record without value deletes. Later kinds (KIP-848 and on) are passed over.
package enum GroupRecord: Sendable, Hashable {
    case offset(group: String, OffsetKey, CommittedOffset?)
    case group(String, GroupSnapshot?)
    case other(kind: Int16)

    // MARK: Writing

    /// In the versions that Kafka 3.7 writes: offset values 3 (1 with an expiry of their own), group values 3.
    package func record(at timestamp: Timestamp) -> Record? {
        do throws(CodecError) {
            switch self {
            case .offset(let group, let key, let committed):
                return Record(
                    timestamp: timestamp, key: try Self.key(group, key),
                    value: try committed.map { (committed) throws(CodecError) in try Self.value(committed) })
            case .group(let id, let snapshot):
                return Record(
                    timestamp: timestamp, key: try Self.key(id),
                    value: try snapshot.map { (snapshot) throws(CodecError) in try Self.value(snapshot) })
            case .other: return nil
            }
        } catch {
            // Only a text or a field of bytes beyond the wire's own limits gets here, and it came over the wire.
            return nil
        }
    }

    private static func finish(_ writer: consuming WireWriter) -> ByteBuffer {
        guard case .bytes(let buffer)? = writer.finish().first else { return ByteBuffer() }
        return buffer
    }

    private static func key(_ group: String, _ key: OffsetKey) throws(CodecError) -> ByteBuffer {
        var writer = WireWriter()
        writer.int16(1)
        try writer.string(group, "group")
        try writer.string(key.topic, "topic")
        writer.int32(key.partition)
        return finish(writer)
    }

    private static func key(_ group: String) throws(CodecError) -> ByteBuffer {
        var writer = WireWriter()
        writer.int16(2)
        try writer.string(group, "group")
        return finish(writer)
    }

    private static func value(_ committed: CommittedOffset) throws(CodecError) -> ByteBuffer {
        var writer = WireWriter()
        writer.int16(committed.expireTimestamp == nil ? 3 : 1)
        writer.int64(committed.offset.rawValue)
        if committed.expireTimestamp == nil { writer.int32(committed.leaderEpoch.rawValue) }
        try writer.string(committed.metadata, "metadata")
        writer.int64(committed.commitTimestamp.rawValue)
        if let expireTimestamp = committed.expireTimestamp { writer.int64(expireTimestamp.rawValue) }
        return finish(writer)
    }

    private static func value(_ snapshot: GroupSnapshot) throws(CodecError) -> ByteBuffer {
        var writer = WireWriter()
        writer.int16(3)
        try writer.string(snapshot.protocolType, "protocolType")
        writer.int32(snapshot.generation)
        try writer.nullableString(snapshot.protocolName, "protocol")
        try writer.nullableString(snapshot.leader, "leader")
        writer.int64(snapshot.phaseSince.rawValue)
        writer.int32(Int32(clamping: snapshot.members.count))
        for member in snapshot.members {
            try writer.string(member.id, "memberId")
            try writer.nullableString(member.instanceID, "groupInstanceId")
            try writer.string(member.clientID, "clientId")
            try writer.string(member.clientHost, "clientHost")
            writer.int32(Int32(clamping: member.rebalanceTimeout.inMilliseconds))
            writer.int32(Int32(clamping: member.sessionTimeout.inMilliseconds))
            try writer.bytes(member.subscription, "subscription")
            try writer.bytes(member.assignment, "assignment")
        }
        return finish(writer)
    }
}
