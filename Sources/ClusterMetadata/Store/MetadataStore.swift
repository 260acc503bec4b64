//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// A small linearizable key-value store: compare-and-set transactions, leases, watches. The model is etcd's v3 API, so that etcd
/// serves as well as the embedded SQLite.
///
/// Keys are paths that begin with `/` and hold no U+10FFFF; they are ordered by their UTF-8 bytes. Each transaction that changes
/// something has a revision of its own, one higher than the last.
public protocol MetadataStore: Sendable {
    func get(_ key: String) async throws(MetadataStoreError) -> StoredValue?

    /// All keys that begin with `prefix`, in key order, and the revision they were read at: one consistent snapshot.
    func list(prefix: String) async throws(MetadataStoreError) -> (values: [StoredValue], revision: Int64)

    /// Carries out all of `operations`, or none: only if every condition holds. Durable on return.
    ///
    /// - Returns: Whether the conditions held, and the store's revision after.
    @discardableResult
    func commit(_ transaction: Transaction) async throws(MetadataStoreError) -> TransactionResult

    /// A lease of `duration`, which ends unless kept alive; its keys are deleted with it.
    func grantLease(_ duration: Duration) async throws(MetadataStoreError) -> LeaseID

    /// Starts the lease's duration anew.
    ///
    /// - Throws: ``MetadataStoreError/Code/leaseExpired`` if it has ended.
    func keepAlive(_ lease: LeaseID) async throws(MetadataStoreError)

    /// Ends the lease now and deletes its keys.
    func revoke(_ lease: LeaseID) async throws(MetadataStoreError)

    /// Changes of keys that begin with `prefix`, after `revision`, in order, each once. Ends when the store is closed; throws
    /// ``MetadataStoreError/Code/compacted`` when it can no longer tell what happened since `revision` (list again, then watch).
    func watch(prefix: String, after revision: Int64) -> AsyncThrowingStream<MetadataChange, any Error>

    /// As ``watch(prefix:after:)``, but keeps together what was committed together: each element holds the changes of one or more
    /// whole transactions, in order.
    func watchBatches(prefix: String, after revision: Int64) -> AsyncThrowingStream<[MetadataChange], any Error>

    func close() async
}

public struct LeaseID: Hashable, Sendable, Codable {
    public var rawValue: Int64
    public init(_ rawValue: Int64) { self.rawValue = rawValue }
}

public struct StoredValue: Sendable, Hashable {
    public var key: String
    public var value: [UInt8]
    /// The store's revision at the last change of this key; grows at each.
    public var modRevision: Int64
    public var lease: LeaseID?

    public init(key: String, value: [UInt8], modRevision: Int64, lease: LeaseID? = nil) {
        self.key = key
        self.value = value
        self.modRevision = modRevision
        self.lease = lease
    }
}

public struct Transaction: Sendable {
    public enum Condition: Sendable, Hashable {
        case absent(String)
        case exists(String)
        /// The key's ``StoredValue/modRevision`` is exactly this.
        case revision(String, Int64)
        /// The key's value is exactly this.
        case value(String, [UInt8])
    }

    public enum Operation: Sendable, Hashable {
        case put(String, [UInt8], lease: LeaseID? = nil)
        case delete(String)
        case deletePrefix(String)
    }

    public var conditions: [Condition]
    public var operations: [Operation]

    public init(conditions: [Condition] = [], operations: [Operation]) {
        self.conditions = conditions
        self.operations = operations
    }
}

public struct TransactionResult: Sendable, Hashable {
    public var succeeded: Bool
    public var revision: Int64

    public init(succeeded: Bool, revision: Int64) {
        self.succeeded = succeeded
        self.revision = revision
    }
}

public enum MetadataChange: Sendable, Hashable {
    case put(StoredValue)
    case delete(key: String, revision: Int64)

    public var key: String {
        switch self {
        case .put(let value): value.key
        case .delete(let key, _): key
        }
    }
    public var revision: Int64 {
        switch self {
        case .put(let value): value.modRevision
        case .delete(_, let revision): revision
        }
    }
}

public struct MetadataStoreError: Error, Sendable, CustomStringConvertible {
    public enum Code: Sendable, Hashable {
        /// The store did not answer; a transaction may or may not have been carried out.
        case unavailable
        case leaseExpired
        case compacted
        case closed
        /// Bytes in the store that cannot be read: damaged, or written by a newer version.
        case corrupt
        case other
    }

    public var code: Code
    public var message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    public var description: String { message }
}
