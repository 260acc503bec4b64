//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import KafkaProtocol
import LogModel
import NIOCore
import Testing

@Suite struct WireWriterTests {
    private final class PatternFile: OpenFile {
        let descriptor: CInt? = nil
        func readBytes(at offset: Int64, length: Int) throws -> ByteBuffer {
            ByteBuffer(bytes: (0..<length).map { UInt8(truncatingIfNeeded: Int(offset) + $0) })
        }
    }

    @Test(arguments: [4 as Int16, 16]) func fileSlicesStayBetweenTheBytesAroundThem(version: Int16) throws {
        let file = PatternFile()
        let slices = LogSlices([.file(file, offset: 10, length: 5000), .file(file, offset: 9000, length: 3)])
        let inMemory = ByteBuffer(repeating: 9, count: 50_000)
        let response = FetchResponse(responses: [
            .init(
                topic: version < 13 ? "t" : "",
                partitions: [
                    .init(partitionIndex: 0, records: slices), .init(partitionIndex: 1, records: LogSlices()),
                    .init(partitionIndex: 2, records: LogSlices(inMemory)), .init(partitionIndex: 3, records: nil),
                ])
        ])
        let frame = try ResponseFrame(response, correlationID: 3, version: version)
        try #require(frame.slices.count == 6)
        #expect(frame.slices[1] == slices.slices[0] && frame.slices[2] == slices.slices[1])
        #expect(frame.slices[4] == .bytes(inMemory))
        let bytes = try LogSlices(frame.slices).contiguous()
        #expect(bytes.readableBytes == frame.sizeInBytes)

        let (_, read) = try decodeResponse(to: FetchRequest.self, version: version, frame: bytes)
        let partitions = read.responses[0].partitions
        #expect(try partitions[0].records?.contiguous() == slices.contiguous())
        #expect(partitions[1].records == LogSlices() && partitions[3].records == nil)
        #expect(try partitions[2].records?.contiguous() == inMemory)
    }

    @Test func largeRecordsInMemoryAreNotCopied() throws {
        let large = ByteBuffer(repeating: 1, count: 8192)
        let small = ByteBuffer(repeating: 2, count: 100)
        var writer = WireWriter()
        writer.int32(7)
        try writer.records(LogSlices([.bytes(small), .bytes(large), .bytes(small)]), "records")
        #expect(writer.sizeInBytes == 4 + 4 + 8192 + 200)
        let slices = writer.finish()
        try #require(slices.count == 3)
        #expect(slices.map(\.sizeInBytes) == [108, 8192, 100])
        guard case .bytes(let kept) = slices[1] else { return #expect(Bool(false)) }
        func address(_ buffer: ByteBuffer) -> UInt { buffer.withVeryUnsafeBytes { UInt(bitPattern: $0.baseAddress) } }
        #expect(address(kept) == address(large))
    }

    @Test func nothingWrittenIsNoSlice() {
        #expect(WireWriter().finish().isEmpty)
    }

    @Test func taggedFieldsOfAnyLengthStandBehindTheirSize() throws {
        for length in [0, 1, 126, 127, 128, 16_382, 16_383, 16_384, 100_000] {
            let text = String(repeating: "z", count: length)
            var writer = WireWriter(capacity: 1)
            writer.isFlexible = true
            writer.unsignedVarint(2)
            try writer.taggedField(0) { (writer) throws(CodecError) in try writer.string(text, "text") }
            try writer.taggedField(300) { (writer) throws(CodecError) in writer.int32(-5) }
            let bytes = try LogSlices(writer.finish()).contiguous()
            var read: (String?, Int32?) = (nil, nil)
            try WireReader.read(bytes) { (reader) throws(CodecError) in
                reader.isFlexible = true
                try reader.readTaggedFields { (tag, reader) throws(CodecError) in
                    switch tag {
                    case 0: read.0 = try reader.string("text")
                    case 300: read.1 = try reader.int32("number")
                    default: return false
                    }
                    return true
                }
                #expect(reader.remainingBytes == 0)
            }
            #expect(read.0 == text && read.1 == -5)
        }
    }

    @Test func unknownTaggedFieldsAreSkipped() throws {
        var bytes = try LogSlices(HeartbeatRequest(groupId: "g", memberId: "m").encoded(version: 4)).contiguous()
        bytes.moveWriterIndex(to: bytes.writerIndex - 1)
        bytes.writeBytes([2, 5, 3, 1, 2, 3, 0x80, 0x10, 0])
        #expect(try HeartbeatRequest(decoding: bytes, version: 4) == HeartbeatRequest(groupId: "g", memberId: "m"))
    }

    /// A known tag whose size is not what its field takes.
    @Test(arguments: [3 as UInt8, 5]) func taggedFieldsOfTheWrongSizeAreRefused(size: UInt8) throws {
        let bytes = ByteBuffer(bytes: [1, 0, size, 0, 0, 0, 1, 0])
        #expect(throws: CodecError.self) {
            try WireReader.read(bytes) { (reader) throws(CodecError) in
                reader.isFlexible = true
                try reader.readTaggedFields { (_, reader) throws(CodecError) in
                    _ = try reader.int32("number")
                    return true
                }
            }
        }
    }

    @Test func stringsTooLongForTheirLengthAreRefused() throws {
        let long = String(repeating: "a", count: 40_000)
        #expect(throws: CodecError.invalid(field: "HeartbeatRequest.groupId")) {
            try HeartbeatRequest(groupId: long).encoded(version: 3)
        }
        let bytes = try HeartbeatRequest(groupId: long).bytes(version: 4)
        #expect(try HeartbeatRequest(decoding: bytes, version: 4).groupId == long)
    }

    @Test func badUTF8IsRefused() {
        let bytes = ByteBuffer(bytes: [0, 2, 0xC3, 0x28, 0, 0, 0, 0, 0, 0])
        #expect(throws: CodecError.invalid(field: "HeartbeatRequest.groupId")) { try HeartbeatRequest(decoding: bytes, version: 0) }
    }

    @Test func varintsBeyondThirtyTwoBitsAreRefused() {
        for (bytes, value) in [([0xFF, 0xFF, 0xFF, 0xFF, 0x0F], UInt32.max), ([0x80, 0x01], 128), ([0], 0)] as [([UInt8], UInt32)] {
            #expect(throws: Never.self) {
                let read = try WireReader.read(ByteBuffer(bytes: bytes)) { (reader) throws(CodecError) in
                    try reader.unsignedVarint("n")
                }
                #expect(read == value)
            }
        }
        for bytes in [[0xFF, 0xFF, 0xFF, 0xFF, 0x1F], [0x80, 0x80, 0x80, 0x80, 0x80, 0x00]] as [[UInt8]] {
            #expect(throws: CodecError.invalid(field: "n")) {
                try WireReader.read(ByteBuffer(bytes: bytes)) { (reader) throws(CodecError) in try reader.unsignedVarint("n") }
            }
        }
    }
}
