//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import NIOCore

/// What there is for each API key, for whoever does not know the type beforehand. The table itself is generated.
public enum MessageRegistry {
    /// One API: its versions and its two messages.
    public struct Entry: Sendable {
        public var apiKey: Int16
        /// Kafka's name, as `Produce`.
        public var name: String
        /// The versions there is a schema for; what a broker announces is its own matter.
        public var validVersions: ClosedRange<Int16>
        /// Flexible versions of both messages begin here; nil for never.
        public var firstFlexibleVersion: Int16?
        /// Kafka announces the newest version only if told to enable unstable ones.
        public var isLatestVersionUnstable: Bool
        public var request: any KafkaRequest.Type
        public var response: any KafkaResponse.Type

        init<Request: KafkaRequest>(_ request: Request.Type, isLatestVersionUnstable: Bool = false) {
            self.apiKey = Request.apiKey
            self.name = Request.name
            self.validVersions = Request.validVersions
            self.firstFlexibleVersion = Request.firstFlexibleVersion
            self.isLatestVersionUnstable = isLatestVersionUnstable
            self.request = request
            self.response = Request.Response.self
        }

        /// Reads a request's body.
        public func decodeRequest(_ body: ByteBuffer, version: Int16) throws(CodecError) -> any KafkaRequest {
            try request.init(decoding: body, version: version)
        }

        /// Reads a response's body.
        public func decodeResponse(_ body: ByteBuffer, version: Int16) throws(CodecError) -> any KafkaResponse {
            try response.init(decoding: body, version: version)
        }
    }

    private static let byKey: [Int16: Entry] = Dictionary(uniqueKeysWithValues: entries.map { ($0.apiKey, $0) })

    public static func entry(for apiKey: Int16) -> Entry? { byKey[apiKey] }

    /// 2 for flexible versions, 1 for others; nil for a key there is no schema for.
    public static func requestHeaderVersion(apiKey: Int16, apiVersion: Int16) -> Int16? {
        firstFlexibleVersion(of: apiKey).map { apiVersion >= $0 ? 2 : 1 }
    }

    /// 1 for flexible versions, 0 for others and for ApiVersions in every version, so that a client that guessed too high a version
    /// can read the answer; nil for a key there is no schema for.
    public static func responseHeaderVersion(apiKey: Int16, apiVersion: Int16) -> Int16? {
        firstFlexibleVersion(of: apiKey).map { apiKey != ApiVersionsResponse.apiKey && apiVersion >= $0 ? 1 : 0 }
    }
}
