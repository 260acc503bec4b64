//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import KafkaProtocol
package import LogModel
internal import NIOCore

extension GroupRecord {
    /// - Throws: ``CodecError`` for bytes that are none of Kafka's layouts.
    package init(reading record: Record) throws(CodecError) {
        guard let key = record.key else { throw .invalid(field: "key") }
        self = try WireReader.read(key) { (reader) throws(CodecError) in
            let kind = try reader.int16("key version")
            switch kind {
            case 0, 1:
                let group = try reader.string("group")
                let topic = try reader.string("topic")
                let partition = try reader.int32("partition")
                let value = try record.value.map { (value) throws(CodecError) in try Self.committedOffset(value) }
                return .offset(group: group, OffsetKey(topic: topic, partition: partition), value)
            case 2:
                let group = try reader.string("group")
                let value = try record.value.map { (value) throws(CodecError) in try Self.snapshot(value, group: group) }
                return .group(group, value)
            default: return .other(kind: kind)
            }
        }
    }

    private static func committedOffset(_ value: ByteBuffer) throws(CodecError) -> CommittedOffset {
        try WireReader.read(value) { (reader) throws(CodecError) in
            let version = try reader.int16("value version")
            guard (0...4).contains(version) else { throw .unsupportedVersion(version) }
            reader.isFlexible = version >= 4
            let offset = try reader.int64("offset")
            let epoch = version >= 3 ? try reader.int32("leaderEpoch") : -1
            let metadata = try reader.string("metadata")
            let committed = try reader.int64("commitTimestamp")
            let expires = version == 1 ? try reader.int64("expireTimestamp") : -1
            try reader.skipTaggedFields()
            return CommittedOffset(
                offset: Offset(offset), leaderEpoch: LeaderEpoch(epoch), metadata: metadata, commitTimestamp: Timestamp(committed),
                expireTimestamp: expires < 0 ? nil : Timestamp(expires))
        }
    }

    private static func snapshot(_ value: ByteBuffer, group: String) throws(CodecError) -> GroupSnapshot {
        try WireReader.read(value) { (reader) throws(CodecError) in
            let version = try reader.int16("value version")
            guard (0...4).contains(version) else { throw .unsupportedVersion(version) }
            reader.isFlexible = version >= 4
            var snapshot = GroupSnapshot(
                groupID: group, protocolType: try reader.string("protocolType"), generation: try reader.int32("generation"),
                protocolName: try reader.nullableString("protocol"), leader: try reader.nullableString("leader"),
                phaseSince: version >= 2 ? Timestamp(try reader.int64("currentStateTimestamp")) : .none, members: [])
            snapshot.members = try reader.array(of: StoredMember.self, version, minimumSize: 9, "members").map(\.member)
            try reader.skipTaggedFields()
            return snapshot
        }
    }
}

/// A member as the value of a group record has it.
private struct StoredMember: KafkaStruct {
    var member: GroupSnapshot.Member

    init() {
        member = GroupSnapshot.Member(
            id: "", instanceID: nil, clientID: "", clientHost: "", rebalanceTimeout: .zero, sessionTimeout: .zero,
            subscription: ByteBuffer(), assignment: ByteBuffer())
    }

    init(from reader: inout WireReader, version: Int16) throws(CodecError) {
        self.init()
        member.id = try reader.string("memberId")
        member.instanceID = version >= 3 ? try reader.nullableString("groupInstanceId") : nil
        member.clientID = try reader.string("clientId")
        member.clientHost = try reader.string("clientHost")
        let rebalanceTimeout = version >= 1 ? try reader.int32("rebalanceTimeout") : nil
        let sessionTimeout = try reader.int32("sessionTimeout")
        member.sessionTimeout = .milliseconds(sessionTimeout)
        member.rebalanceTimeout = .milliseconds(rebalanceTimeout ?? sessionTimeout)
        // Copied: a slice would keep the whole batch it was read from.
        member.subscription = ByteBuffer(bytes: try reader.bytes("subscription").readableBytesView)
        member.assignment = ByteBuffer(bytes: try reader.bytes("assignment").readableBytesView)
        try reader.skipTaggedFields()
    }

    func encode(into writer: inout WireWriter, version: Int16) throws(CodecError) {
        preconditionFailure("members are written with their group")
    }
}
