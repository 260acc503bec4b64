//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import NIOCore

extension RequestFrame {
    /// Reads the header of a request: `frame` is what follows the four-byte length.
    ///
    /// A key or a version that is unknown does not make this fail, so that the caller can answer or close as it sees fit:
    /// - of an unknown key only key, version and correlation id are read, the body is the rest;
    /// - a version outside a known key's range is read as its neighbours are; ``decode(_:)`` then throws
    ///   ``CodecError/unsupportedVersion(_:)``;
    /// - an ApiVersions request of a version too high for us yields a frame however its header goes on.
    public init(parsing frame: ByteBuffer) throws(CodecError) {
        self = try WireReader.read(frame) { (reader) throws(CodecError) in
            let apiKey = try reader.int16("RequestHeader.requestApiKey")
            let apiVersion = try reader.int16("RequestHeader.requestApiVersion")
            let correlationID = try reader.int32("RequestHeader.correlationId")
            var request = RequestFrame(
                apiKey: apiKey, apiVersion: apiVersion, correlationID: correlationID, clientID: nil, body: reader.rest(),
                frameSizeInBytes: frame.readableBytes)
            guard let headerVersion = MessageRegistry.requestHeaderVersion(apiKey: apiKey, apiVersion: apiVersion) else {
                return request
            }
            do throws(CodecError) {
                request.clientID = try reader.classicNullableString("RequestHeader.clientId")
                reader.isFlexible = headerVersion >= 2
                try reader.skipTaggedFields()
                request.body = reader.rest()
            } catch {
                guard apiKey == ApiVersionsRequest.apiKey, !ApiVersionsRequest.validVersions.contains(apiVersion) else {
                    throw error
                }
            }
            return request
        }
    }

    /// Reads the body as `type`, which must be the type of ``apiKey``. Bytes after the message are tolerated.
    public func decode<Request: KafkaRequest>(_ type: Request.Type = Request.self) throws(CodecError) -> Request {
        precondition(Request.apiKey == apiKey, "decoded as \(Request.name), but the frame's api key is \(apiKey)")
        return try Request(decoding: body, version: apiVersion)
    }
}
