//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Crypto
import ObjectStore
import Testing

/// The examples that Amazon publishes: "Signature Calculations for the Authorization Header" of the S3 API reference, and `get-vanilla`
/// of the Signature Version 4 test suite.
@Suite struct SigV4SignerTests {
    private static let signer = SigV4Signer(
        credentials: S3Credentials(accessKey: "AKIAIOSFODNN7EXAMPLE", secretKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        region: "us-east-1")
    /// 2013-05-24T00:00:00Z
    private static let time: Int64 = 1_369_353_600_000

    private func authorization(_ input: SigV4Signer.Input, _ signer: SigV4Signer = signer, at time: Int64 = time) -> String {
        signer.sign(input, wallMilliseconds: time).last { $0.name == "authorization" }!.value
    }

    private func s3(
        _ method: String, _ path: String, query: [(name: String, value: String)] = [],
        headers: [(name: String, value: String)] = [],
        payloadHash: String = SigV4Signer.emptyPayloadHash
    ) -> SigV4Signer.Input {
        SigV4Signer.Input(
            method: method, path: path, query: query,
            headers: headers + [("host", "examplebucket.s3.amazonaws.com"), ("x-amz-content-sha256", payloadHash)],
            payloadHash: payloadHash)
    }

    @Test func getOfAnObjectWithARange() {
        #expect(
            authorization(s3("GET", "/test.txt", headers: [("range", "bytes=0-9")]))
                == "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
                + "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
                + "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")
    }

    @Test func putOfAnObject() {
        let hash = SHA256.hash(data: Array("Welcome to Amazon S3.".utf8)).map {
            String($0 >> 4, radix: 16) + String($0 & 15, radix: 16)
        }.joined()
        let path = "/" + PercentEncoding.encode("test$file.text", keepsSlashes: true)
        let input = s3(
            "PUT", path, headers: [("date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")],
            payloadHash: hash)
        #expect(authorization(input).hasSuffix("98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"))
    }

    @Test func queryWithoutAValue() {
        #expect(
            authorization(s3("GET", "/", query: [("lifecycle", "")]))
                .hasSuffix("fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"))
    }

    @Test func listing() {
        #expect(
            authorization(s3("GET", "/", query: [("prefix", "J"), ("max-keys", "2")]))
                .hasSuffix("34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"))
    }

    @Test func vanillaRequestOfAnyService() {
        let signer = SigV4Signer(
            credentials: S3Credentials(accessKey: "AKIDEXAMPLE", secretKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
            region: "us-east-1", service: "service")
        let input = SigV4Signer.Input(
            method: "GET", path: "/", query: [], headers: [("host", "example.amazonaws.com")],
            payloadHash: SigV4Signer.emptyPayloadHash)
        #expect(
            authorization(input, signer, at: 1_440_938_160_000)
                .hasSuffix("5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"))
    }

    @Test func keyOfYesterdayIsNotUsedToday() {
        let signer = SigV4Signer(credentials: S3Credentials(accessKey: "a", secretKey: "s"), region: "r")
        let input = s3("GET", "/")
        let first = authorization(input, signer)
        let next = authorization(input, signer, at: Self.time + 86_400_000)
        #expect(next.contains("/20130525/"))
        let fresh = SigV4Signer(credentials: S3Credentials(accessKey: "a", secretKey: "s"), region: "r")
        #expect(next == authorization(input, fresh, at: Self.time + 86_400_000))
        #expect(first == authorization(input, signer))
    }

    @Test func sessionTokenIsSentAndSigned() {
        let signer = SigV4Signer(credentials: S3Credentials(accessKey: "a", secretKey: "s", sessionToken: "t0ken"), region: "r")
        let headers = signer.sign(s3("GET", "/"), wallMilliseconds: Self.time)
        #expect(headers.contains { $0 == ("x-amz-security-token", "t0ken") })
        #expect(headers.last!.value.contains("x-amz-date;x-amz-security-token,"))
    }

    @Test func credentialsDoNotShowThemselves() {
        let credentials = S3Credentials(accessKey: "AKIA", secretKey: "s3cret", sessionToken: "t0ken")
        var dumped = ""
        dump(credentials, to: &dumped)
        for text in ["\(credentials)", String(reflecting: credentials), dumped] {
            #expect(!text.contains("s3cret") && !text.contains("t0ken"))
        }
    }

    @Test(
        arguments: [
            (0, "19700101T000000Z"), (951_782_400_000, "20000229T000000Z"), (1_709_251_199_999, "20240229T235959Z"),
            (4_107_542_400_000, "21000301T000000Z"), (-1_000, "19691231T235959Z"),
        ] as [(Int64, String)])
    func datesAreUTC(milliseconds: Int64, text: String) {
        #expect(UTCTime(wallMilliseconds: milliseconds).basicFormat == text)
        let day = "\(text.prefix(4))-\(text.dropFirst(4).prefix(2))-\(text.dropFirst(6).prefix(2))"
        let time = "\(text.dropFirst(9).prefix(2)):\(text.dropFirst(11).prefix(2)):\(text.dropFirst(13).prefix(2))"
        let read = UTCTime(iso8601: "\(day)T\(time).000Z")?.wallMilliseconds
        #expect(read.map { ($0 - milliseconds).magnitude < 1_000 } == true)
    }
}
