//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Metering
import NIOCore
import ObjectStore
import RuntimeEnvironment
import Testing

/// What goes over the wire, and what is made of odd answers.
@Suite struct S3StoreTests {
    private func expectCode<Value>(
        _ expected: ObjectStoreError.Code, _ body: () async throws(ObjectStoreError) -> Value,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async {
        do throws(ObjectStoreError) {
            _ = try await body()
            Issue.record("it passed", sourceLocation: sourceLocation)
        } catch {
            #expect(error.code == expected, "\(error)", sourceLocation: sourceLocation)
            #expect(!error.message.contains("\n"), sourceLocation: sourceLocation)
        }
    }

    @Test func plainConnectionsCarryTheHashOfTheBody() async throws {
        let scripted = ScriptedStore(.answer(200))
        try await scripted.store.put("a b/ü+", "body")
        let request = scripted.transport.requests[0]
        #expect(request.url == "http://host:9000/bucket/a%20b/%C3%BC%2B")
        #expect(request.header("x-amz-content-sha256") == "230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5")
        #expect(request.header("x-amz-date") == "20130524T000000Z")
        #expect(
            request.header("authorization")!.hasPrefix(
                "AWS4-HMAC-SHA256 Credential=access/20130524/r/s3/aws4_request, SignedHeaders=host;"))
        #expect(request.header("host") == nil)
    }

    @Test func encryptedConnectionsLeaveTheBodyToTLS() async throws {
        let scripted = ScriptedStore(.answer(200), isSecure: true)
        try await scripted.store.put("key", "body")
        #expect(scripted.transport.requests[0].url == "https://host:9000/bucket/key")
        #expect(scripted.transport.requests[0].header("x-amz-content-sha256") == "UNSIGNED-PAYLOAD")
    }

    @Test func otherBytesAtTheEndpointAreCorruption() async throws {
        let wrong = ScriptedStore(.answer(200, headers: [("etag", "\"00000000000000000000000000000000\"")]))
        await expectCode(.corrupt) { () throws(ObjectStoreError) in try await wrong.store.put("key", "body") }
        let encrypted = ScriptedStore(
            .answer(200, headers: [("etag", "\"00000000000000000000000000000000\""), ("x-amz-server-side-encryption", "aws:kms")]))
        try await encrypted.store.put("key", "body")
        let right = ScriptedStore(.answer(200, headers: [("etag", "\"841a2d689ad86bd1611447453c22c6fc\"")]))
        try await right.store.put("key", "body")
    }

    @Test func shortAnswerIsTriedAgain() async throws {
        let scripted = ScriptedStore(
            .answer(200, headers: [("content-length", "10")], body: "01234"),
            .answer(200, headers: [("content-length", "5")], body: "01234"))
        #expect(try await scripted.store.text("key") == "01234")
    }

    @Test func endpointThatIgnoresTheRangeIsCutToSize() async throws {
        let scripted = ScriptedStore(
            .answer(200, body: "0123456789"), .answer(200, body: "0123456789"), .answer(200, body: "0123456789"))
        #expect(try await scripted.store.text("key", range: 2..<4) == "23")
        #expect(try await scripted.store.text("key", range: 8..<40) == "89")
        await expectCode(.invalidRange) { () throws(ObjectStoreError) in try await scripted.store.get("key", range: 10..<11) }
        #expect(scripted.transport.requests[0].header("range") == "bytes=2-3")
    }

    @Test func anotherRangeThanAskedForIsCorruption() async throws {
        let scripted = ScriptedStore(
            .answer(206, headers: [("content-range", "bytes 0-1/10")], body: "01"),
            .answer(206, headers: [("content-range", "bytes 2-5/10")], body: "2345"),
            .answer(206, headers: [("content-range", "bytes 2-3/10")], body: "23"))
        for _ in 0..<2 {
            await expectCode(.corrupt) { () throws(ObjectStoreError) in try await scripted.store.get("key", range: 2..<4) }
        }
        #expect(try await scripted.store.text("key", range: 2..<4) == "23")
    }

