//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Metering
internal import NIOCore
internal import RuntimeEnvironment

extension S3Store {
    package func list(
        prefix: String, startAfter: String?, maxKeys: Int
    ) async throws(ObjectStoreError) -> (objects: [ObjectInfo], isTruncated: Bool) {
        var call = S3Call(kind: .list, method: "GET")
        call.query = [
            ("list-type", "2"), ("encoding-type", "url"), ("prefix", location.prefix + prefix),
            ("max-keys", String(min(max(maxKeys, 1), ObjectStoreLimits.keysPerPageMax))),
        ]
        if let startAfter, !startAfter.isEmpty { call.query.append(("start-after", location.prefix + startAfter)) }
        let (response, _) = try await send(call)
        try expect(response, call)
        let document = try document(response, call)
        guard document.name == "ListBucketResult" else {
            throw ObjectStoreError(
                .other, "LIST at \(location.endpoint): the answer is a \(document.name.prefix(60)), not a listing")
        }
        let isEncoded = document.text(of: "EncodingType")?.trimmed == "url"
        var objects: [ObjectInfo] = []
        for entry in document.all("Contents") {
            guard let written = entry.text(of: "Key"),
                let key = isEncoded ? PercentEncoding.decode(written, plusIsSpace: true) : written,
                let size = entry.text(of: "Size").flatMap({ Int64($0.trimmed) }), size >= 0
            else { throw ObjectStoreError(.other, "LIST at \(location.endpoint): an entry has no readable key or size") }
            guard key.utf8.starts(with: location.prefix.utf8) else {
                throw ObjectStoreError(
                    .other, "LIST at \(location.endpoint): a key came that was not asked for: \(key.prefix(100))")
            }
            let time = entry.text(of: "LastModified").flatMap { UTCTime(iso8601: $0.trimmed) }
            let ownKey = String(decoding: key.utf8.dropFirst(location.prefix.utf8.count), as: UTF8.self)
            objects.append(ObjectInfo(key: ownKey, size: size, modifiedMilliseconds: time?.wallMilliseconds))
        }
        let isTruncated = document.text(of: "IsTruncated")?.trimmed == "true"
        // An endpoint asked for no keys would not tell whether there are any.
        return maxKeys > 0 ? (objects, isTruncated) : ([], !objects.isEmpty)
    }

    package func physicalBytes(
        prefix: String
    ) async throws(ObjectStoreError) -> (bytes: Int64, objects: Int64, basis: ObjectCopies.Basis) {
        var bytes: Int64 = 0
        var objects: Int64 = 0
        var last: String?
        while true {
            let page = try await list(prefix: prefix, startAfter: last, maxKeys: ObjectStoreLimits.keysPerPageMax)
            bytes += page.objects.reduce(0) { $0 + $1.size }
            objects += Int64(page.objects.count)
            last = page.objects.last?.key
            guard page.isTruncated, last != nil else { break }
        }
        return (Int64((Double(bytes) * location.copies).rounded()), objects, .declared)
    }

    package func delete(_ keys: [String]) async throws(ObjectStoreError) {
        for key in keys { try check(key) }
        // XML 1.0 cannot say control characters.
        let (single, several) = keys.partitioned { key in
            key.unicodeScalars.contains { $0.value < 32 || $0.value == 0xFFFE || $0.value == 0xFFFF }
        }
        for key in single { try await deleteOne(key) }
        var rest = several[...]
        while !rest.isEmpty {
            let batch = Array(rest.prefix(ObjectStoreLimits.keysPerDeleteMax))
            rest = rest.dropFirst(batch.count)
            if batch.count == 1 {
                try await deleteOne(batch[0])
            } else {
                try await deleteBatch(batch)
            }
        }
    }

    private func deleteOne(_ key: String) async throws(ObjectStoreError) {
        let call = S3Call(kind: .delete, method: "DELETE", key: key)
        let (response, _) = try await send(call)
        if response.status == 404, S3Problem(response).code != "NoSuchBucket" { return }
        try expect(response, call)
    }

    /// The answer is 200 also when keys failed; those which may pass are asked for again.
    private func deleteBatch(_ keys: [String]) async throws(ObjectStoreError) {
        var state = RetryState(policy)
        var keys = keys
        while true {
            let text = keys.map { "<Object><Key>\(XMLElement.escape(location.prefix + $0))</Key></Object>" }.joined()
            let body = [
                ByteBuffer(
                    string: "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>\(text)</Delete>")
            ]
            // Some endpoints want the MD5, and none minds it.
            let digests = await digests(body)
            var call = S3Call(kind: .delete, method: "POST", query: [("delete", "")], body: body, payloadHash: digests.sha256)
            call.headers = [("content-md5", digests.md5Base64)]
            let (response, _) = try await send(call)
            try expect(response, call)
            let answer = try document(response, call)
            let problems = (answer.name == "Error" ? [answer] : answer.all("Error")).filter { $0.text(of: "Code") != "NoSuchKey" }
            guard let first = problems.first else { return }
            let problem = S3Problem(status: response.status, first)
            let error =
                problem.code == "AccessDenied"
                ? S3Problem(status: 403, first).error(call, location) : problem.error(call, location)
            let failed = problems.compactMap { $0.text(of: "Key") }.map {
                String(decoding: $0.utf8.dropFirst(location.prefix.utf8.count), as: UTF8.self)
            }
            let mayPass =
                problems.allSatisfy { S3Problem.isTransient(code: $0.text(of: "Code") ?? "") } && failed.count == problems.count
            switch state.attempted(
                mayPass ? .failed(error, mayHaveTakenEffect: true) : .refused(error), randomness: environment.randomness)
            {
            case .done: return
            case .fail(let error): throw error
            case .retry(let pause): try await rest(pause, call)
            }
            keys = failed
        }
    }
}

extension Array {
    /// Those which fit and those which do not, in order.
    fileprivate func partitioned(_ fits: (Element) -> Bool) -> (fitting: [Element], others: [Element]) {
        (filter(fits), filter { !fits($0) })
    }
}
