//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import NIOCore
public import RuntimeEnvironment

/// Finds out at start-up, with one small object, whether a store does what the engines rely on.
///
/// Above all the condition: several endpoints accept `If-None-Match: *` and overwrite all the same, and two brokers that both
/// believe to have been first would lose data without any error.
public enum ObjectStoreProbe {
    /// - Throws: One line that names the store, what it did not do, and what to do about it.
    public static func check(_ store: any ObjectStore, environment: RuntimeEnvironment) async throws(ObjectStoreError) {
        let name = String(environment.randomness.next(), radix: 16) + String(environment.randomness.next(), radix: 16)
        let key = "ninefold-probe/\(name)"
        do throws(ObjectStoreError) {
            try await exercise(store, key)
        } catch {
            // Not to leave it behind where that is possible; the first failure is the one to tell.
            try? await store.delete([key])
            throw explained(error, store)
        }
    }

    private static func exercise(_ store: any ObjectStore, _ key: String) async throws(ObjectStoreError) {
        let first = ByteBuffer(string: "ninefold probe, first: \(key)")
        let second = ByteBuffer(string: "ninefold probe, second: \(key)")
        try await store.put(key, first, condition: .ifAbsent)
        do throws(ObjectStoreError) {
            try await store.put(key, second, condition: .ifAbsent)
            throw refused("it ignores the condition If-None-Match: * and overwrites, so two brokers could both own a partition")
        } catch {
            guard error.code == .preconditionFailed else { throw error }
        }
        guard try await store.get(key, range: nil) == first else { throw refused("it does not return the bytes that were stored") }
        guard try await store.get(key, range: 9..<14) == ByteBuffer(string: "probe") else {
            throw refused("it does not return the range of bytes that was asked for")
        }
        guard try await store.info(key)?.size == Int64(first.readableBytes) else {
            throw refused("it tells a wrong size of an object")
        }
        let listed = try await store.list(prefix: key, startAfter: nil, maxKeys: 10)
        guard listed.objects.map(\.key) == [key] else {
            throw refused("a listing does not show an object that was stored before it")
        }
        try await store.delete([key])
        guard try await store.info(key) == nil else { throw refused("an object is still there after its deletion") }
    }

    private static func refused(_ what: String) -> ObjectStoreError { ObjectStoreError(.unsupported, what) }

    private static func explained(_ error: ObjectStoreError, _ store: any ObjectStore) -> ObjectStoreError {
        let reason =
            switch error.code {
            case .unreachable, .timedOut: "no answer: \(error.message); start the endpoint, or correct its address"
            case .slowDown: "it does not get to answering: \(error.message); try again when it has less to do"
            case .unsupported:
                "cannot be used: \(error.message); use a store that does (an S3 endpoint with conditional writes, or file:///DIR)"
            default: error.message
            }
        return ObjectStoreError(error.code, "object store \(store.url): \(reason)")
    }
}
