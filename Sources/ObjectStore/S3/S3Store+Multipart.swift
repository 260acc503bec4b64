//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Metering
package import NIOCore

extension S3Store {
    /// Parts on their way at once: what an upload holds in memory is this many parts.
    private static let partsInFlightMax = 4

    private struct UploadedPart: Sendable {
        var number: Int
        var tag: String
        var md5: [UInt8]
    }

    package func putMultipart(_ key: String, parts: AsyncThrowingStream<ByteBuffer, any Error>) async throws(ObjectStoreError) {
        let uploadID = try await begin(key)
        do {
            let (uploaded, size) = try await upload(key, uploadID, parts)
            if uploaded.isEmpty {
                // An upload without parts cannot be completed.
                try await abort(key, uploadID)
                try await put(key, [], condition: .always)
            } else {
                try await complete(key, uploadID, uploaded, size: size)
            }
        } catch {
            // Parts that stay cost money and are seen by nobody. The clean-up is a task of its own, as ours may be cancelled; if it
            // fails too, the first failure is the one to tell.
            await Task { try? await abort(key, uploadID) }.value
            throw ObjectStoreError(failedSource: error, key: key)
        }
    }

    private func begin(_ key: String) async throws(ObjectStoreError) -> String {
        let call = S3Call(kind: .multipart, method: "POST", key: key, query: [("uploads", "")])
        let (response, _) = try await send(call)
        try expect(response, call)
        guard let uploadID = try document(response, call).text(of: "UploadId")?.trimmed, !uploadID.isEmpty else {
            throw ObjectStoreError(.other, "\(call.description) at \(location.endpoint): the answer names no upload")
        }
        return uploadID
    }

    private func upload(
        _ key: String, _ uploadID: String, _ parts: AsyncThrowingStream<ByteBuffer, any Error>
    ) async throws -> (parts: [UploadedPart], size: Int64) {
        try await withThrowingTaskGroup(of: UploadedPart.self) { group in
            var sizes = PartSizes(key: key)
            var uploaded: [UploadedPart] = []
            for try await part in parts {
                try sizes.add(part.readableBytes)
                if sizes.count > Self.partsInFlightMax, let finished = try await group.next() { uploaded.append(finished) }
                let number = sizes.count
                group.addTask { try await self.uploadPart(key, uploadID, number, part) }
            }
            // A cancelled stream ends as if it were complete.
            try Task.checkCancellation()
            for try await finished in group { uploaded.append(finished) }
            return (uploaded.sorted { $0.number < $1.number }, sizes.total)
        }
    }

    private func uploadPart(
        _ key: String, _ uploadID: String, _ number: Int, _ part: ByteBuffer
    ) async throws(ObjectStoreError) -> UploadedPart {
        let digests = await digests([part])
        let call = S3Call(
            kind: .multipart, method: "PUT", key: key, query: [("partNumber", String(number)), ("uploadId", uploadID)],
            body: [part],
            payloadHash: digests.sha256)
        let (response, _) = try await send(call)
        try expect(response, call)
        guard let written = response.header("etag"), let tag = EntityTag(response) else {
            throw ObjectStoreError(.other, "\(call.description) at \(location.endpoint): part \(number) got no ETag")
        }
        if tag.isMD5(response), tag.text != digests.md5Hexadecimal {
            throw ObjectStoreError(
                .corrupt, "\(call.description) at \(location.endpoint): part \(number) was stored with other bytes")
        }
        return UploadedPart(number: number, tag: written, md5: digests.md5)
    }

    private func complete(_ key: String, _ uploadID: String, _ parts: [UploadedPart], size: Int64) async throws(ObjectStoreError) {
        let list = parts.map { "<Part><PartNumber>\($0.number)</PartNumber><ETag>\(XMLElement.escape($0.tag))</ETag></Part>" }
            .joined()
        let body = [
            ByteBuffer(
                string:
                    "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\(list)</CompleteMultipartUpload>")
        ]
        let digests = await digests(body)
        let call = S3Call(
            kind: .multipart, method: "POST", key: key, query: [("uploadId", uploadID)], body: body, payloadHash: digests.sha256)
        let (response, isAmbiguous) = try await send(call)
        if response.status == 404, isAmbiguous, try await isCompleted(key, parts, size: size) { return }
        try expect(response, call)
        // The status is sent before the work is done: a failure may stand in the body of a 200.
        let answer = try document(response, call)
        if answer.name == "Error" { throw S3Problem(status: response.status, answer).error(call, location) }
    }

    /// The upload is unknown after an attempt whose answer was lost: it may have been completed by that.
    private func isCompleted(_ key: String, _ parts: [UploadedPart], size: Int64) async throws(ObjectStoreError) -> Bool {
        let call = S3Call(kind: .head, method: "HEAD", key: key)
        let (response, _) = try await send(call)
        guard response.status == 200, response.header("content-length").flatMap({ Int64($0) }) == size else { return false }
        guard let tag = EntityTag(response), tag.text.contains("-") else { return false }
        return tag.text == BodyDigests.multipartTag(parts.map(\.md5))
    }

    package func unfinishedUploads(prefix: String) async throws(ObjectStoreError) -> [UnfinishedUpload] {
        var uploads: [UnfinishedUpload] = []
        var marker: (key: String, id: String)?
        while true {
            var call = S3Call(kind: .list, method: "GET")
            call.query = [("uploads", ""), ("encoding-type", "url"), ("prefix", location.prefix + prefix)]
            if let marker { call.query += [("key-marker", marker.key), ("upload-id-marker", marker.id)] }
            let (response, _) = try await send(call)
            try expect(response, call)
            let document = try document(response, call)
            guard document.name == "ListMultipartUploadsResult" else {
                throw ObjectStoreError(
                    .other, "LIST of uploads at \(location.endpoint): the answer is a \(document.name.prefix(60)), not a listing")
            }
            let isEncoded = document.text(of: "EncodingType")?.trimmed == "url"
            func key(_ text: String) -> String? { isEncoded ? PercentEncoding.decode(text, plusIsSpace: true) : text }
            for entry in document.all("Upload") {
                guard let key = entry.text(of: "Key").flatMap(key), let id = entry.text(of: "UploadId")?.trimmed, !id.isEmpty,
                    key.utf8.starts(with: location.prefix.utf8)
                else {
                    throw ObjectStoreError(.other, "LIST of uploads at \(location.endpoint): an entry has no readable key or id")
                }
                let begun = entry.text(of: "Initiated").flatMap { UTCTime(iso8601: $0.trimmed) }
                uploads.append(
                    UnfinishedUpload(
                        key: String(decoding: key.utf8.dropFirst(location.prefix.utf8.count), as: UTF8.self), id: id,
                        begunMilliseconds: begun?.wallMilliseconds))
            }
            guard document.text(of: "IsTruncated")?.trimmed == "true", let next = document.text(of: "NextKeyMarker").flatMap(key)
            else { return uploads }
            let following = (key: next, id: document.text(of: "NextUploadIdMarker")?.trimmed ?? "")
            if let marker, marker == following {
                throw ObjectStoreError(.other, "LIST of uploads at \(location.endpoint): a page follows itself")
            }
            marker = following
        }
    }

    package func abortUpload(_ upload: UnfinishedUpload) async throws(ObjectStoreError) { try await abort(upload.key, upload.id) }

    private func abort(_ key: String, _ uploadID: String) async throws(ObjectStoreError) {
        let call = S3Call(kind: .multipart, method: "DELETE", key: key, query: [("uploadId", uploadID)])
        let (response, _) = try await send(call)
        if response.status != 404 { try expect(response, call) }
    }
}
