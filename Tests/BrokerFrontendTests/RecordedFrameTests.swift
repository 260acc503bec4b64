//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import BrokerFrontend
import KafkaProtocol
import LogModel
import NIOCore
import SimulationKit
import Testing

/// Requests of seven real clients, replayed. They come from many conversations, so offsets, member ids and epochs rarely fit; every
/// one must be answered in a form its client can read all the same.
@Suite struct RecordedFrameTests {
    private static let files = Array(Set(RecordedFrame.all.map(\.client))).sorted()

    @Test(.enabled(if: !files.isEmpty, "no recorded frames beside the package"), arguments: files)
    func everyServedRequestIsAnswered(_ client: String) async throws {
        let broker = try await TestCluster().broker()
        let announced = Dictionary(
            uniqueKeysWithValues: try await broker.ask(ApiVersionsRequest(), version: 0).apiKeys.map {
                ($0.apiKey, $0.minVersion...$0.maxVersion)
            })
        var answered = 0
        for recorded in RecordedFrame.all where recorded.client == client && recorded.verified {
            let isServed = announced[recorded.apiKey]?.contains(recorded.apiVersion) ?? false
            let outcome = try await broker.cluster.clock.autoAdvancing {
                try await broker.outcome(ofFrame: recorded.requestBytes)
            }
            switch outcome {
            case .respond(let frame):
                let bytes = try LogSlices(frame.slices).contiguous()
                #expect(try correlationID(ofResponse: bytes) == recorded.requestBytes.getInteger(at: 4, as: Int32.self))
                let entry = try #require(MessageRegistry.entry(for: recorded.apiKey))
                #expect(throws: Never.self, "\(recorded)") {
                    try Self.check(bytes, of: entry.request, isServed ? recorded.apiVersion : 0)
                }
                answered += 1
            case .noResponse: #expect(recorded.response == nil, "\(recorded) was not answered")
            case .closeConnection(let reason):
                #expect(!isServed || recorded.response == nil, "\(recorded) closed the connection: \(reason)")
            }
        }
        #expect(answered > 0)
        // After all that the broker goes on.
        try await broker.createTopic("after")
        #expect(try await broker.produce(batch(["x"]), to: "after").errorCode == .none)
    }

    private static func check<Request: KafkaRequest>(_ bytes: ByteBuffer, of type: Request.Type, _ version: Int16) throws {
        let (_, response) = try decodeResponse(to: type, version: version, frame: bytes)
        // Nothing after the end: the same message has the same length.
        let written = try ResponseFrame(response, correlationID: 0, version: version).sizeInBytes
        guard written == bytes.readableBytes else {
            throw TestFailure("the answer has \(bytes.readableBytes) bytes, of which \(written) are understood")
        }
    }
}
