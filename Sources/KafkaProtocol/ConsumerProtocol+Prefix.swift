//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogModel
public import NIOCore

/// What classic group members tell each other through the coordinator: the metadata of JoinGroup, the assignment of SyncGroup.
/// Both begin with the version they are written in.
public protocol ConsumerProtocolMessage: KafkaMessage {}

extension ConsumerProtocolSubscription: ConsumerProtocolMessage {}
extension ConsumerProtocolAssignment: ConsumerProtocolMessage {}

extension ConsumerProtocolMessage {
    /// Reads version and message. A version newer than ours is read as our newest: later ones only append.
    public init(decodingWithVersion buffer: ByteBuffer) throws(CodecError) {
        self = try WireReader.read(buffer) { (reader) throws(CodecError) in
            let version = try reader.int16("\(Self.self).version")
            return try Self(from: &reader, version: min(version, Self.validVersions.upperBound))
        }
    }

    /// The message after its version.
    public func encodedWithVersion(_ version: Int16) throws(CodecError) -> ByteBuffer {
        var writer = WireWriter()
        writer.int16(version)
        try encode(into: &writer, version: version)
        guard case .bytes(let buffer)? = writer.finish().first else { return ByteBuffer() }
        return buffer
    }
}
