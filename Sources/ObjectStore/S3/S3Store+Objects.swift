//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Metering
package import NIOCore
internal import RuntimeEnvironment

extension S3Store {
    /// Names the put that made an object, so that a put whose answer was lost recognises its own.
    private static let tokenHeader = "x-amz-meta-ninefold-put"

    package func put(_ key: String, _ body: [ByteBuffer], condition: PutCondition) async throws(ObjectStoreError) {
        let digests = await digests(body)
        var call = S3Call(kind: .put, method: "PUT", key: key, body: body, payloadHash: digests.sha256)
        var token: String?
        if condition == .ifAbsent {
            let made = String(environment.randomness.next(), radix: 16) + String(environment.randomness.next(), radix: 16)
            call.headers = [("if-none-match", "*"), (Self.tokenHeader, made)]
            token = made
        }
        let (response, isAmbiguous) = try await send(call)
        if response.status == 412, isAmbiguous, let token {
            guard try await isOurs(key, body, token: token, digests: digests) else { throw .alreadyThere(key) }
            return
        }
        if response.status == 412 { throw .alreadyThere(key) }
        try expect(response, call)
        if let tag = EntityTag(response), tag.isMD5(response), tag.text != digests.md5Hexadecimal {
            throw ObjectStoreError(
                .corrupt,
                "\(call.description) at \(location.endpoint): the endpoint stored other bytes (ETag \(tag.text), "
                    + "MD5 \(digests.md5Hexadecimal))")
        }
    }

    /// Whether the object that is there was made by the put whose answer was lost, or by somebody else who was first.
    private func isOurs(
        _ key: String, _ body: [ByteBuffer], token: String, digests: BodyDigests
    ) async throws(ObjectStoreError) -> Bool {
        let call = S3Call(kind: .head, method: "HEAD", key: key)
        let (response, _) = try await send(call)
        guard response.status != 404 else {
            // It was there a moment ago. Who made it cannot be known any more; a new put may succeed.
            throw ObjectStoreError(.timedOut, "PUT of object \(key): the answer was lost and the object is gone; put it again")
        }
        try expect(response, call)
        if let stored = response.header(Self.tokenHeader) { return stored == token }
        // An endpoint that keeps no metadata: the content decides.
        let length = body.reduce(Int64(0)) { $0 + Int64($1.readableBytes) }
        if let stored = response.header("content-length").flatMap({ Int64($0) }), stored != length { return false }
        if let tag = EntityTag(response), tag.isMD5(response) { return tag.text == digests.md5Hexadecimal }
        let stored = try await get(key, range: nil)
        return stored.readableBytesView.elementsEqual(body.lazy.map(\.readableBytesView).joined())
    }

    package func get(_ key: String, range: Range<Int64>?) async throws(ObjectStoreError) -> ByteBuffer {
        var call = S3Call(kind: .get, method: "GET", key: key, responseBytesMax: ObjectStoreLimits.responseBytesMax)
        if let range {
            guard !range.isEmpty, range.lowerBound >= 0 else { throw .rangeOutside(key, range) }
            let length = Int64(range.count)
            guard length <= ObjectStoreLimits.responseBytesMax else { throw .tooLargeForOneGet(key, length) }
            call.headers = [("range", "bytes=\(range.lowerBound)-\(range.upperBound - 1)")]
            // An endpoint that ignores the range may answer with a whole small object.
            call.responseBytesMax = max(length, 64 << 20)
        }
        let (response, _) = try await send(call)
        switch response.status {
        case 404 where S3Problem(response).code != "NoSuchBucket": throw .noObject(key)
        case 416: throw .rangeOutside(key, range ?? 0..<0)
        default: try expect(response, call)
        }
        guard let range else { return response.body }
        return try cut(response, to: range, call)
    }

    private func cut(_ response: HTTPResponse, to range: Range<Int64>, _ call: S3Call) throws(ObjectStoreError) -> ByteBuffer {
        if response.status == 206 {
            // `bytes 0-9/443`
            let sent = response.header("content-range").flatMap { value in
                value.split(whereSeparator: { $0 == " " || $0 == "-" }).dropFirst().first.flatMap { Int64($0) }
            }
            guard sent == nil || sent == range.lowerBound, response.body.readableBytes <= range.count else {
                throw ObjectStoreError(
                    .corrupt, "\(call.description) at \(location.endpoint): another range came than was asked for")
            }
            return response.body
        }
        let size = Int64(response.body.readableBytes)
        guard range.lowerBound < size else { throw .rangeOutside(call.key ?? "", range) }
        let length = min(range.upperBound, size) - range.lowerBound
        return response.body.getSlice(at: response.body.readerIndex + Int(range.lowerBound), length: Int(length))!
    }

    package func info(_ key: String) async throws(ObjectStoreError) -> ObjectInfo? {
        let call = S3Call(kind: .head, method: "HEAD", key: key)
        let (response, _) = try await send(call)
        if response.status == 404 { return nil }
        try expect(response, call)
        guard let size = response.header("content-length").flatMap({ Int64($0) }), size >= 0 else {
            throw ObjectStoreError(.other, "\(call.description) at \(location.endpoint): the answer has no length")
        }
        return ObjectInfo(key: key, size: size)
    }
}
