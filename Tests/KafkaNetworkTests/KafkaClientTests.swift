//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import KafkaNetwork
import KafkaProtocol
import LogModel
import NIOCore
import Synchronization
import Testing

@Suite struct KafkaClientTests {
    private static func versions(_ request: RequestFrame, produce: ClosedRange<Int16> = 3...9) -> RequestOutcome {
        var answer = ApiVersionsResponse()
        for (key, range) in [(Int16(0), produce), (3, 1...9), (18, 0...3), (19, 2...5), (45, 0...0), (46, 0...0), (2, 1...5)] {
            answer.apiKeys.append(
                ApiVersionsResponse.ApiVersion(apiKey: key, minVersion: range.lowerBound, maxVersion: range.upperBound))
        }
        return respond(answer, request)
    }

    private static func respond(_ answer: some KafkaResponse, _ request: RequestFrame) -> RequestOutcome {
        do { return .respond(try ResponseFrame(answer, to: request)) } catch { return .closeConnection(reason: "\(error)") }
    }

    /// One broker, which leads partition 0 of `t`, at `port`.
    private static func metadata(_ request: RequestFrame, port: Int, leader: Int32) -> RequestOutcome {
        var answer = MetadataResponse()
        answer.brokers = [.init(nodeId: 1, host: "127.0.0.1", port: Int32(port))]
        answer.controllerId = 1
        answer.topics = [
            .init(name: "t", partitions: [.init(partitionIndex: 0, leaderId: leader, replicaNodes: [1], isrNodes: [1])])
        ]
        return respond(answer, request)
    }

    @Test func theNewestCommonVersionIsSpoken() async throws {
        try await Loopback.with(answering: { request in
            if request.apiKey == 18 { return Self.versions(request) }
            #expect(request.apiVersion == 9)
            return Self.respond(MetadataResponse(clusterId: "here"), request)
        }) { loopback in
            let connection = try await KafkaConnection.connect(to: loopback.address, group: Loopback.group, clientID: "test")
            #expect(try await connection.send(MetadataRequest(topics: [])).clusterId == "here")
            #expect(throws: KafkaClientError.self) { try connection.version(of: FetchRequest.self) }
        }
    }

    @Test func aBrokerThatKnowsOnlyTheFirstApiVersionsIsUnderstood() async throws {
        try await Loopback.with(answering: { request in
            if request.apiVersion > 0 {
                var refusal = ApiVersionsResponse()
                refusal.errorCode = .unsupportedVersion
                guard let frame = try? ResponseFrame(refusal, correlationID: request.correlationID, version: 0) else {
                    return .noResponse
                }
                return .respond(frame)
            }
            return Self.versions(request, produce: 3...7)
        }) { loopback in
            let connection = try await KafkaConnection.connect(to: loopback.address, group: Loopback.group, clientID: nil)
            #expect(try connection.version(of: ProduceRequest.self) == 7)
        }
    }

