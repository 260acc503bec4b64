//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Metering
internal import NIOCore

/// One operation on the endpoint, before it is signed.
struct S3Call: Sendable {
    var kind: ObjectRequest
    var method: String
    /// Below the store's prefix; nil for the bucket itself.
    var key: String?
    var query: [(name: String, value: String)] = []
    /// Besides `host`, `x-amz-content-sha256` and what signing adds. Names in lower case.
    var headers: [(name: String, value: String)] = []
    var body: [ByteBuffer] = []
    /// Lower-case hexadecimal SHA-256 of the body; nil to leave it to TLS.
    var payloadHash: String? = SigV4Signer.emptyPayloadHash
    var responseBytesMax: Int64 = S3Call.documentBytesMax

    /// A page of 1,000 keys of 1,024 bytes, each escaped to three, with their element names and dates, is below 5 MiB.
    static let documentBytesMax: Int64 = 8 << 20

    /// For messages: `PUT of object a/b`.
    var description: String {
        if let key { return "\(method) of object \(key)" }
        return "\(method) of the bucket"
    }
}

/// What an endpoint says went wrong: `<Error><Code>NoSuchKey</Code><Message>...`.
struct S3Problem: Sendable {
    var status: Int
    /// "" where the answer has none (HEAD; a proxy's page).
    var code: String
    var message: String

    init(status: Int, code: String, message: String) {
        self.status = status
        self.code = code
        self.message = message
    }

    init(_ response: HTTPResponse) {
        let document = try? XMLReader.read(response.body.readableBytesView)
        self.init(status: response.status, code: "", message: "")
        if let document, document.name == "Error" { self.init(status: response.status, document) }
    }

    init(status: Int, _ element: XMLElement) {
        self.init(
            status: status, code: Self.oneLine(element.text(of: "Code") ?? ""),
            message: Self.oneLine(element.text(of: "Message") ?? ""))
    }

    /// A foreign text within one of our lines.
    private static func oneLine(_ text: String) -> String {
        String(text.prefix(200).map { $0.isNewline || $0.unicodeScalars.contains { $0.value < 32 } ? " " : $0 }).trimmed
    }

    /// The service may do the same request when asked again (S3 API reference, "Error responses").
    var isTransient: Bool {
        switch status {
        case 429, 500, 502, 503, 504: true
        case 409: code == "ConditionalRequestConflict" || code == "OperationAborted"
        case 400: code == "RequestTimeout" || code == "IncompleteBody"
        default: Self.isTransient(code: code)
        }
    }

    static func isTransient(code: String) -> Bool {
        ["InternalError", "SlowDown", "ServiceUnavailable", "RequestTimeout", "Throttling", "ThrottlingException"].contains(code)
    }

    /// Turned away before anything was done.
    var isWithoutEffect: Bool { status == 429 || code == "SlowDown" || code == "RequestTimeout" || status == 409 }

    /// - Parameter bucket: Named where the operator must look.
    func error(_ call: S3Call, _ location: S3Location) -> ObjectStoreError {
        let said = [String(status), code, message].filter { !$0.isEmpty }.joined(separator: " ")
        func make(_ code: ObjectStoreError.Code, _ advice: String = "") -> ObjectStoreError {
            ObjectStoreError(code, "\(call.description), bucket \(location.bucket) at \(location.endpoint): \(said)\(advice)")
        }
        switch (status, code) {
        case (_, "NoSuchBucket"): return make(.other, "; make the bucket or name another one")
        case (404, _): return make(.notFound)
        case (412, _): return make(.preconditionFailed)
        case (416, _): return make(.invalidRange)
        case (301, _), (307, _), (308, _), (400, "AuthorizationHeaderMalformed"):
            return make(.other, "; the bucket is in another region or at another endpoint")
        case (403, "RequestTimeTooSkewed"): return make(.forbidden, "; set this machine's clock")
        case (401, _), (403, _): return make(.forbidden, "; check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the bucket's policy")
        case (507, _), (_, "XMinioStorageFull"), (_, "QuotaExceeded"): return make(.noSpace)
        case (501, _), (405, _): return make(.unsupported)
        default: return make(isTransient ? .slowDown : .other)
        }
    }
}
