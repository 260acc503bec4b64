//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

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

    private static let started = Task { try await start() }
    static var shared: MotoServer { get async throws { try await started.value } }

    func location(prefix: String, bucket: String = bucket) -> S3Location {
        S3Location(
            url: "s3://\(bucket)/\(prefix)?endpoint=http://127.0.0.1:\(port)", isSecure: false, authority: "127.0.0.1:\(port)",
            bucket: bucket, prefix: prefix.isEmpty ? "" : prefix + "/", region: "us-east-1", copies: 3)
    }

    private static func start() async throws -> MotoServer {
        guard let executable else { throw CocoaError(.fileNoSuchFile) }
        let port = try freePort()
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        // -9: the server may have inherited a mask that blocks the milder signal.
        process.arguments = ["-c", "\"$0\" -H 127.0.0.1 -p \(port) </dev/null & cat >/dev/null; kill -9 $!", executable]
        process.standardInput = Pipe()
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        running = process

        let transport = CurlTransport(settings: .init(), workers: ThreadWorkerPool())
        let create = HTTPRequest(kind: .put, method: "PUT", url: "http://127.0.0.1:\(port)/\(bucket)", responseBytesMax: 1 << 20)
        while true {
            do throws(HTTPTransportError) {
                let response = try await transport.send(create)
                guard response.status == 200 else {
                    throw HTTPTransportError(.other, "\(response.status)", mayHaveTakenEffect: true)
                }
                break
            } catch {
                guard process.isRunning, error.code == .unreachable else { throw error }
                try await Task.sleep(for: .milliseconds(50))
            }
        }
        await transport.close()
        return MotoServer(port: port)
    }

    /// Keeps the pipe open.
    nonisolated(unsafe) private static var running: Process?

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
