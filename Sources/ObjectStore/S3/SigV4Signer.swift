//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Crypto
internal import Synchronization

/// Signs requests with AWS Signature Version 4 (API reference, "Authenticating Requests: Using the Authorization Header"):
/// path and query as they are sent, every header we give, one hash of the body.
package final class SigV4Signer: Sendable {
    /// What goes over the wire, except the signature. Names of headers are in lower case; the values without outer spaces.
    package struct Input: Sendable {
        package var method: String
        /// Percent-encoded, beginning with `/`.
        package var path: String
        /// Names and values not yet encoded.
        package var query: [(name: String, value: String)]
        /// With `host`.
        package var headers: [(name: String, value: String)]
        /// Lower-case hexadecimal SHA-256 of the body, or `UNSIGNED-PAYLOAD`.
        package var payloadHash: String

        package init(
            method: String, path: String, query: [(name: String, value: String)], headers: [(name: String, value: String)],
            payloadHash: String
        ) {
            self.method = method
            self.path = path
            self.query = query
            self.headers = headers
            self.payloadHash = payloadHash
        }
    }

    /// SHA-256 of no bytes.
    package static let emptyPayloadHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    package static let unsignedPayload = "UNSIGNED-PAYLOAD"

    private let credentials: S3Credentials
    private let region: String
    private let service: String
    /// The day's key costs four HMACs; it changes at midnight UTC.
    private let dayKey = Mutex<(day: String, key: SymmetricKey)?>(nil)

    package init(credentials: S3Credentials, region: String, service: String = "s3") {
        self.credentials = credentials
        self.region = region
        self.service = service
    }

    /// - Parameter wallMilliseconds: The time of the request, since 1970.
    /// - Returns: `headers` with `x-amz-date`, `x-amz-security-token` where the credentials have one, and `authorization`.
    ///   The caller adds `x-amz-content-sha256`, which S3 wants and other services do not.
    package func sign(_ input: Input, wallMilliseconds: Int64) -> [(name: String, value: String)] {
        let time = UTCTime(wallMilliseconds: wallMilliseconds).basicFormat
        let day = String(time.prefix(8))
        var headers = input.headers
        headers.append(("x-amz-date", time))
        if let token = credentials.sessionToken { headers.append(("x-amz-security-token", token)) }
        headers.sort { $0.name < $1.name }

        let signedNames = headers.map(\.name).joined(separator: ";")
        let canonical = [
            input.method, input.path, PercentEncoding.canonicalQuery(input.query),
            headers.map { "\($0.name):\(Self.singleSpaced($0.value))\n" }.joined(), signedNames, input.payloadHash,
        ].joined(separator: "\n")
        let scope = "\(day)/\(region)/\(service)/aws4_request"
        let toSign = "AWS4-HMAC-SHA256\n\(time)\n\(scope)\n\(SHA256.hash(data: Array(canonical.utf8)).hexadecimal)"
        let signature = HMAC<SHA256>.authenticationCode(for: Array(toSign.utf8), using: signingKey(day: day)).hexadecimal
        headers.append(
            (
                "authorization",
                "AWS4-HMAC-SHA256 Credential=\(credentials.accessKey)/\(scope), SignedHeaders=\(signedNames), Signature=\(signature)"
            ))
        return headers
    }

    private func signingKey(day: String) -> SymmetricKey {
        dayKey.withLock { cached in
            if let cached, cached.day == day { return cached.key }
            var key = SymmetricKey(data: Array("AWS4\(credentials.secretKey)".utf8))
            for part in [day, region, service, "aws4_request"] {
                key = SymmetricKey(data: HMAC<SHA256>.authenticationCode(for: Array(part.utf8), using: key))
            }
            cached = (day, key)
            return key
        }
    }

    /// Runs of spaces count as one.
    private static func singleSpaced(_ value: String) -> String {
        value.contains("  ") ? value.split(separator: " ", omittingEmptySubsequences: true).joined(separator: " ") : value
    }
}

extension Sequence<UInt8> {
    /// Lower case.
    var hexadecimal: String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        text.reserveCapacity(64)
        for byte in self {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }
}
