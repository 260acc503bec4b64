//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import LogModel
public import NIOCore

/// A request as a client sends it: header and body, without the four-byte length.
public func encodeRequest<Request: KafkaRequest>(
    _ request: Request, version: Int16, correlationID: Int32, clientID: String?
) throws(CodecError) -> [LogSlice] {
    var writer = WireWriter()
    let header = RequestHeader(
        requestApiKey: Request.apiKey, requestApiVersion: version, correlationId: correlationID, clientId: clientID)
    try header.encode(into: &writer, version: Request.isFlexible(version) ? 2 : 1)
    try request.encode(into: &writer, version: version)
    return writer.finish()
}

/// The correlation id of an answer, by which its request is found; `frame` is what follows the four-byte length.
public func correlationID(ofResponse frame: ByteBuffer) throws(CodecError) -> Int32 {
    try WireReader.read(frame) { (reader) throws(CodecError) in try reader.int32("ResponseHeader.correlationId") }
}

/// The answer to a request of type `Request`, sent in `version`; `frame` is what follows the four-byte length.
///
/// A broker that does not know the version of an ApiVersions request answers in version 0 with
/// ``ErrorCode/unsupportedVersion``; that is understood.
public func decodeResponse<Request: KafkaRequest>(
    to request: Request.Type, version: Int16, frame: ByteBuffer
) throws(CodecError) -> (correlationID: Int32, response: Request.Response) {
    try WireReader.read(frame) { (reader) throws(CodecError) in
        let headerVersion = MessageRegistry.responseHeaderVersion(apiKey: Request.apiKey, apiVersion: version) ?? 0
        let header = try ResponseHeader(from: &reader, version: headerVersion)
        var version = version
        if Request.apiKey == ApiVersionsRequest.apiKey, reader.beginsWith(ErrorCode.unsupportedVersion.rawValue) { version = 0 }
        return (header.correlationId, try Request.Response(from: &reader, version: version))
    }
}
