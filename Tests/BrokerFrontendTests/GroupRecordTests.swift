//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import BrokerFrontend
import KafkaProtocol
import LogModel
import NIOCore
import Testing

@Suite struct GroupRecordTests {
    private static let snapshot = GroupSnapshot(
        groupID: "g", protocolType: "consumer", generation: 7, protocolName: "range", leader: "m1", phaseSince: Timestamp(1234),
        members: [
            GroupSnapshot.Member(
                id: "m1", instanceID: nil, clientID: "c", clientHost: "/h", rebalanceTimeout: .seconds(60),
                sessionTimeout: .seconds(10),
                subscription: ByteBuffer(string: "sub"), assignment: ByteBuffer(string: "as")),
            GroupSnapshot.Member(
                id: "m2", instanceID: "static", clientID: "d", clientHost: "/h", rebalanceTimeout: .seconds(1),
                sessionTimeout: .seconds(2), subscription: ByteBuffer(), assignment: ByteBuffer()),
        ])

    @Test(arguments: [
        GroupRecord.group("g", snapshot), .group("g", nil),
        .offset(
            group: "g", OffsetKey(topic: "t", partition: 3),
            CommittedOffset(offset: Offset(9), leaderEpoch: LeaderEpoch(2), metadata: "m", commitTimestamp: Timestamp(5))),
        .offset(
            group: "g", OffsetKey(topic: "t", partition: 3),
            CommittedOffset(
                offset: Offset(9), metadata: "", commitTimestamp: Timestamp(5), expireTimestamp: Timestamp(6))),
        .offset(group: "ü", OffsetKey(topic: "t", partition: 0), nil),
    ])
    func whatIsWrittenIsReadBack(_ record: GroupRecord) throws {
        #expect(try GroupRecord(reading: try #require(record.record(at: Timestamp(1)))) == record)
    }

    @Test func offsetsHaveKafkasLayout() throws {
        let record = try #require(
            GroupRecord.offset(
                group: "g", OffsetKey(topic: "t", partition: 3),
                CommittedOffset(offset: Offset(9), leaderEpoch: LeaderEpoch(2), metadata: "m", commitTimestamp: Timestamp(5))
            ).record(at: Timestamp(1)))
        #expect(record.key.map { Array($0.readableBytesView) } == [0, 1, 0, 1, 0x67, 0, 1, 0x74, 0, 0, 0, 3])
        #expect(
            record.value.map { Array($0.readableBytesView) } == [
                0, 3, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 2, 0, 1, 0x6D, 0, 0, 0, 0, 0, 0, 0, 5,
            ])
    }

    @Test func laterKindsArePassedOver() throws {
        var key = ByteBuffer()
        key.writeInteger(Int16(8))
        let record = Record(timestamp: Timestamp(1), key: key, value: ByteBuffer(string: "?"))
        #expect(try GroupRecord(reading: record) == .other(kind: 8))
    }

    @Test func damagedRecordsAreErrors() throws {
        let good = try #require(GroupRecord.group("g", Self.snapshot).record(at: Timestamp(1)))
        let bytes = try #require(good.value)
        for length in 0..<bytes.readableBytes {
            let cut = Record(timestamp: Timestamp(1), key: good.key, value: bytes.getSlice(at: 0, length: length))
            #expect(throws: CodecError.self) { try GroupRecord(reading: cut) }
        }
        #expect(throws: CodecError.self) { try GroupRecord(reading: Record(timestamp: Timestamp(1), key: nil, value: nil)) }
    }
}