    @Test func listingIsDecodedOnlyWhereItIsEncoded() async throws {
        func listing(_ encoding: String, _ key: String) -> ScriptedTransport.Step {
            .answer(
                200,
                body: "<ListBucketResult>\(encoding)<IsTruncated>true</IsTruncated><Contents><Key>\(key)</Key><Size> 7 </Size>"
                    + "<LastModified>2009-10-12T17:50:30.000Z</LastModified></Contents></ListBucketResult>")
        }
        let scripted = ScriptedStore(
            listing("<EncodingType>url</EncodingType>", "pre/a+b%2Bc%2Fd"), listing("", "pre/a+b%2B&amp;"),
            listing("<EncodingType>url</EncodingType>", "other/x"), listing("<EncodingType>url</EncodingType>", "pre/%"),
            prefix: "pre/")
        let page = try await scripted.store.list(prefix: "a/", startAfter: "a b", maxKeys: 5_000)
        #expect(page.objects == [ObjectInfo(key: "a b+c/d", size: 7, modifiedMilliseconds: 1_255_369_830_000)])
        #expect(page.isTruncated)
        #expect(
            scripted.transport.requests[0].url
                == "http://host:9000/bucket?encoding-type=url&list-type=2&max-keys=1000&prefix=pre%2Fa%2F&start-after=pre%2Fa%20b")
        #expect(try await scripted.store.list(prefix: "", startAfter: nil, maxKeys: 10).objects.map(\.key) == ["a+b%2B&"])
        for _ in 0..<2 {
            await expectCode(.other) { () throws(ObjectStoreError) in
                try await scripted.store.list(prefix: "", startAfter: nil, maxKeys: 10)
            }
        }
    }

    @Test(arguments: [
        "", "<html>", "<html></html>", "<ListBucketResult><Contents><Key>a</Key></Contents></ListBucketResult>",
        "<ListBucketResult><Contents><Key>a</Key><Size>-1</Size></Contents></ListBucketResult>", "<!DOCTYPE x><x/>",
    ])
    func listingThatIsNoneIsAnError(_ body: String) async {
        let scripted = ScriptedStore(.answer(200, body: body))
        await expectCode(.other) { () throws(ObjectStoreError) in
            try await scripted.store.list(prefix: "", startAfter: nil, maxKeys: 10)
        }
    }

    @Test func deletionCarriesItsMD5AndAsksAgainForWhatFailed() async throws {
        let scripted = ScriptedStore(
            .answer(
                200,
                body:
                    "<DeleteResult><Error><Key>b&amp;</Key><Code>InternalError</Code></Error><Error><Key>a</Key><Code>NoSuchKey</Code></Error></DeleteResult>"
            ),
            .answer(200, body: "<DeleteResult/>"))
        try await scripted.store.delete(["a", "b&"])
        let requests = scripted.transport.requests
        #expect(requests[0].url == "http://host:9000/bucket?delete=")
        #expect(requests[0].text.contains("<Object><Key>a</Key></Object><Object><Key>b&amp;</Key></Object>"))
        #expect(requests[0].header("content-md5")!.count == 24)
        #expect(requests[1].text.contains("<Quiet>true</Quiet><Object><Key>b&amp;</Key></Object></Delete>"))
    }

    @Test func refusedDeletionIsAnErrorAlthoughTheStatusIs200() async {
        let scripted = ScriptedStore(
            .answer(
                200, body: "<DeleteResult><Error><Key>b</Key><Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>")
        )
        await expectCode(.forbidden) { () throws(ObjectStoreError) in try await scripted.store.delete(["a", "b"]) }
    }

    @Test func manyKeysAreDeletedAThousandAtATime() async throws {
        let scripted = ScriptedStore(.answer(200, body: "<DeleteResult/>"), .answer(200, body: "<DeleteResult/>"), .answer(204))
        try await scripted.store.delete((0..<2_001).map { "key-\($0)" })
        #expect(scripted.transport.requests.map(\.method) == ["POST", "POST", "DELETE"])
        #expect(scripted.meters.objectRequests[.delete]!.value == 3)
    }

    @Test(.enabled(if: MotoServer.executable != nil, MotoServer.notFound))
    func endpointThatChecksSignaturesAcceptsOurs() async throws {
        let (server, credentials) = try await MotoServer.startStrict()
        func store(_ credentials: S3Credentials) -> S3Store {
            S3Store(
                location: server.location(prefix: "run"), credentials: credentials,
                transport: CurlTransport(settings: .init(), workers: ThreadWorkerPool()), environment: .real)
        }
        let ours = store(credentials)
        try await ours.put("a/b c", "first", condition: .ifAbsent)
        #expect(
            await ours.code { s throws(ObjectStoreError) in try await s.put("a/b c", "", condition: .ifAbsent) }
                == .preconditionFailed)
        #expect(try await ours.text("a/b c", range: 1..<3) == "ir")
        #expect(try await ours.info("a/b c")?.size == 5)
        try await ours.put("d", "")
        try await ours.delete(["a/b c", "d"])
        try await ours.putMultipart("large", parts: stream([Self.part, ByteBuffer(string: "end")]))
        #expect(try await ours.info("large")?.size == (5 << 20) + 3)
        await ours.close()
        let wrong = store(S3Credentials(accessKey: credentials.accessKey, secretKey: "wrong"))
        await expectCode(.forbidden) { () throws(ObjectStoreError) in try await wrong.put("key", "") }
        await wrong.close()
    }

    // MARK: Multipart

    private static let part = ByteBuffer(repeating: UInt8(ascii: "p"), count: 5 << 20)
    private static let began = ScriptedTransport.Step.answer(200, body: "<R><UploadId>up 1</UploadId></R>")

    @Test func failedCompletionAborts() async throws {
        let scripted = ScriptedStore(
            Self.began, .answer(200, headers: [("etag", "\"x\"")]), .answer(200, body: "  <Error><Code>InvalidPart</Code></Error>"),
            .answer(204))
        await expectCode(.other) { () throws(ObjectStoreError) in
            try await scripted.store.putMultipart("key", parts: stream([Self.part]))
        }
        #expect(scripted.transport.requests.map(\.method) == ["POST", "PUT", "POST", "DELETE"])
        #expect(scripted.transport.requests[1].url == "http://host:9000/bucket/key?partNumber=1&uploadId=up%201")
        #expect(scripted.transport.requests[2].text.contains("<Part><PartNumber>1</PartNumber><ETag>&quot;x&quot;</ETag></Part>"))
        #expect(scripted.transport.requests[3].url == "http://host:9000/bucket/key?uploadId=up%201")
        #expect(scripted.meters.objectRequests[.multipart]!.value == 4)
    }

    @Test func unfinishedUploadsAreListedPageAfterPageAndEnded() async throws {
        func page(_ upload: Int, _ rest: String) -> ScriptedTransport.Step {
            .answer(
                200,
                body: """
                    <ListMultipartUploadsResult><EncodingType>url</EncodingType>\(rest)<Upload><Key>a%2F\(upload)+x</Key>
                    <UploadId>up \(upload)</UploadId><Initiated>1970-01-01T00:00:0\(upload).000Z</Initiated></Upload></ListMultipartUploadsResult>
                    """)
        }
        let scripted = ScriptedStore(
            page(
                1,
                "<IsTruncated>true</IsTruncated><NextKeyMarker>a%2F1+x</NextKeyMarker><NextUploadIdMarker>up 1</NextUploadIdMarker>"
            ),
            page(2, "<IsTruncated>false</IsTruncated>"), .error(404, "NoSuchUpload"))
        let uploads = try await scripted.store.unfinishedUploads(prefix: "a/")
        #expect(
            uploads == [
                UnfinishedUpload(key: "a/1 x", id: "up 1", begunMilliseconds: 1_000),
                UnfinishedUpload(key: "a/2 x", id: "up 2", begunMilliseconds: 2_000),
            ])
        try await scripted.store.abortUpload(uploads[1])
        let requests = scripted.transport.requests
        #expect(requests.map(\.method) == ["GET", "GET", "DELETE"])
        #expect(requests[1].url.contains("key-marker=a%2F1%20x") && requests[1].url.contains("upload-id-marker=up%201"))
        #expect(requests[2].url == "http://host:9000/bucket/a/2%20x?uploadId=up%202")
    }

    @Test func failedPartAborts() async throws {
        let scripted = ScriptedStore(Self.began, .error(403, "AccessDenied"), .answer(204))
        await expectCode(.forbidden) { () throws(ObjectStoreError) in
            try await scripted.store.putMultipart("key", parts: stream([Self.part]))
        }
        #expect(scripted.transport.requests.last?.method == "DELETE")
    }

    @Test func completionWhoseAnswerWasLostIsRecognised() async throws {
        // MD5 of the MD5 of 5 MiB of "p", computed apart from this code.
        let tag = "\"948852a12d98ca710899a9645b6dfd6b-1\""
        let scripted = ScriptedStore(
            Self.began, .answer(200, headers: [("etag", "\"x\"")]), .fail(.broken), .error(404, "NoSuchUpload"),
            .answer(200, headers: [("content-length", String(5 << 20)), ("etag", tag)]))
        try await scripted.store.putMultipart("key", parts: stream([Self.part]))
        #expect(scripted.transport.requests.map(\.method) == ["POST", "PUT", "POST", "POST", "HEAD"])
    }

    @Test func cancelledUploadIsNotCompletedWithWhatThereIs() async throws {
        let scripted = ScriptedStore(Self.began, .answer(200, headers: [("etag", "\"x\"")]), .answer(204))
        let (parts, source) = AsyncThrowingStream<ByteBuffer, any Error>.makeStream()
        source.yield(Self.part)
        let upload = Task { try await scripted.store.putMultipart("key", parts: parts) }
        while scripted.transport.requests.count < 2 { try await Task.sleep(for: .milliseconds(1)) }
        upload.cancel()
        await expectCode(.other) { () throws(ObjectStoreError) in
            do { try await upload.value } catch { throw error as? ObjectStoreError ?? ObjectStoreError(.corrupt, "\(error)") }
        }
        #expect(scripted.transport.requests.map(\.method) == ["POST", "PUT", "DELETE"])
    }
}
