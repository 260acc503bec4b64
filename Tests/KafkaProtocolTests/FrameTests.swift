//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import KafkaProtocol
import LogModel
import NIOCore
import Testing

@Suite struct FrameTests {
    @Test func clientAndServerUnderstandEachOtherInEveryVersion() throws {
        func check<Request: KafkaRequest>(_ type: Request.Type) throws {
            for version in Request.validVersions {
                for clientID in [nil, "", "loader-1"] {
                    let sent = try encodeRequest(Request(), version: version, correlationID: 77, clientID: clientID)
                    let frame = try RequestFrame(parsing: LogSlices(sent).contiguous())
                    #expect(frame.apiKey == Request.apiKey && frame.apiVersion == version && frame.correlationID == 77)
                    #expect(frame.clientID == clientID)
                    #expect(try frame.decode(type) == Request())
                    let answer = try ResponseFrame(Request.Response(), to: frame)
                    let bytes = try LogSlices(answer.slices).contiguous()
                    let (correlationID, response) = try decodeResponse(to: type, version: version, frame: bytes)
                    #expect(correlationID == 77 && response == Request.Response(), "\(type) v\(version)")
                }
            }
        }
        for entry in MessageRegistry.entries { try check(entry.request) }
    }

    @Test func unknownKeyStillYieldsAFrame() throws {
        var bytes = ByteBuffer()
        bytes.writeMultipleIntegers(Int16(4242), Int16(3), Int32(11))
        bytes.writeRepeatingByte(0xFF, count: 9)
        let frame = try RequestFrame(parsing: bytes)
        #expect(frame.apiKey == 4242 && frame.apiVersion == 3 && frame.correlationID == 11)
        #expect(frame.clientID == nil && frame.body.readableBytes == 9 && frame.frameSizeInBytes == 17)
    }

    @Test func tooShortForAHeaderIsRefused() {
        for length in 0..<8 {
            #expect(throws: CodecError.self) { try RequestFrame(parsing: ByteBuffer(repeating: 0, count: length)) }
        }
    }

    @Test(arguments: [[], [0xFF], [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], [0x00, 0x02, 0x61, 0x62, 0x00, 0x01]] as [[UInt8]])
    func apiVersionsOfAFutureVersionYieldsAFrameAndIsAnsweredInVersionZero(rest: [UInt8]) throws {
        var bytes = ByteBuffer()
        bytes.writeMultipleIntegers(ApiVersionsRequest.apiKey, Int16(99), Int32(5))
        bytes.writeBytes(rest)
        let frame = try RequestFrame(parsing: bytes)
        #expect(frame.apiVersion == 99 && frame.correlationID == 5)
        #expect(throws: CodecError.unsupportedVersion(99)) { try frame.decode(ApiVersionsRequest.self) }

        let range = ApiVersionsResponse.ApiVersion(apiKey: 18, minVersion: 0, maxVersion: 4)
        let answer = try ResponseFrame(ApiVersionsResponse(errorCode: .unsupportedVersion, apiKeys: [range]), to: frame)
        let written = try LogSlices(answer.slices).contiguous()
        // Correlation id, error code, one key of three int16: nothing tagged, nothing compact.
        #expect(written.readableBytes == 4 + 2 + 4 + 6)
        let (_, understood) = try decodeResponse(to: ApiVersionsRequest.self, version: 4, frame: written)
        #expect(understood.errorCode == .unsupportedVersion && understood.apiKeys == [range])
    }

    @Test func apiVersionsAnswerHasHeaderVersionZeroInFlexibleVersionsToo() throws {
        let frame = RequestFrame(
            apiKey: 18, apiVersion: 3, correlationID: 1, clientID: nil, body: ByteBuffer(), frameSizeInBytes: 0)
        let answer = try LogSlices(ResponseFrame(ApiVersionsResponse(), to: frame).slices).contiguous()
        // The error code follows the correlation id at once.
        #expect(answer.getInteger(at: 0, as: Int32.self) == 1)
        #expect(answer.getInteger(at: 4, as: Int16.self) == 0)
        #expect(answer.readableBytes == 4 + 2 + 1 + 4 + 1)
        #expect(MessageRegistry.responseHeaderVersion(apiKey: 18, apiVersion: 3) == 0)
        #expect(MessageRegistry.responseHeaderVersion(apiKey: 3, apiVersion: 9) == 1)
    }

    @Test func bytesAfterARequestAreTolerated() throws {
        let sent = try encodeRequest(HeartbeatRequest(groupId: "g"), version: 4, correlationID: 1, clientID: "c")
        var bytes = try LogSlices(sent).contiguous()
        bytes.writeInteger(UInt8(0))
        #expect(try RequestFrame(parsing: bytes).decode(HeartbeatRequest.self).groupId == "g")
    }

    @Test func recordsAreReadAsASliceOfTheFrame() throws {
        let batch = ByteBuffer(repeating: 7, count: 100_000)
        let request = ProduceRequest(
            acks: -1, topicData: [.init(name: "t", partitionData: [.init(index: 2, records: LogSlices(batch))])])
        let bytes = try LogSlices(encodeRequest(request, version: 9, correlationID: 1, clientID: "c")).contiguous()
        let read = try RequestFrame(parsing: bytes).decode(ProduceRequest.self)
        #expect(read == request)
        let records = try #require(read.topicData[0].partitionData[0].records).contiguous()
        let frameMemory = bytes.withUnsafeReadableBytes {
            UInt(bitPattern: $0.baseAddress)..<UInt(bitPattern: $0.baseAddress) + UInt($0.count)
        }
        #expect(frameMemory.contains(records.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) }))
    }

    @Test func consumerMetadataIsReadInNewerVersionsThanOurs() throws {
        let subscription = ConsumerProtocolSubscription(
            topics: ["a", "b"], userData: ByteBuffer(string: "x"), ownedPartitions: [.init(topic: "a", partitions: [0, 2])],
            generationId: 4, rackId: "r")
        var bytes = try subscription.encodedWithVersion(3)
        #expect(try ConsumerProtocolSubscription(decodingWithVersion: bytes) == subscription)
        bytes.setInteger(Int16(9), at: 0)
        bytes.writeInteger(Int64(1))
        #expect(try ConsumerProtocolSubscription(decodingWithVersion: bytes) == subscription)
        let old = try ConsumerProtocolSubscription(decodingWithVersion: subscription.encodedWithVersion(0))
        #expect(old.topics == ["a", "b"] && old.ownedPartitions.isEmpty && old.generationId == -1)
        #expect(throws: CodecError.self) { try ConsumerProtocolAssignment(decodingWithVersion: ByteBuffer()) }
    }

    @Test func errorCodesAndKeysCarryKafkasNames() {
        #expect(ErrorCode.none.rawValue == 0 && ErrorCode.unknownServerError.rawValue == -1)
        #expect(ErrorCode.notLeaderOrFollower.rawValue == 6 && ErrorCode.notLeaderOrFollower.name == "NOT_LEADER_OR_FOLLOWER")
        #expect(ErrorCode.notLeaderOrFollower.isRetriable && ErrorCode.notLeaderOrFollower.invalidatesMetadata)
        #expect(!ErrorCode.messageTooLarge.isRetriable && ErrorCode(rawValue: 999).name == "ERROR_999")
        #expect(Set(ErrorCode.allCodes.map(\.name)).count == 135)
        #expect(APIKey.produce.rawValue == 0 && APIKey.produce.name == "Produce")
        #expect(APIKey(rawValue: 4).name == nil)
        #expect(MessageRegistry.entry(for: 22)?.isLatestVersionUnstable == true)
    }
}
