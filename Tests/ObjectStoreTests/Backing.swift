//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Foundation
import Metering
import NIOCore
import ObjectStore
import RuntimeEnvironment
import Testing

/// The stores that the conformance suite runs over.
enum Backing: String, CaseIterable, CustomTestStringConvertible {
    case directory
    case threeCopies
    case s3
    /// Whatever `$NINEFOLD_TEST_OBJECT_STORE` names, with the keys of the environment.
    case endpoint

    var testDescription: String {
        switch self {
        case .directory: "a directory"
        case .threeCopies: "three copies"
        case .s3: "S3 (moto)"
        case .endpoint: "the endpoint named"
        }
    }

    private static let named = ProcessInfo.processInfo.environment["NINEFOLD_TEST_OBJECT_STORE"]
    static var available: [Backing] {
        allCases.filter { backing in
            switch backing {
            case .directory, .threeCopies: true
            case .s3: MotoServer.executable != nil
            case .endpoint: named != nil
            }
        }
    }
    var copies: Int { self == .directory ? 1 : 3 }
    /// Its bytes lie where they cannot be counted.
    var isRemote: Bool { self == .s3 || self == .endpoint }

    func withStore(_ body: (_ store: any ObjectStore, _ meters: Meters) async throws -> Void) async throws {
        let meters = Meters()
        switch self {
        case .directory, .threeCopies:
            let directory = try TemporaryDirectory()
            let store = try ObjectStoreURL.open(
                "file://\(directory.path)/objects?copies=\(copies)", environment: .real, meters: meters, credentials: [:])
            try await body(store, meters)
            await store.close()
        case .s3:
            let server = try await MotoServer.shared
            let prefix = "run-" + String(SystemRandomSource().next(), radix: 16)
            let store = S3Store(
                location: server.location(prefix: prefix), credentials: MotoServer.credentials,
                transport: MeteredTransport(CurlTransport(settings: .init(), workers: ThreadWorkerPool()), meters: meters),
                environment: .real)
            do {
                try await body(store, meters)
            } catch {
                await store.close()
                throw error
            }
            await store.close()
        case .endpoint:
            // A place of its own below what was named, three copies declared, whatever the URL says.
            guard case .s3(var location) = try ObjectStoreURL(parsing: Self.named ?? "") else { throw CocoaError(.fileNoSuchFile) }
            location.prefix += "run-" + String(SystemRandomSource().next(), radix: 16) + "/"
            location.copies = 3
            let credentials = try #require(S3Credentials(environment: ProcessInfo.processInfo.environment))
            let store = S3Store(
                location: location, credentials: credentials,
                transport: MeteredTransport(CurlTransport(settings: .init(), workers: ThreadWorkerPool()), meters: meters),
                environment: .real)
            do {
                try await body(store, meters)
            } catch {
                await store.close()
                throw error
            }
            await store.close()
        }
    }
}

extension ObjectStore {
    func put(_ key: String, _ text: String, condition: PutCondition = .always) async throws(ObjectStoreError) {
        try await put(key, ByteBuffer(string: text), condition: condition)
    }
    func text(_ key: String, range: Range<Int64>? = nil) async throws(ObjectStoreError) -> String {
        String(buffer: try await get(key, range: range))
    }
    /// The code of the error that `body` ends with; nil if it ends well.
    func code(of body: (Self) async throws(ObjectStoreError) -> Void) async -> ObjectStoreError.Code? {
        do throws(ObjectStoreError) {
            try await body(self)
            return nil
        } catch {
            return error.code
        }
    }
}

/// `parts` as the stream that a multipart upload takes.
func stream(_ parts: [ByteBuffer], failing error: (any Error & Sendable)? = nil) -> AsyncThrowingStream<ByteBuffer, any Error> {
    AsyncThrowingStream { continuation in
        for part in parts { continuation.yield(part) }
        continuation.finish(throwing: error)
    }
}
