//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import KafkaProtocol
import LogModel
import NIOCore
import Testing

/// Bytes no honest client sends: an error or a value, never a crash, never more out than there was in.
@Suite struct HostileBytesTests {
    /// A message is read to its last byte, so whatever is cut off must be missed.
    @Test func everyTruncationOfARandomMessageIsRefused() throws {
        func check<Message: KafkaMessage & Sampled>(_ type: Message.Type, seed: UInt64) throws {
            var source = SampleSource(seed: seed)
            for version in Message.validVersions {
                let bytes = try Message.sample(using: &source, version: version).bytes(version: version)
                let taken = cuts(of: bytes.readableBytes).filter { length in
                    (try? Message(decoding: prefix(bytes, length), version: version)) != nil
                }
                #expect(taken.isEmpty, "\(type) v\(version) was read though cut to these lengths")
            }
        }
        for (index, type) in sampledMessages.enumerated() { try check(type, seed: UInt64(index) + 2000) }
    }

    @Test func everyTruncationOfARecordedFrameIsRefused() throws {
        func check<Request: KafkaRequest>(_ type: Request.Type, _ frame: FixtureFrame) {
            let request = frame.requestBytes
            let requestsTaken = cuts(of: request.readableBytes).filter { length in
                (try? RequestFrame(parsing: prefix(request, length)).decode(type)) != nil
            }
            #expect(requestsTaken.isEmpty, "\(frame): the request was read though cut to these lengths")
            guard let response = frame.responseBytes else { return }
            let responsesTaken = cuts(of: response.readableBytes).filter { length in
                (try? decodeResponse(to: type, version: frame.apiVersion, frame: prefix(response, length))) != nil
            }
            #expect(responsesTaken.isEmpty, "\(frame): the response was read though cut to these lengths")
        }
        for frame in distinctFrames {
            let entry = try #require(MessageRegistry.entry(for: frame.apiKey))
            check(entry.request, frame)
        }
    }

    @Test func mutatedMessagesAreRefusedOrReadWithoutGrowing() throws {
        func check<Message: KafkaMessage & Sampled>(_ type: Message.Type, seed: UInt64) throws {
            var source = SampleSource(seed: seed)
            for version in Message.validVersions {
                let bytes = try Message.sample(using: &source, version: version).bytes(version: version)
                for _ in 0..<24 where bytes.readableBytes > 0 {
                    try tryReading(type, mutate(bytes, using: &source), version: version)
                }
            }
        }
        for (index, type) in sampledMessages.enumerated() { try check(type, seed: UInt64(index) + 3000) }
    }

    @Test func mutatedRequestFramesAreRefusedOrRead() throws {
        var source = SampleSource(seed: 4000)
        for frame in distinctFrames {
            for _ in 0..<24 {
                guard let request = try? RequestFrame(parsing: mutate(frame.requestBytes, using: &source)),
                    let entry = MessageRegistry.entry(for: request.apiKey)
                else { continue }
                func check<Request: KafkaRequest>(_ type: Request.Type) throws {
                    try tryReading(type, request.body, version: request.apiVersion)
                }
                try check(entry.request)
            }
        }
    }

    /// The largest and the negative values of each length's encoding, at every place of a message.
    @Test func hugeAndNegativeLengthsAnywhereAreRefusedOrReadWithoutGrowing() throws {
        let lengths: [[UInt8]] = [
            [0x7F, 0xFF, 0xFF, 0xFF], [0xFF, 0xFF, 0xFF, 0xFF], [0x80, 0, 0, 0], [0xFF, 0xFF, 0xFF, 0xFF, 0x07],
            [0xFF, 0xFF, 0xFF, 0xFF, 0x0F], [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01], [0x80, 0x80, 0x80, 0x80, 0x80], [0x7F, 0xFF],
        ]
        func check<Message: KafkaMessage & Sampled>(_ type: Message.Type, seed: UInt64) throws {
            var source = SampleSource(seed: seed)
            for version in [Message.validVersions.lowerBound, Message.validVersions.upperBound] {
                let bytes = try Message.sample(using: &source, version: version).bytes(version: version)
                for position in cuts(of: bytes.readableBytes) {
                    for length in lengths where position + length.count <= bytes.readableBytes {
                        var changed = bytes
                        changed.setBytes(length, at: position)
                        try tryReading(type, changed, version: version)
                    }
                }
            }
        }
        for (index, type) in sampledMessages.enumerated() { try check(type, seed: UInt64(index) + 5000) }
    }

