//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import KafkaProtocol

/// ApiVersions (18): what is served. The answer to a version we don't know has version 0 and says what we know (KIP-511).
enum ApiVersionsHandler: Handler {
    static let versions: ClosedRange<Int16> = 0...3

    static let answer = ApiVersionsResponse(
        apiKeys: HandlerTable.entries.map {
            ApiVersionsResponse.ApiVersion(
                apiKey: $0.apiKey, minVersion: $0.announcedVersions.lowerBound, maxVersion: $0.announcedVersions.upperBound)
        })

    static let refusal = {
        var refusal = answer
        refusal.errorCode = .unsupportedVersion
        return refusal
    }()

    static func handle(_ request: ApiVersionsRequest, _ context: RequestContext) -> Handling<ApiVersionsResponse> {
        if context.version >= 3,
            !isSoftwareName(request.clientSoftwareName) || !isSoftwareName(request.clientSoftwareVersion)
        {
            return .respond(ApiVersionsResponse(errorCode: .invalidRequest))
        }
        return .respond(answer)
    }

    /// Letters and digits, with dots and dashes between them.
    private static func isSoftwareName(_ text: String) -> Bool {
        func isAlphanumeric(_ byte: UInt8) -> Bool {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: false
            }
        }
        guard let first = text.utf8.first, let last = text.utf8.last, isAlphanumeric(first), isAlphanumeric(last) else {
            return false
        }
        return text.utf8.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-") }
    }
}
