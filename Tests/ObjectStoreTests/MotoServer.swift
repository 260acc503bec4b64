//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Crypto
import Foundation
import Metering
import NIOCore
import ObjectStore
import RuntimeEnvironment
import Testing

/// A real S3 endpoint in a process of its own: `moto_server`, started once for the tests of this process.
///
/// Found in `$NINEFOLD_MOTO_SERVER`, the project's `.venv`, or `PATH`. It ends when this process does, however that ends: its
/// shell waits for the end of a pipe that we hold.
struct MotoServer: Sendable {
    static let bucket = "ninefold-test"
    static let credentials = S3Credentials(accessKey: "test", secretKey: "test-secret")
    static let notFound: Comment = "moto_server not found: set NINEFOLD_MOTO_SERVER, or pip install 'moto[server]' into .venv"

    static let executable: String? = {
        let environment = ProcessInfo.processInfo.environment
        let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        var candidates: [String] = []
        if let named = environment["NINEFOLD_MOTO_SERVER"] { candidates.append(named) }
        candidates.append(package.appendingPathComponent(".venv/bin/moto_server").path)
        candidates += (environment["PATH"] ?? "").split(separator: ":").map { "\($0)/moto_server" }
        return candidates.first { FileManager.default.isExecutableFile(atPath: $0) }
    }()

    let port: Int
    /// Holds the pipe.
    private let process: Process

    private static let started = Task {
        let server = try await start()
        try await server.makeBucket()
        return server
    }
    static var shared: MotoServer { get async throws { try await started.value } }

    func location(prefix: String, bucket: String = bucket) -> S3Location {
        S3Location(
            url: "s3://\(bucket)/\(prefix)?endpoint=http://127.0.0.1:\(port)", isSecure: false, authority: "127.0.0.1:\(port)",
            bucket: bucket, prefix: prefix.isEmpty ? "" : prefix + "/", region: "us-east-1", copies: 3)
    }

    /// An endpoint of its own that checks signatures, and the only keys it accepts.
    static func startStrict() async throws -> (server: MotoServer, credentials: S3Credentials) {
        // The calls that make the user are the last which need no signature.
        let server = try await start(["INITIAL_NO_AUTH_ACTION_COUNT": "3"])
        func call(_ form: String) async throws -> XMLElement {
            let hash = SHA256.hash(data: Data(form.utf8)).map { String(format: "%02x", $0) }.joined()
            let headers = SigV4Signer(credentials: credentials, region: "us-east-1", service: "iam").sign(
                SigV4Signer.Input(
                    method: "POST", path: "/", query: [],
                    headers: [("content-type", "application/x-www-form-urlencoded"), ("host", "127.0.0.1:\(server.port)")],
                    payloadHash: hash), wallMilliseconds: SystemClock().wallMilliseconds())
            let response = try await server.send("POST", "/", headers: headers.filter { $0.name != "host" }, body: form)
            return try XMLReader.read(response.body.readableBytesView)
        }
        _ = try await call("Action=CreateUser&Version=2010-05-08&UserName=u")
        let answer = try await call("Action=CreateAccessKey&Version=2010-05-08&UserName=u")
        let policy = PercentEncoding.encode(
            #"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#)
        _ = try await call("Action=PutUserPolicy&Version=2010-05-08&UserName=u&PolicyName=all&PolicyDocument=\(policy)")
        guard let key = answer.first("CreateAccessKeyResult")?.first("AccessKey"), let access = key.text(of: "AccessKeyId"),
            let secret = key.text(of: "SecretAccessKey")
        else { throw CocoaError(.coderReadCorrupt) }
        let made = S3Credentials(accessKey: access, secretKey: secret)
        try await server.makeBucket(made)
        return (server, made)
    }

    private func send(
        _ method: String, _ path: String, headers: [(name: String, value: String)] = [], body: String = ""
    ) async throws -> HTTPResponse {
        let transport = CurlTransport(settings: .init(), workers: ThreadWorkerPool())
        let request = HTTPRequest(
            kind: .put, method: method, url: "http://127.0.0.1:\(port)\(path)", headers: headers,
            body: [ByteBuffer(string: body)], responseBytesMax: 1 << 20)
        let response: HTTPResponse
        while true {
            do throws(HTTPTransportError) {
                response = try await transport.send(request)
                break
            } catch {
                // It is still starting.
                guard process.isRunning, error.code == .unreachable else { throw error }
                try await Task.sleep(for: .milliseconds(50))
            }
        }
        await transport.close()
        guard response.status == 200 else {
            throw HTTPTransportError(.other, String(buffer: response.body), mayHaveTakenEffect: true)
        }
        return response
    }

    private func makeBucket(_ credentials: S3Credentials = credentials) async throws {
        let headers = SigV4Signer(credentials: credentials, region: "us-east-1").sign(
            SigV4Signer.Input(
                method: "PUT", path: "/\(Self.bucket)", query: [],
                headers: [("host", "127.0.0.1:\(port)"), ("x-amz-content-sha256", SigV4Signer.emptyPayloadHash)],
                payloadHash: SigV4Signer.emptyPayloadHash), wallMilliseconds: SystemClock().wallMilliseconds())
        _ = try await send("PUT", "/\(Self.bucket)", headers: headers.filter { $0.name != "host" })
    }

    private static func start(_ environment: [String: String] = [:]) async throws -> MotoServer {
        guard let executable else { throw CocoaError(.fileNoSuchFile) }
        let port = try freePort()
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        // -9: the server may have inherited a mask that blocks the milder signal.
        process.arguments = ["-c", "\"$0\" -H 127.0.0.1 -p \(port) </dev/null & cat >/dev/null; kill -9 $!; wait", executable]
        process.standardInput = Pipe()
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        try process.run()
        return MotoServer(port: port, process: process)
    }

    private static func freePort() throws -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(INADDR_LOOPBACK).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) + getsockname(descriptor, $0, &length)
            }
        }
        guard result == 0 else { throw CocoaError(.featureUnsupported) }
        return Int(UInt16(bigEndian: address.sin_port))
    }
}
