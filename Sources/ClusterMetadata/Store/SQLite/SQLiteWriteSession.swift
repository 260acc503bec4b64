//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import GRDB
internal import RuntimeEnvironment

/// One SQLite transaction that carries out the writes of many callers, so that they share its sync.
struct SQLiteWriteSession {
    private let content: SQLiteContent
    private let retainedRevisionsMax: Int64
    private let revisionBefore: Int64
    private(set) var revision: Int64
    /// Leases were touched, though no key was.
    private var leasesChanged = false

    /// Begins with what is due: the end of expired leases.
    init(_ content: SQLiteContent, retainedRevisionsMax: Int64) throws {
        self.content = content
        self.retainedRevisionsMax = retainedRevisionsMax
        revisionBefore = try content.counter("revision")
        revision = revisionBefore
        let due = try content.dueLeases()
        if !due.isEmpty {
            try delete(try due.flatMap(content.keys(of:)))
            for lease in due { try content.deleteLease(lease) }
            leasesChanged = true
        }
    }

    var changedKeys: Bool { revision != revisionBefore }
    var changedAnything: Bool { changedKeys || leasesChanged }

    /// Writes what all the writes together need. Nothing may follow.
    func finish() throws {
        guard changedKeys else { return }
        try content.setCounter("revision", revision)
        let floor = revision - retainedRevisionsMax
        // By halves, so that the cost of forgetting is spread over many commits.
        if floor > retainedRevisionsMax / 2, try floor > content.counter("compacted") + retainedRevisionsMax / 2 {
            try content.forgetChanges(upTo: floor)
        }
    }

    /// A ``MetadataStoreError/Code/leaseExpired`` is thrown before anything is written, and concerns this caller alone.
    mutating func commit(_ transaction: Transaction) throws -> TransactionResult {
        for operation in transaction.operations {
            if case .put(let key, _, let lease?) = operation, try !content.leaseExists(lease) {
                throw MetadataStoreError.leaseExpired(lease, key: key)
            }
        }
        for condition in transaction.conditions where try !content.holds(condition) {
            return TransactionResult(succeeded: false, revision: revision)
        }
        let next = revision + 1
        var ordinal = 0
        for operation in transaction.operations {
            switch operation {
            case .put(let key, let value, let lease):
                try content.put(key, value, revision: next, ordinal: ordinal, lease: lease)
                ordinal += 1
            case .delete(let key):
                if try content.delete(key, revision: next, ordinal: ordinal) { ordinal += 1 }
            case .deletePrefix(let prefix):
                for key in try content.keys(prefix: prefix) where try content.delete(key, revision: next, ordinal: ordinal) {
                    ordinal += 1
                }
            }
        }
        if ordinal > 0 { revision = next }
        return TransactionResult(succeeded: true, revision: revision)
    }

    mutating func grantLease(_ duration: Duration) throws -> LeaseID {
        let number = try content.counter("lease") + 1
        try content.setCounter("lease", number)
        try content.insertLease(LeaseID(number), duration: duration)
        leasesChanged = true
        return LeaseID(number)
    }

    mutating func keepAlive(_ lease: LeaseID) throws {
        guard try content.renewLease(lease) else { throw MetadataStoreError.leaseExpired(lease) }
        leasesChanged = true
    }

    mutating func revoke(_ lease: LeaseID) throws {
        guard try content.leaseExists(lease) else { return }
        try delete(try content.keys(of: lease))
        try content.deleteLease(lease)
        leasesChanged = true
    }

    private mutating func delete(_ keys: [String]) throws {
        let next = revision + 1
        var ordinal = 0
        for key in keys where try content.delete(key, revision: next, ordinal: ordinal) { ordinal += 1 }
        if ordinal > 0 { revision = next }
    }
}
