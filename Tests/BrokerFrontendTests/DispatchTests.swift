//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import BrokerFrontend
import KafkaProtocol
import LogModel
import NIOCore
import RuntimeEnvironment
import SimulationKit
import Testing

@Suite struct DispatchTests {
    @Test(arguments: Int16(0)...3) func apiVersionsTellsACoherentRelease(_ version: Int16) async throws {
        let broker = try await TestCluster().broker()
        let answer = try await broker.ask(
            ApiVersionsRequest(clientSoftwareName: "test-client", clientSoftwareVersion: "1.0"), version: version)
        #expect(answer.errorCode == .none)
        let ranges = Dictionary(uniqueKeysWithValues: answer.apiKeys.map { ($0.apiKey, $0.minVersion...$0.maxVersion) })
        // The traits clients go by: release 3.7, magic 2, zstd, idempotence.
        #expect(ranges[APIKey.produce.rawValue] == 0...10)
        #expect(ranges[APIKey.fetch.rawValue] == 4...16)
        #expect(ranges[APIKey.listOffsets.rawValue] == 1...9)
        #expect(ranges[APIKey.metadata.rawValue] == 0...12)
        #expect(ranges[APIKey.findCoordinator.rawValue] == 0...4)
        #expect(ranges[APIKey.initProducerId.rawValue] == 0...4)
        #expect(ranges[APIKey.alterReplicaLogDirs.rawValue] == 1...2)
        #expect(ranges[APIKey.describeLogDirs.rawValue] == 1...4)
        #expect(ranges.count == 31)
    }

    @Test(arguments: [Int16(4), 99]) func anApiVersionsRequestFromTheFutureIsAnsweredInVersionZero(_ version: Int16) async throws {
        let broker = try await TestCluster().broker()
        var frame = ByteBuffer()
        frame.writeInteger(Int16(18))
        frame.writeInteger(version)
        frame.writeInteger(Int32(7))
        frame.writeBytes([0xFF, 0xFF, 0, 1, 1, 0])
        guard case .respond(let response) = try await broker.outcome(ofFrame: frame) else {
            Issue.record("not answered")
            return
        }
        let bytes = try LogSlices(response.slices).contiguous()
        let (_, answer) = try decodeResponse(to: ApiVersionsRequest.self, version: 0, frame: bytes)
        #expect(answer.errorCode == .unsupportedVersion)
        #expect(!answer.apiKeys.isEmpty)
    }

    @Test func clientSoftwareNamesAreChecked() async throws {
        let broker = try await TestCluster().broker()
        let answer = try await broker.ask(ApiVersionsRequest(clientSoftwareName: "-x", clientSoftwareVersion: "1"), version: 3)
        #expect(answer.errorCode == .invalidRequest)
    }

    @Test func unknownKeysAndVersionsCloseTheConnection() async throws {
        let broker = try await TestCluster().broker()
        for (key, version) in [(Int16(999), Int16(0)), (-1, 0), (0, 2), (0, 11), (1, 3), (68, 0)] {
            let frame = RequestFrame(
                apiKey: key, apiVersion: version, correlationID: 1, clientID: nil, body: ByteBuffer(), frameSizeInBytes: 8)
            guard case .closeConnection = await broker.outcome(of: frame) else {
                Issue.record("key \(key) version \(version) left the connection open")
                continue
            }
        }
    }

    @Test func garbageClosesTheConnectionAndTheBrokerGoesOn() async throws {
        let broker = try await TestCluster().broker()
        try await broker.createTopic("t")
        let random = SeededRandomSource(seed: 99)
        let announced = try await broker.ask(ApiVersionsRequest(), version: 0).apiKeys
        for _ in 0..<3000 {
            let api = announced[Int(random.next(below: UInt64(announced.count)))]
            let version = api.minVersion + Int16(random.next(below: UInt64(api.maxVersion - api.minVersion + 1)))
            let body = ByteBuffer(bytes: (0..<random.next(below: 200)).map { _ in UInt8(truncatingIfNeeded: random.next()) })
            let frame = RequestFrame(
                apiKey: api.apiKey, apiVersion: version, correlationID: 1, clientID: "garbage", body: body,
                frameSizeInBytes: body.readableBytes + 10)
            // Some bytes mean something; whatever they mean, it must end.
            _ = try await broker.cluster.clock.autoAdvancing(every: .microseconds(50)) { await broker.outcome(of: frame) }
        }
        #expect(try await broker.produce(batch(["x"]), to: "t").errorCode == .none)
    }

    @Test func requestsWithoutAHandshakeAreServed() async throws {
        let broker = try await TestCluster().broker()
        let answer = try await broker.ask(MetadataRequest(topics: []), version: 1)
        #expect(answer.brokers.map(\.nodeId) == [0])
    }

    @Test func producerIdsAreNeverGivenTwice() async throws {
        let cluster = try await TestCluster()
        let first = try await cluster.broker(0)
        let second = try await cluster.broker(1)
        var ids: Set<Int64> = []
        for count in 0..<1200 {
            let broker = count % 3 == 0 ? second : first
            let answer = try await broker.ask(InitProducerIdRequest(transactionalId: nil), version: 4)
            #expect(answer.errorCode == .none)
            #expect(answer.producerEpoch == 0)
            #expect(ids.insert(answer.producerId).inserted)
        }
    }
}
