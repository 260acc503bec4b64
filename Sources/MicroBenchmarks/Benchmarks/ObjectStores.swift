//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogModel
internal import Metering
internal import NIOCore
internal import ObjectStore

/// What a put costs us before it is on the wire, or in the directory that stands for a store.
extension MicroBenchmark {
    static let objectStores: [MicroBenchmark] = [
        MicroBenchmark("s3.sign.put", "signs the headers of a put (AWS Signature Version 4)") { _, _ in
            let signer = SigV4Signer(credentials: credentials, region: location.region)
            let input = SigV4Signer.Input(
                method: "PUT", path: "/\(location.bucket)/objects/1-7-2a", query: [],
                headers: [
                    ("host", location.authority), ("if-none-match", "*"), ("x-amz-meta-ninefold-put", "8c5f1d0b2a4e6978"),
                    ("x-amz-content-sha256", SigV4Signer.emptyPayloadHash),
                ], payloadHash: SigV4Signer.emptyPayloadHash)
            return { operations in
                for _ in 0..<operations {
                    let headers = signer.sign(input, wallMilliseconds: Material.timestamp.rawValue)
                    guard headers.last?.name == "authorization" else { throw BenchmarkFailure("the signature is missing") }
                    blackHole(headers)
                }
            }
        },
        MicroBenchmark(
            "s3.put.64KiB", "puts 64 KiB if absent: digests, signature, one request to an endpoint that answers at once",
            bytes: 64 << 10,
            counted: 32, uses: .requests
        ) { surroundings, _ in
            let store = S3Store(
                location: location, credentials: credentials,
                transport: MeteredTransport(EndpointThatAgrees(), meters: surroundings.meters),
                environment: surroundings.environment)
            let body = [ByteBuffer(repeating: 7, count: 64 << 10)]
            return { operations in
                for _ in 0..<operations { try await store.put("objects/1-7-2a", body, condition: .ifAbsent) }
            }
        },
        MicroBenchmark(
            "directory.put.64KiB", "puts 64 KiB if absent into a directory store, synced", bytes: 64 << 10, counted: 32,
            operationsMax: 256, uses: [.disk, .requests]
        ) { surroundings, _ in
            let store = try LocalDirectoryStore(
                url: "file:///objects", disk: surroundings.disk, copies: 1, environment: surroundings.environment,
                meters: surroundings.meters)
            let body = [ByteBuffer(repeating: 7, count: 64 << 10)]
            var number = 0
            return { operations in
                for _ in 0..<operations {
                    try await store.put("objects/\(number)", body, condition: .ifAbsent)
                    number += 1
                }
            }
        },
    ]

    private static let credentials = S3Credentials(accessKey: "AKIDEXAMPLE", secretKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    private static let location = S3Location(
        url: "s3://ninefold/log", isSecure: false, authority: "s3.example.com:9000", bucket: "ninefold", prefix: "log/",
        region: "eu-central-1", copies: 3)

    private struct EndpointThatAgrees: HTTPTransport {
        func send(_ request: HTTPRequest) async throws(HTTPTransportError) -> HTTPResponse {
            HTTPResponse(status: 200, bodyBytesSent: request.body.reduce(0) { $0 + Int64($1.readableBytes) })
        }
        func close() async {}
    }
}
