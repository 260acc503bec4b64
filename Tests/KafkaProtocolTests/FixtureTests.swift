//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import KafkaProtocol
import LogModel
import NIOCore
import Testing

/// Frames between real clients and Apache Kafka, read and written again to the same bytes.
@Suite struct FixtureTests {
    @Test func goldenFramesReencodeToTheSameBytes() throws {
        #expect(FixtureFrames.golden.count >= 30)
        for frame in FixtureFrames.golden { try check(frame) }
    }

    @Test(.enabled(if: FixtureFrames.folder != nil, "the recorded frames are not on this machine"))
    func everyVerifiedFrameReencodesToTheSameBytes() throws {
        let frames = FixtureFrames.recorded.filter(\.verified)
        #expect(frames.count > 1000)
        for frame in frames { try check(frame) }
    }

    @Test(.enabled(if: FixtureFrames.folder != nil, "the recorded frames are not on this machine"))
    func framesOutsideTheSchemasStillHaveAHeader() throws {
        for frame in FixtureFrames.recorded where !frame.verified {
            let request = try RequestFrame(parsing: frame.requestBytes)
            #expect(request.apiKey == frame.apiKey && request.apiVersion == frame.apiVersion, "\(frame)")
            #expect(request.correlationID == frame.correlationId, "\(frame)")
            let entry = try #require(MessageRegistry.entry(for: frame.apiKey))
            if entry.validVersions.contains(frame.apiVersion) {
                // What follows the message is tolerated: librdkafka's AlterUserScramCredentials has a byte too many.
                _ = try entry.decodeRequest(request.body, version: frame.apiVersion)
            } else {
                #expect(throws: CodecError.unsupportedVersion(frame.apiVersion), "\(frame)") {
                    try entry.decodeRequest(request.body, version: frame.apiVersion)
                }
            }
        }
    }

    private func check(_ frame: FixtureFrame) throws {
        let entry = try #require(MessageRegistry.entry(for: frame.apiKey), "\(frame)")
        #expect(entry.name == frame.apiName)
        try check(entry.request, frame)
    }

    private func check<Request: KafkaRequest>(_ type: Request.Type, _ frame: FixtureFrame) throws {
        let version = frame.apiVersion
        let requestBytes = frame.requestBytes
        let request = try RequestFrame(parsing: requestBytes)
        #expect(request.correlationID == frame.correlationId)
        #expect(request.frameSizeInBytes == requestBytes.readableBytes)
        let message = try request.decode(type)
        let again = try encodeRequest(message, version: version, correlationID: request.correlationID, clientID: request.clientID)
        #expect(try LogSlices(again).contiguous() == requestBytes, "\(frame)")

        guard let responseBytes = frame.responseBytes else { return }
        #expect(try correlationID(ofResponse: responseBytes) == frame.correlationId)
        let (correlation, response) = try decodeResponse(to: type, version: version, frame: responseBytes)
        #expect(correlation == frame.correlationId)
        let answer = try ResponseFrame(response, to: request)
        #expect(try LogSlices(answer.slices).contiguous() == responseBytes, "\(frame)")
        #expect(answer.sizeInBytes == responseBytes.readableBytes)
    }
}
