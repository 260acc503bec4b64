//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import LogModel
public import NIOCore

/// Why bytes could not be read as a message, or a message not be written at a version.
public enum CodecError: Error, Hashable, Sendable {
    /// The message ends before a field does, or a length points past the frame.
    case truncated(field: String)
    /// A null where the schema forbids it, a negative length below -1, a varint over five bytes, bad UTF-8, …
    case invalid(field: String)
    /// The version is outside the message's range.
    case unsupportedVersion(Int16)
    /// A field holds a non-default value that the version cannot carry, and the schema does not let it be dropped.
    case notInVersion(field: String, version: Int16)
}

/// A struct with a schema: a message, or a part of one.
public protocol KafkaStruct: Sendable, Equatable {
    /// Every field at its default.
    init()
    /// Reads the struct from `reader`. Fields that `version` lacks get their defaults. Never allocates more than a small multiple of
    /// the bytes there are.
    init(from reader: inout WireReader, version: Int16) throws(CodecError)
    /// Throws ``CodecError/notInVersion(field:version:)`` for a value that `version` cannot carry; what the schema calls ignorable
    /// is dropped instead.
    func encode(into writer: inout WireWriter, version: Int16) throws(CodecError)
}

/// A whole message: request, response, header, or what consumers tell each other through the group coordinator.
public protocol KafkaMessage: KafkaStruct {
    static var validVersions: ClosedRange<Int16> { get }
    /// The first version with compact encodings and tagged fields; nil for never.
    static var firstFlexibleVersion: Int16? { get }
}

public protocol KafkaRequest: KafkaMessage {
    associatedtype Response: KafkaResponse
    static var apiKey: Int16 { get }
    static var name: String { get }
}

public protocol KafkaResponse: KafkaMessage {
    static var apiKey: Int16 { get }
}

extension KafkaMessage {
    public static func isFlexible(_ version: Int16) -> Bool { firstFlexibleVersion.map { version >= $0 } ?? false }

    /// Reads a message without header. Bytes after its end are tolerated: some clients send them (librdkafka, with
    /// AlterUserScramCredentials), and Kafka lets them pass.
    public init(decoding buffer: ByteBuffer, version: Int16) throws(CodecError) {
        self = try WireReader.read(buffer) { (reader) throws(CodecError) in try Self(from: &reader, version: version) }
    }

    /// The message without header.
    public func encoded(version: Int16) throws(CodecError) -> [LogSlice] {
        var writer = WireWriter()
        try encode(into: &writer, version: version)
        return writer.finish()
    }
}
