//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Metering
import NIOCore
import ObjectStore
import RuntimeEnvironment
import Synchronization
import Testing

@Suite struct ObjectStoreProbeTests {
    /// A directory that misbehaves in one way.
    private final class Faulty: ObjectStore {
        enum Fault: CaseIterable, Sendable {
            case ignoresTheCondition, ignoresTheRange, losesBytes, hidesFromListings, keepsTheDeleted, refusesTheCondition
        }
        private let store: any ObjectStore
        private let fault: Fault

        init(_ store: any ObjectStore, _ fault: Fault) {
            self.store = store
            self.fault = fault
        }

        var url: String { "s3://faulty?endpoint=http://host:1" }
        var copies: ObjectCopies { store.copies }
        func put(_ key: String, _ body: [ByteBuffer], condition: PutCondition) async throws(ObjectStoreError) {
            if fault == .refusesTheCondition, condition == .ifAbsent { throw ObjectStoreError(.unsupported, "501 NotImplemented") }
            try await store.put(key, body, condition: fault == .ignoresTheCondition ? .always : condition)
        }
        func get(_ key: String, range: Range<Int64>?) async throws(ObjectStoreError) -> ByteBuffer {
            let bytes = try await store.get(key, range: fault == .ignoresTheRange ? nil : range)
            return fault == .losesBytes ? bytes.getSlice(at: 0, length: bytes.readableBytes - 1)! : bytes
        }
        func info(_ key: String) async throws(ObjectStoreError) -> ObjectInfo? { try await store.info(key) }
        func list(
            prefix: String, startAfter: String?, maxKeys: Int
        ) async throws(ObjectStoreError) -> (objects: [ObjectInfo], isTruncated: Bool) {
            if fault == .hidesFromListings { return ([], false) }
            return try await store.list(prefix: prefix, startAfter: startAfter, maxKeys: maxKeys)
        }
        func delete(_ keys: [String]) async throws(ObjectStoreError) {
            if fault != .keepsTheDeleted { try await store.delete(keys) }
        }
        func putMultipart(_ key: String, parts: AsyncThrowingStream<ByteBuffer, any Error>) async throws(ObjectStoreError) {
            try await store.putMultipart(key, parts: parts)
        }
        func physicalPaths(_ key: String) -> [String] { [] }
        func physicalBytes(
            prefix: String
        ) async throws(ObjectStoreError) -> (bytes: Int64, objects: Int64, basis: ObjectCopies.Basis) {
            try await store.physicalBytes(prefix: prefix)
        }
        func close() async { await store.close() }

        static let reasons: [Fault: String] = [
            .ignoresTheCondition: "it ignores the condition If-None-Match: * and overwrites",
            .ignoresTheRange: "it does not return the range of bytes",
            .losesBytes: "it does not return the bytes that were stored",
            .hidesFromListings: "a listing does not show an object",
            .keepsTheDeleted: "an object is still there after its deletion",
            .refusesTheCondition: "501 NotImplemented",
        ]
    }

    @Test(arguments: Faulty.Fault.allCases) private func storeThatMisbehavesIsRefusedWithItsName(fault: Faulty.Fault) async throws {
        try await Backing.directory.withStore { (store, _) async throws in
            do throws(ObjectStoreError) {
                try await ObjectStoreProbe.check(Faulty(store, fault), environment: .real)
                Issue.record("\(fault) was not seen")
            } catch {
                #expect(error.code == .unsupported)
                #expect(error.message.hasPrefix("object store s3://faulty?endpoint=http://host:1: cannot be used: "))
                #expect(error.message.contains(Faulty.reasons[fault]!))
                #expect(!error.message.contains("\n"))
            }
            if fault != .keepsTheDeleted { #expect(try await store.listAll(prefix: "").isEmpty) }
        }
    }

    @Test(.enabled(if: MotoServer.executable != nil, MotoServer.notFound))
    func missingBucketEndsInOneLine() async throws {
        let server = try await MotoServer.shared
        let store = S3Store(
            location: server.location(prefix: "", bucket: "no-such-bucket"), credentials: MotoServer.credentials,
            transport: CurlTransport(settings: .init(), workers: ThreadWorkerPool()), environment: .real)
        do throws(ObjectStoreError) {
            try await ObjectStoreProbe.check(store, environment: .real)
            Issue.record("a missing bucket passed")
        } catch {
            #expect(error.message.contains("bucket no-such-bucket at http://127.0.0.1:\(server.port): 404 NoSuchBucket"))
            #expect(error.message.contains("make the bucket or name another one"))
            #expect(!error.message.contains("\n"))
        }
        await store.close()
    }

    @Test func unreachableEndpointEndsInOneLine() async throws {
        let scripted = ScriptedStore(steps: Array(repeating: .fail(.unreachable, mayHaveTakenEffect: false), count: 12))
        do throws(ObjectStoreError) {
            try await ObjectStoreProbe.check(scripted.store, environment: .real)
            Issue.record("an unreachable endpoint passed")
        } catch {
            #expect(error.code == .unreachable)
            #expect(
                error.message.contains("http://host:9000") && error.message.contains("start the endpoint, or correct its address"))
        }
    }

    @Test func forbiddenBucketEndsInOneLine() async throws {
        let scripted = ScriptedStore(.error(403, "InvalidAccessKeyId"), .error(403, "InvalidAccessKeyId"))
        do throws(ObjectStoreError) {
            try await ObjectStoreProbe.check(scripted.store, environment: .real)
            Issue.record("a forbidden bucket passed")
        } catch {
            #expect(error.code == .forbidden)
            #expect(error.message.contains("403 InvalidAccessKeyId") && error.message.contains("check AWS_ACCESS_KEY_ID"))
        }
    }
}