    @Test func anAnswerThatDoesNotComeIsATimeoutAndEndsTheConnection() async throws {
        try await Loopback.with(answering: { _ in .noResponse }) { loopback in
            let connection = try await loopback.connect()
            let error = await #expect(throws: KafkaClientError.self) {
                try await connection.call(Loopback.request(1), correlationID: 1, timeout: .milliseconds(30))
            }
            #expect(error?.code == .timedOut)
            let next = await #expect(throws: KafkaClientError.self) {
                try await connection.call(Loopback.request(2), correlationID: 2, timeout: .seconds(5))
            }
            #expect(next?.isRetriable == true)
        }
    }

    @Test func noBrokerThereIsAClearError() async throws {
        // A port that no test can be given: one that has just been let go may be another test's by now.
        let address = BrokerAddress(host: "127.0.0.1", port: 1)
        let error = await #expect(throws: KafkaClientError.self) {
            try await KafkaConnection.connect(to: address, group: Loopback.group, clientID: nil)
        }
        #expect(error?.code == .connectFailed)
        #expect(error?.description.contains("\(address)") == true)
    }

    @Test func aCallGoesOnUntilTheTopicHasALeader() async throws {
        let port = Mutex(0)
        let asked = Mutex(0)
        try await Loopback.with(answering: { request in
            switch request.apiKey {
            case 18: return Self.versions(request)
            case 3:
                let times = asked.withLock { asked in
                    asked += 1
                    return asked
                }
                return Self.metadata(request, port: port.withLock { $0 }, leader: times < 4 ? -1 : 1)
            default:
                var answer = ListOffsetsResponse()
                answer.topics = [.init(name: "t", partitions: [.init(partitionIndex: 0, offset: 42)])]
                return Self.respond(answer, request)
            }
        }) { loopback in
            port.withLock { $0 = loopback.address.port }
            let client = KafkaClient(bootstrap: [loopback.address], group: Loopback.group, clock: TestClock())
            _ = try await client.waitForLeaders(of: ["t": 1])
            #expect(asked.withLock { $0 } >= 4)
            #expect(try await client.listOffset(of: "t", partition: 0, timestamp: -1) == 42)
            await client.close()
        }
    }

    @Test func anErrorThatTryingAgainCannotHelpIsThrownAtOnce() async throws {
        let port = Mutex(0)
        let asked = Mutex(0)
        try await Loopback.with(answering: { request in
            switch request.apiKey {
            case 18: return Self.versions(request)
            case 3: return Self.metadata(request, port: port.withLock { $0 }, leader: 1)
            default:
                asked.withLock { $0 += 1 }
                var answer = CreateTopicsResponse()
                answer.topics = [.init(name: "t", errorCode: .topicAlreadyExists, errorMessage: "there is one")]
                return Self.respond(answer, request)
            }
        }) { loopback in
            port.withLock { $0 = loopback.address.port }
            let client = KafkaClient(bootstrap: [loopback.address], group: Loopback.group, clock: TestClock())
            let error = await #expect(throws: KafkaClientError.self) {
                try await client.createTopic("t", partitions: 1, replicationFactor: 1)
            }
            #expect(error?.code == .broker(.topicAlreadyExists))
            #expect(error?.description.contains("there is one") == true)
            #expect(asked.withLock { $0 } == 1)
            await client.close()
        }
    }

    @Test(arguments: ["", "host", "host:", ":1", "host:0", "host:65536", "host:x"])
    func badAddressesAreNamed(text: String) {
        #expect(throws: KafkaClientError.self) { try BrokerAddress.list(parsing: text) }
    }

    @Test func goodAddressesAreRead() throws {
        #expect(try BrokerAddress.list(parsing: "a:1, [::1]:9092").map(\.description) == ["a:1", "[::1]:9092"])
    }
}

@Suite struct TCPPeerTransportTests {
    @Test func callsOfOneChannelShareAConnectionAndComeBackInOrder() async throws {
        let order = Mutex<[Int32]>([])
        try await Loopback.with(answering: { request in
            order.withLock { $0.append(request.correlationID) }
            return .respond(ResponseFrame(to: request, .bytes(request.body)))
        }) { loopback in
            let transport = TCPPeerTransport(group: Loopback.group)
            for id in 0..<20 as Range<Int32> {
                let frame = Loopback.request(id, body: ByteBuffer(integer: id)).compactMap {
                    if case .bytes(let bytes) = $0 { bytes } else { nil }
                }
                let answer = try await transport.call(
                    host: "127.0.0.1", port: loopback.address.port, channel: id < 10 ? "a" : "b", frame: frame,
                    timeout: .seconds(20))
                #expect(answer.getInteger(at: answer.readerIndex + 4, as: Int32.self) == id)
            }
            #expect(loopback.server.connectionCount == 2)
            #expect(order.withLock { $0 } == Array(0..<20))
            await transport.stop()
            await #expect(throws: (any Error).self) {
                try await transport.call(
                    host: "127.0.0.1", port: loopback.address.port, channel: "a", frame: [ByteBuffer(repeating: 0, count: 8)],
                    timeout: .seconds(1))
            }
        }
    }

    @Test func aBrokenConnectionIsOpenedAgainByTheNextCall() async throws {
        try await Loopback.with(answering: { request in
            request.correlationID == 1 ? .closeConnection(reason: "test") : .respond(ResponseFrame(to: request))
        }) { loopback in
            let transport = TCPPeerTransport(group: Loopback.group)
            func call(_ id: Int32) async throws {
                let frame = Loopback.request(id).compactMap { if case .bytes(let bytes) = $0 { bytes } else { nil } }
                _ = try await transport.call(
                    host: "127.0.0.1", port: loopback.address.port, channel: "a", frame: frame, timeout: .seconds(20))
            }
            try await call(0)
            await #expect(throws: (any Error).self) { try await call(1) }
            try await call(2)
            await transport.stop()
        }
    }
}
