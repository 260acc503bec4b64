//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

extension ResponseFrame {
    /// Writes header and body of an answer to `request`, in the request's version.
    ///
    /// The answer to an ApiVersions request of a version we don't know goes out in version 0, as Kafka does it.
    public init(_ response: some KafkaResponse, to request: RequestFrame) throws(CodecError) {
        try self.init(response, correlationID: request.correlationID, version: request.apiVersion)
    }

    /// As ``init(_:to:)``, for a caller that has kept no more than these of the request.
    public init<Response: KafkaResponse>(_ response: Response, correlationID: Int32, version: Int16) throws(CodecError) {
        let isGuess = Response.apiKey == ApiVersionsResponse.apiKey && !Response.validVersions.contains(version)
        let version = isGuess ? 0 : version
        var writer = WireWriter()
        let headerVersion = MessageRegistry.responseHeaderVersion(apiKey: Response.apiKey, apiVersion: version) ?? 0
        try ResponseHeader(correlationId: correlationID).encode(into: &writer, version: headerVersion)
        try response.encode(into: &writer, version: version)
        self.init(slices: writer.finish())
    }
}
