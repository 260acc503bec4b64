//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import BrokerFrontend
import ClusterMetadata
import InMemoryLog
import KafkaProtocol
import LogModel
import Metering
import NIOCore
import Testing

@Suite struct ProduceTests {
    private func broker() async throws -> TestBroker {
        let broker = try await TestCluster().broker()
        try await broker.createTopic("t")
        return broker
    }

    @Test(arguments: Int16(3)...10) func everyVersionAppendsAndAnswersTheOffset(_ version: Int16) async throws {
        let broker = try await broker()
        #expect(try await broker.produce(batch(["a", "b"]), to: "t", version: version).baseOffset == 0)
        let second = try await broker.produce(batch(["c"]), to: "t", version: version)
        #expect(second.errorCode == .none)
        #expect(second.baseOffset == 2)
        #expect(try values(try await broker.fetch("t").records) == ["a", "b", "c"])
    }

    @Test func acknowledgedBytesAndRecordsAreCountedOnce() async throws {
        let broker = try await broker()
        let bytes = batch(["a", "b"], producerID: 5, producerEpoch: 0, sequence: 0)
        _ = try await broker.produce(bytes, to: "t")
        let repeated = try await broker.produce(bytes, to: "t")
        #expect(repeated.errorCode == .none)
        #expect(repeated.baseOffset == 0)
        #expect(broker.meters.logicalBytes.value == Int64(bytes.readableBytes))
        #expect(broker.meters.logicalRecords.value == 2)
    }

    @Test func wholeFramesAreCountedByClass() async throws {
        let broker = try await broker()
        let before = broker.meters.snapshot
        let frame = try broker.frame(TestBroker.produceRequest(batch(["a"]), to: "t"), version: 9)
        _ = try await broker.outcome(ofFrame: frame)
        let after = broker.meters.snapshot
        #expect(after["network.produce"]! - before["network.produce"]! == Int64(frame.readableBytes + 4))
        #expect(after["network.control"]! > before["network.control"]!)
        #expect(after["network.consume"] == before["network.consume"])
    }

    @Test func withoutAcknowledgementNothingIsAnswered() async throws {
        let broker = try await broker()
        let frame = try broker.frame(TestBroker.produceRequest(batch(["a"]), to: "t", acks: 0), version: 9)
        guard case .noResponse = try await broker.outcome(ofFrame: frame) else {
            Issue.record("a produce with acks=0 was answered")
            return
        }
        #expect(try values(try await broker.fetch("t").records) == ["a"])
    }

    @Test func withoutAcknowledgementAnErrorClosesTheConnection() async throws {
        let broker = try await broker()
        let frame = try broker.frame(TestBroker.produceRequest(batch(["a"]), to: "unknown", acks: 0), version: 9)
        guard case .closeConnection = try await broker.outcome(ofFrame: frame) else {
            Issue.record("a failed produce with acks=0 left the connection open")
            return
        }
    }

    @Test func badBatchesGetKafkasErrorsAndTheBrokerGoesOn() async throws {
        let broker = try await broker()
        var wrongCRC = batch(["abc"])
        wrongCRC.setInteger(UInt8(0xFF), at: wrongCRC.writerIndex - 2)
        #expect(try await broker.produce(wrongCRC, to: "t").errorCode == .corruptMessage)

        var two = batch(["a"])
        two.writeImmutableBuffer(batch(["b"]))
        #expect(try await broker.produce(two, to: "t").errorCode == .invalidRecord)

        var later = batch(["a"])
        later.setInteger(Int64(5), at: 0)
        #expect(try await broker.produce(later, to: "t").errorCode == .invalidRecord)

        var old = batch(["a"])
        old.setInteger(Int8(1), at: 16)
        #expect(try await broker.produce(old, to: "t").errorCode == .unsupportedForMessageFormat)

        #expect(try await broker.produce(batch(["a"], attributes: 0x20), to: "t").errorCode == .invalidRecord)
        #expect(
            try await broker.produce(batch(["a"], attributes: 0x4), to: "t", version: 6).errorCode == .unsupportedCompressionType)
        #expect(try await broker.produce(ByteBuffer(), to: "t").errorCode == .invalidRecord)
        #expect(try await broker.produce(batch(["a"]), to: "t", acks: 2).errorCode == .invalidRequiredAcks)
        #expect(try await broker.produce(batch(["a"]), to: "nowhere").errorCode == .unknownTopicOrPartition)
        #expect(try await broker.produce(batch(["a"]), to: "t", 9).errorCode == .unknownTopicOrPartition)
        let message = try await broker.produce(batch([String(repeating: "x", count: 1_100_000)]), to: "t")
        #expect(message.errorCode == .messageTooLarge)
        #expect(message.errorMessage?.contains("max.message.bytes") == true)

        #expect(try await broker.produce(batch(["good"]), to: "t").baseOffset == 0)
    }

    @Test func sequencesOfIdempotentProducersAreChecked() async throws {
        let broker = try await broker()
        _ = try await broker.produce(batch(["a"], producerID: 5, producerEpoch: 1, sequence: 0), to: "t")
        let gap = try await broker.produce(batch(["c"], producerID: 5, producerEpoch: 1, sequence: 2), to: "t")
        #expect(gap.errorCode == .outOfOrderSequenceNumber)
        let old = try await broker.produce(batch(["c"], producerID: 5, producerEpoch: 0, sequence: 1), to: "t")
        #expect(old.errorCode == .invalidProducerEpoch)
    }

    @Test func aBrokerThatDoesNotLeadTellsWhoDoes() async throws {
        let cluster = try await TestCluster()
        let first = try await cluster.broker(0)
        let second = try await cluster.broker(1)
        try await first.createTopic("t")
        try await cluster.move("t", 0, to: second.id)
        await eventually { first.metadata.current.partition(topic: "t", 0)?.leader == second.id }
        try await first.opened("t")
        await eventually { first.engine.logs.isEmpty }
        let response = try await first.ask(TestBroker.produceRequest(batch(["a"]), to: "t"), version: 10)
        let partition = response.responses[0].partitionResponses[0]
        #expect(partition.errorCode == .notLeaderOrFollower)
        #expect(partition.currentLeader.leaderId == 1)
        #expect(response.nodeEndpoints.map(\.port) == [9093])
    }

    @Test func aBatchIsStoredAsSentWhateverItsCompression() async throws {
        let broker = try await broker()
        // Four bits of codec that the broker never looks behind: the payload is no gzip stream.
        var sent = batch(["not really compressed"], attributes: 1)
        #expect(try await broker.produce(sent, to: "t").errorCode == .none)
        var stored = try #require(try await broker.fetch("t").records).contiguous()
        // Base offset and leader epoch are the broker's.
        for at in 0..<8 { sent.setInteger(UInt8(0), at: at) }
        sent.setInteger(Int32(0), at: 12)
        stored.setInteger(Int32(0), at: 12)
        #expect(stored == sent)
    }
}
