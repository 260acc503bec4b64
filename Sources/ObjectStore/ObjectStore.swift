//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import NIOCore

/// Why an object store did not do what was asked.
public struct ObjectStoreError: Error, Sendable, CustomStringConvertible {
    public enum Code: Sendable, Hashable, CaseIterable {
        // Try again later; the store's own retries are used up when this is thrown.
        case unreachable
        case timedOut
        /// 429, 500, 503 `SlowDown`.
        case slowDown
        // Decide otherwise.
        case notFound
        /// The key exists (`If-None-Match: *`): somebody else was first.
        case preconditionFailed
        case invalidRange
        // Tell the operator.
        case forbidden
        case noSpace
        /// The bytes differ from what was stored.
        case corrupt
        case unsupported
        case other
    }

    public var code: Code
    public var message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    public var isRetriable: Bool { code == .unreachable || code == .timedOut || code == .slowDown }
    public var description: String { message }
}

public enum PutCondition: Sendable, Hashable {
    case always
    /// `If-None-Match: *`: made by exactly one of those who race, ``ObjectStoreError/Code/preconditionFailed`` for the others.
    case ifAbsent
}

public struct ObjectInfo: Sendable, Hashable {
    public var key: String
    /// Bytes.
    public var size: Int64
    /// Milliseconds since 1970; nil where the store does not tell.
    public var modifiedMilliseconds: Int64?

    public init(key: String, size: Int64, modifiedMilliseconds: Int64? = nil) {
        self.key = key
        self.size = size
        self.modifiedMilliseconds = modifiedMilliseconds
    }
}

/// An upload in parts that was begun and neither completed nor aborted: its parts take space, and nobody sees them.
public struct UnfinishedUpload: Sendable, Hashable {
    public var key: String
    /// The store's own name for it.
    public var id: String
    /// Milliseconds since 1970; nil where the store does not tell.
    public var begunMilliseconds: Int64?

    public init(key: String, id: String, begunMilliseconds: Int64? = nil) {
        self.key = key
        self.id = id
        self.begunMilliseconds = begunMilliseconds
    }
}

/// How many copies of an object's bytes the store keeps, and how we know.
public struct ObjectCopies: Sendable, Hashable {
    public enum Basis: String, Sendable, Hashable, Codable {
        /// We write and can count them.
        case measured
        /// The user said so (`copies=N` on an S3 URL); nothing here can count it.
        case declared
    }
    public var count: Double
    public var basis: Basis

    public init(count: Double, basis: Basis) {
        self.count = count
        self.basis = basis
    }
}

/// Objects under keys. Keys are UTF-8, `/` between parts, below the store's own prefix.
///
/// A successful put is durable, whole and visible to every reader that starts later; a failed one may have taken effect.
public protocol ObjectStore: Sendable {
    /// As the user gave it, without secrets.
    var url: String { get }
    var copies: ObjectCopies { get }

    func put(_ key: String, _ body: [ByteBuffer], condition: PutCondition) async throws(ObjectStoreError)

    /// The whole object, or the half-open byte range of it (cut at the object's end).
    ///
    /// - Throws: ``ObjectStoreError/Code/notFound``, ``ObjectStoreError/Code/invalidRange`` if the range begins at or after the end.
    func get(_ key: String, range: Range<Int64>?) async throws(ObjectStoreError) -> ByteBuffer

    /// nil if there is no such object.
    func info(_ key: String) async throws(ObjectStoreError) -> ObjectInfo?

    /// Keys that begin with `prefix`, after `startAfter`, in byte order, at most `maxKeys` (and at most 1,000).
    ///
    /// - Returns: The objects and whether more follow.
    func list(prefix: String, startAfter: String?, maxKeys: Int) async throws(ObjectStoreError) -> (
        objects: [ObjectInfo], isTruncated: Bool
    )

    /// Removes the objects; keys that are not there are fine. All or an error, after which some may be gone.
    func delete(_ keys: [String]) async throws(ObjectStoreError)

    /// An object too large for one put, in parts of at least 5 MiB (but the last), 10,000 at most. Visible only when completed.
    func putMultipart(_ key: String, parts: AsyncThrowingStream<ByteBuffer, any Error>) async throws(ObjectStoreError)

    /// Of all writers, those under way included.
    func unfinishedUploads(prefix: String) async throws(ObjectStoreError) -> [UnfinishedUpload]

    /// Gives up another writer's upload and frees its parts; one that has ended is fine.
    func abortUpload(_ upload: UnfinishedUpload) async throws(ObjectStoreError)

    /// Absolute paths of the object's copies where the store is a local directory; empty elsewhere.
    func physicalPaths(_ key: String) -> [String]

    /// Bytes the objects below `prefix` take on media: counted (`st_blocks`) in a local directory, listed sizes × declared copies elsewhere.
    func physicalBytes(prefix: String) async throws(ObjectStoreError) -> (bytes: Int64, objects: Int64, basis: ObjectCopies.Basis)

    /// Frees connections and threads.
    func close() async
}

extension ObjectStore {
    public func put(_ key: String, _ body: ByteBuffer, condition: PutCondition = .always) async throws(ObjectStoreError) {
        try await put(key, [body], condition: condition)
    }

    /// Where an upload that was cut off leaves nothing that the store does not clear away by itself.
    public func unfinishedUploads(prefix: String) async throws(ObjectStoreError) -> [UnfinishedUpload] { [] }
    public func abortUpload(_ upload: UnfinishedUpload) async throws(ObjectStoreError) {}

    /// All objects below `prefix`, page after page.
    public func listAll(prefix: String) async throws(ObjectStoreError) -> [ObjectInfo] {
        var all: [ObjectInfo] = []
        while true {
            let page = try await list(prefix: prefix, startAfter: all.last?.key, maxKeys: 1_000)
            all += page.objects
            guard page.isTruncated, !page.objects.isEmpty else { return all }
        }
    }
}