    @Test func patternsAndNoiseAreRefusedOrReadWithoutGrowing() throws {
        var source = SampleSource(seed: 6000)
        var frames = [0x00, 0x01, 0x02, 0x7F, 0x80, 0xFF].map { ByteBuffer(repeating: $0, count: 300) }
        frames.append(ByteBuffer())
        for _ in 0..<6 { frames.append(ByteBuffer(bytes: (0..<200).map { _ in UInt8(truncatingIfNeeded: source.next()) })) }
        for frame in frames {
            _ = try? RequestFrame(parsing: frame)
            for type in sampledMessages {
                for version in type.validVersions { try tryReading(type, frame, version: version) }
            }
        }
    }

    /// A count is held against the bytes there are before an element is read or room is made for one.
    @Test func countsBeyondTheFrameAreRefusedBeforeAnyElementIsRead() throws {
        func readMany(_ count: [UInt8], isFlexible: Bool) throws(CodecError) -> [Unreadable] {
            try WireReader.read(ByteBuffer(bytes: count + [UInt8](repeating: 0, count: 20))) { (reader) throws(CodecError) in
                reader.isFlexible = isFlexible
                return try reader.array(of: Unreadable.self, 0, minimumSize: 3, "many")
            }
        }
        let refusal = CodecError.truncated(field: "many")
        #expect(throws: refusal) { try readMany([0x7F, 0xFF, 0xFF, 0xFF], isFlexible: false) }
        #expect(throws: refusal) { try readMany([0xFF, 0xFF, 0xFF, 0xFF, 0x07], isFlexible: true) }
        // 20 bytes hold six elements of three bytes.
        #expect(throws: refusal) { try readMany([0, 0, 0, 7], isFlexible: false) }
    }

    private struct Unreadable: KafkaStruct {
        init() {}
        init(from reader: inout WireReader, version: Int16) throws(CodecError) {
            Issue.record("an element was read")
            throw .invalid(field: "element")
        }
        func encode(into writer: inout WireWriter, version: Int16) throws(CodecError) {}
    }

    // MARK: Helpers

    /// Each element and string that is read has taken at least its own bytes of the input: written again, it cannot be longer.
    private func tryReading<Message: KafkaMessage>(_ type: Message.Type, _ bytes: ByteBuffer, version: Int16) throws {
        guard let value = try? Message(decoding: bytes, version: version) else { return }
        let again = try value.bytes(version: version)
        if again.readableBytes > bytes.readableBytes { Issue.record("\(type) v\(version) grew from \(bytes) to \(again)") }
    }

    private func prefix(_ bytes: ByteBuffer, _ length: Int) -> ByteBuffer {
        var prefix = bytes
        prefix.moveWriterIndex(to: bytes.readerIndex + length)
        return prefix
    }

    private func mutate(_ bytes: ByteBuffer, using source: inout SampleSource) -> ByteBuffer {
        var changed = bytes
        for _ in 0...(source.next() % 3) {
            let position = Int(source.next() % UInt64(bytes.readableBytes))
            let old = changed.getInteger(at: position, as: UInt8.self) ?? 0
            let new: UInt8 =
                switch source.next() % 4 {
                case 0: old ^ (1 << UInt8(source.next() % 8))
                case 1: 0xFF
                case 2: 0x00
                default: UInt8(truncatingIfNeeded: source.next())
                }
            changed.setInteger(new, at: position)
        }
        return changed
    }

    /// Every length below `length` where it is small, and some of a long one's.
    private func cuts(of length: Int) -> [Int] {
        length <= 400 ? Array(0..<length) : Array(0..<200) + Array(stride(from: 200, to: length, by: length / 100 + 1))
    }

    /// One frame of each API and version at most.
    private var distinctFrames: [FixtureFrame] {
        var seen: Set<String> = []
        return (FixtureFrames.golden + FixtureFrames.recorded.filter(\.verified))
            .filter { seen.insert("\($0.apiKey) \($0.apiVersion)").inserted }
    }
}
