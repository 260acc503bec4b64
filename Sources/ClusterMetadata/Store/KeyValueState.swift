//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import RuntimeEnvironment

/// What a store holds, without its clock, its disk and its watchers: keys, leases, and the changes of late.
struct KeyValueState {
    struct Lease {
        var duration: Duration
        var deadline: MonotonicInstant
        var keys: Set<String> = []
    }

    private(set) var revision: Int64 = 0
    /// Changes up to here are forgotten.
    private(set) var compactedRevision: Int64 = 0
    private(set) var leases: [LeaseID: Lease] = [:]
    private var lastLease: Int64 = 0
    private var values: [String: StoredValue] = [:]
    /// The keys of `values`, in byte order.
    private var keys: [String] = []
    /// In order of revision; all changes after `compactedRevision`.
    private var changes: ArraySlice<MetadataChange> = []
    private let retainedRevisionsMax: Int64

    init(retainedRevisionsMax: Int64) { self.retainedRevisionsMax = retainedRevisionsMax }

    func get(_ key: String) -> StoredValue? { values[key] }

    func list(prefix: String) -> [StoredValue] { keys[range(of: prefix)].map { values[$0]! } }

    /// Nil where the changes since `revision` are not known.
    func changes(after revision: Int64, prefix: String) -> [MetadataChange]? {
        guard revision >= compactedRevision, revision <= self.revision else { return nil }
        let start = changes.partitioningIndex { $0.revision > revision }
        return changes[start...].filter { $0.key.utf8.starts(with: prefix.utf8) }
    }

    /// - Returns: The changes made, all at one new revision; nil if a condition did not hold.
    mutating func commit(_ transaction: Transaction) throws(MetadataStoreError) -> [MetadataChange]? {
        for operation in transaction.operations {
            if case .put(let key, _, let lease?) = operation, leases[lease] == nil { throw .leaseExpired(lease, key: key) }
        }
        guard transaction.conditions.allSatisfy(holds) else { return nil }
        var made: [MetadataChange] = []
        let next = revision + 1
        for operation in transaction.operations {
            switch operation {
            case .put(let key, let bytes, let lease):
                let value = StoredValue(key: key, value: bytes, modRevision: next, lease: lease)
                put(value)
                made.append(.put(value))
            case .delete(let key):
                if remove(key) { made.append(.delete(key: key, revision: next)) }
            case .deletePrefix(let prefix):
                for key in Array(keys[range(of: prefix)]) where remove(key) { made.append(.delete(key: key, revision: next)) }
            }
        }
        record(made)
        return made
    }

    mutating func grantLease(_ duration: Duration, now: MonotonicInstant) -> LeaseID {
        lastLease += 1
        leases[LeaseID(lastLease)] = Lease(duration: duration, deadline: now + duration)
        return LeaseID(lastLease)
    }

    mutating func keepAlive(_ lease: LeaseID, now: MonotonicInstant) throws(MetadataStoreError) {
        guard let duration = leases[lease]?.duration else { throw .leaseExpired(lease) }
        leases[lease]?.deadline = now + duration
    }

    /// Ends `lease` and deletes its keys; one that has ended is fine.
    mutating func revoke(_ lease: LeaseID) -> [MetadataChange] {
        guard let keys = leases.removeValue(forKey: lease)?.keys else { return [] }
        return delete(keys)
    }

    /// Deletes the keys of leases whose deadline has come, all at one revision.
    mutating func expireLeases(now: MonotonicInstant) -> [MetadataChange] {
        var expired: Set<String> = []
        for (id, lease) in leases where lease.deadline <= now {
            expired.formUnion(lease.keys)
            leases[id] = nil
        }
        return expired.isEmpty ? [] : delete(expired)
    }

    var earliestDeadline: MonotonicInstant? { leases.values.map(\.deadline).min() }

    private func holds(_ condition: Transaction.Condition) -> Bool {
        switch condition {
        case .absent(let key): values[key] == nil
        case .exists(let key): values[key] != nil
        case .revision(let key, let revision): values[key]?.modRevision == revision
        case .value(let key, let bytes): values[key]?.value == bytes
        }
    }

    private mutating func delete(_ keys: Set<String>) -> [MetadataChange] {
        let next = revision + 1
        let made = keys.sorted(by: precedes).filter { remove($0) }.map { MetadataChange.delete(key: $0, revision: next) }
        record(made)
        return made
    }

    private mutating func record(_ made: [MetadataChange]) {
        guard !made.isEmpty else { return }
        revision += 1
        changes.append(contentsOf: made)
        let floor = revision - retainedRevisionsMax
        // Forgotten by halves, so that the cost of each forgetting is spread over many commits.
        if floor > compactedRevision + retainedRevisionsMax / 2 {
            changes = ArraySlice(changes[changes.partitioningIndex { $0.revision > floor }...].map { $0 })
            compactedRevision = floor
        }
    }

    private mutating func put(_ value: StoredValue) {
        if let old = values.updateValue(value, forKey: value.key) {
            if let lease = old.lease { leases[lease]?.keys.remove(value.key) }
        } else {
            keys.insert(value.key, at: keys.partitioningIndex { !precedes($0, value.key) })
        }
        if let lease = value.lease { leases[lease]?.keys.insert(value.key) }
    }

    private mutating func remove(_ key: String) -> Bool {
        guard let old = values.removeValue(forKey: key) else { return false }
        if let lease = old.lease { leases[lease]?.keys.remove(key) }
        keys.remove(at: keys.partitioningIndex { !precedes($0, key) })
        return true
    }

    private func range(of prefix: String) -> Range<Int> {
        let start = keys.partitioningIndex { !precedes($0, prefix) }
        let end = keys[start...].partitioningIndex { !$0.utf8.starts(with: prefix.utf8) }
        return start..<end
    }
}

/// Byte order, as SQLite's and etcd's keys have it.
private func precedes(_ left: String, _ right: String) -> Bool { left.utf8.lexicographicallyPrecedes(right.utf8) }

extension RandomAccessCollection {
    /// The first index at which `belongs` is true, given that it is false and then true.
    fileprivate func partitioningIndex(where belongs: (Element) -> Bool) -> Index {
        var low = startIndex
        var count = self.count
        while count > 0 {
            let half = count / 2
            let middle = index(low, offsetBy: half)
            if belongs(self[middle]) {
                count = half
            } else {
                low = index(after: middle)
                count -= half + 1
            }
        }
        return low
    }
}

extension MetadataStoreError {
    static func leaseExpired(_ lease: LeaseID, key: String? = nil) -> MetadataStoreError {
        let use = key.map { ", to which \($0) was to be bound," } ?? ""
        return MetadataStoreError(.leaseExpired, "lease \(lease.rawValue)\(use) has ended: register again")
    }

    static func compacted(after revision: Int64) -> MetadataStoreError {
        MetadataStoreError(.compacted, "the changes after revision \(revision) are no longer kept: list again, then watch")
    }

    static let closed = MetadataStoreError(.closed, "the metadata store is closed")
}
