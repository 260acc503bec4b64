//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Crypto
internal import NIOCore

/// What a body is checked by.
struct BodyDigests: Sendable {
    var md5: [UInt8]
    /// Lower-case hexadecimal SHA-256; nil where the transport protects the body.
    var sha256: String?

    /// Costs some 2 ms of CPU per MiB: large bodies belong on a worker.
    init(_ body: [ByteBuffer], withSHA256: Bool) {
        var md5 = Insecure.MD5()
        for part in body { part.withUnsafeReadableBytes { md5.update(bufferPointer: $0) } }
        self.md5 = Array(md5.finalize())
        if withSHA256 {
            var sha256 = SHA256()
            for part in body { part.withUnsafeReadableBytes { sha256.update(bufferPointer: $0) } }
            self.sha256 = sha256.finalize().hexadecimal
        }
    }

    var md5Hexadecimal: String { md5.hexadecimal }
    /// As in `Content-MD5`.
    var md5Base64: String { Self.base64(md5) }

    /// The ETag that S3 gives to an object of several parts: MD5 of the parts' MD5s, `-`, the number of parts.
    static func multipartTag(_ parts: [[UInt8]]) -> String {
        "\(Insecure.MD5.hash(data: parts.flatMap { $0 }).hexadecimal)-\(parts.count)"
    }

    private static func base64(_ bytes: [UInt8]) -> String {
        let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var text: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            var bits = group.reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            bits <<= UInt32(8 * (3 - group.count))
            for index in 0..<4 {
                text.append(index <= group.count ? digits[Int(bits >> UInt32(18 - 6 * index) & 63)] : UInt8(ascii: "="))
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}

/// An ETag as it comes in answers, with or without quotes.
struct EntityTag: Sendable {
    let text: String

    init?(_ response: HTTPResponse) {
        guard let tag = response.header("etag") else { return nil }
        self.init(tag)
    }

    init(_ tag: String) { text = String(tag.filter { $0 != "\"" }).lowercased() }

    /// Whether it is the MD5 of the object's bytes, which it is not for parts and for objects encrypted with a key of the
    /// user's or of KMS (S3 API reference, "Object", ETag).
    func isMD5(_ response: HTTPResponse) -> Bool {
        guard text.utf8.count == 32, text.allSatisfy(\.isHexDigit) else { return false }
        if let encryption = response.header("x-amz-server-side-encryption"), encryption != "AES256" { return false }
        return response.header("x-amz-server-side-encryption-customer-algorithm") == nil
    }
}
