//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import KafkaProtocol
import LogModel
import NIOCore
import Testing

/// The same bytes again would also come of a field read and written wrongly in the same way: these hold single values of recorded
/// frames, and of single primitives, against what the protocol says.
@Suite struct FixtureMeaningTests {
    private func golden(_ client: String, _ name: String, _ version: Int16, _ correlation: Int32) throws -> FixtureFrame {
        try #require(
            FixtureFrames.golden.first {
                $0.client == client && $0.apiName == name && $0.apiVersion == version && $0.correlationId == correlation
            })
    }

    @Test func metadataOfThreeBrokers() throws {
        let frame = try golden("confluent-kafka", "Metadata", 12, 5)
        let header = try RequestFrame(parsing: frame.requestBytes)
        #expect(header.clientID == "rdkafka")
        let request = try header.decode(MetadataRequest.self)
        #expect(request.topics?.map(\.name) == ["ck.t1", "ck.t2", "ck.none"])
        #expect(request.topics?.allSatisfy { $0.topicId == .zero } == true)
        let response = try decodeResponse(to: MetadataRequest.self, version: 12, frame: #require(frame.responseBytes)).response
        #expect(response.brokers.map(\.nodeId) == [0, 1, 2] && response.brokers.map(\.port) == [29103, 29104, 29105])
        #expect(response.brokers.map(\.rack) == ["rack0", "rack1", "rack2"] && response.brokers[0].host == "127.0.0.1")
        #expect(response.clusterId == "MrJ9bAn4RoeqDHbvaow9YA" && response.controllerId == 2)
        let topic = try #require(response.topics.first)
        #expect(topic.name == "ck.t1" && topic.errorCode == .none && !topic.isInternal)
        #expect(topic.topicId == TopicID(high: 0x5A8F_468B_7D3A_4161, low: 0x9FE1_4C97_CEAF_B51E))
        #expect(topic.partitions.count == 3 && topic.partitions[0].leaderId == 1)
        #expect(topic.partitions[0].replicaNodes == [1, 2, 0] && topic.partitions[0].isrNodes == [1, 2, 0])
        #expect(response.topics.last?.errorCode == .unknownTopicOrPartition)
    }

    @Test func produceWithoutAcknowledgement() throws {
        let frame = try golden("java", "Produce", 11, 4)
        let header = try RequestFrame(parsing: frame.requestBytes)
        #expect(header.clientID == "perf-producer-client" && frame.response == nil)
        let request = try header.decode(ProduceRequest.self)
        #expect(request.transactionalId == nil && request.acks == 0 && request.timeoutMs == 30_000)
        #expect(request.topicData.count == 1 && request.topicData[0].name == "jv.t2")
        let records = try #require(request.topicData[0].partitionData.first?.records)
        #expect(records.sizeInBytes == 296)
        // The batch's own length, eight bytes in, is what follows it.
        #expect(try records.contiguous().getInteger(at: records.contiguous().readerIndex + 8, as: Int32.self) == 296 - 12)
    }

    @Test func fetchByTopicIDInASession() throws {
        let frame = try golden("java", "Fetch", 17, 11)
        let request = try RequestFrame(parsing: frame.requestBytes).decode(FetchRequest.self)
        #expect(request.maxWaitMs == 500 && request.minBytes == 1 && request.maxBytes == 52_428_800 && request.sessionEpoch == 0)
        let id = TopicID(high: 0x0778_8669_9B16_4767, low: 0x9993_98BD_434E_5454)
        #expect(request.topics.map(\.topicId) == [id])
        let response = try decodeResponse(to: FetchRequest.self, version: 17, frame: #require(frame.responseBytes)).response
        #expect(response.sessionId == 0x5E86_A22C && response.responses.map(\.topicId) == [id])
        let partition = try #require(response.responses[0].partitions.last)
        #expect(response.responses[0].partitions.map(\.partitionIndex) == [0, 1])
        #expect(partition.highWatermark == 10 && partition.lastStableOffset == 10 && partition.logStartOffset == 0)
        #expect(partition.abortedTransactions == nil)
        #expect(partition.preferredReadReplica == -1 && (partition.records?.sizeInBytes ?? 0) == 202)
    }

    @Test func apiVersionsOfKafka39() throws {
        let frame = try golden("kafka-python", "ApiVersions", 4, 1)
        let request = try RequestFrame(parsing: frame.requestBytes).decode(ApiVersionsRequest.self)
        #expect(request.clientSoftwareName == "kafka-python" && request.clientSoftwareVersion == "3.0.12")
        let response = try decodeResponse(to: ApiVersionsRequest.self, version: 4, frame: #require(frame.responseBytes)).response
        let produce = try #require(response.apiKeys.first { $0.apiKey == APIKey.produce.rawValue })
        #expect(produce.minVersion == 0 && produce.maxVersion == 11)
        #expect(response.supportedFeatures.contains { $0.name == "metadata.version" })
        #expect(response.finalizedFeaturesEpoch >= 0)
    }

    @Test func primitivesAreLaidOutAsTheProtocolSays() throws {
        func write(isFlexible: Bool, _ body: (inout WireWriter) throws(CodecError) -> Void) throws -> [UInt8] {
            var writer = WireWriter()
            writer.isFlexible = isFlexible
            try body(&writer)
            return Array(try LogSlices(writer.finish()).contiguous().readableBytesView)
        }
        let fixed = try write(isFlexible: false) { (writer) throws(CodecError) in
            writer.bool(true)
            writer.int16(-2)
            writer.uint16(0xFFFE)
            writer.int32(0x0102_0304)
            writer.int64(-1)
            writer.float64(1.5)
            writer.uuid(TopicID(high: 0x0001_0203_0405_0607, low: 0x0809_0A0B_0C0D_0E0F))
        }
        #expect(
            fixed == [1, 0xFF, 0xFE, 0xFF, 0xFE, 1, 2, 3, 4] + [UInt8](repeating: 0xFF, count: 8) + [0x3F, 0xF8, 0, 0, 0, 0, 0, 0]
                + (0..<16).map { UInt8($0) })
        func lengths(_ writer: inout WireWriter) throws(CodecError) {
            try writer.string("ab", "s")
            try writer.nullableString(nil, "s")
            try writer.classicNullableString("c", "s")
            try writer.bytes(ByteBuffer(bytes: [9]), "b")
            try writer.nullableBytes(nil, "b")
            try writer.records(LogSlices(ByteBuffer(bytes: [8])), "r")
            try writer.arrayOfInt32([7], "a")
            try writer.nullableArrayOfInt32(nil, "a")
            try writer.arrayOfString([""], "a")
            writer.noTaggedFields()
        }
        let classic = try write(isFlexible: false, lengths)
        #expect(
            classic == [0, 2, 0x61, 0x62] + [0xFF, 0xFF] + [0, 1, 0x63] + [0, 0, 0, 1, 9] + [0xFF, 0xFF, 0xFF, 0xFF] + [
                0, 0, 0, 1, 8,
            ]
                + [0, 0, 0, 1, 0, 0, 0, 7] + [0xFF, 0xFF, 0xFF, 0xFF] + [0, 0, 0, 1, 0, 0])
        let compact = try write(isFlexible: true, lengths)
        #expect(
            compact == [3, 0x61, 0x62] + [0] + [0, 1, 0x63] + [2, 9] + [0] + [2, 8] + [2, 0, 0, 0, 7] + [0] + [2, 1] + [0])
    }
}
