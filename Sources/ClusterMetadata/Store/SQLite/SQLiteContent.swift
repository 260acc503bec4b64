//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation
internal import GRDB
internal import RuntimeEnvironment

/// The tables as a key-value store, within one transaction of the connection's.
struct SQLiteContent {
    let database: Database
    let path: String
    /// The boot whose monotonic clock `now` reads.
    let boot: String
    let now: MonotonicInstant

    // MARK: Reading

    func get(_ key: String) throws -> StoredValue? {
        let statement = try database.cachedStatement(sql: "SELECT key, value, mod_revision, lease, crc FROM kv WHERE key = ?")
        return try Row.fetchOne(statement, arguments: [key]).map(storedValue)
    }

    func list(prefix: String) throws -> [StoredValue] {
        let statement = try database.cachedStatement(
            sql: "SELECT key, value, mod_revision, lease, crc FROM kv WHERE key >= ? AND key < ? ORDER BY key")
        var values: [StoredValue] = []
        let rows = try Row.fetchCursor(statement, arguments: [prefix, Self.end(of: prefix)])
        while let row = try rows.next() { values.append(try storedValue(row)) }
        return values
    }

    /// All changes of keys with `prefix` after `revision`, in order.
    func changes(after revision: Int64, prefix: String) throws -> [MetadataChange] {
        let statement = try database.cachedStatement(
            sql: "SELECT key, value, revision, lease, crc FROM changes WHERE revision > ? ORDER BY revision, ordinal")
        var changes: [MetadataChange] = []
        let rows = try Row.fetchCursor(statement, arguments: [revision])
        while let row = try rows.next() {
            let key: String = row[0]
            guard key.utf8.starts(with: prefix.utf8) else { continue }
            changes.append(row.hasNull(atIndex: 1) ? .delete(key: key, revision: row[2]) : .put(try storedValue(row)))
        }
        return changes
    }

    func counter(_ name: String) throws -> Int64 {
        let statement = try database.cachedStatement(sql: "SELECT value FROM counters WHERE name = ?")
        guard let value = try Int64.fetchOne(statement, arguments: [name]) else {
            throw MetadataStoreError.damaged(path, "its counter '\(name)' is missing")
        }
        return value
    }

    /// When the next lease ends; nil if there is none. One of an earlier boot has ended already.
    func earliestDeadline() throws -> MonotonicInstant? {
        let statement = try database.cachedStatement(
            sql: "SELECT min(CASE boot WHEN ? THEN deadline ELSE ? END) FROM leases")
        return try Int64.fetchOne(statement, arguments: [boot, now.nanoseconds]).map(MonotonicInstant.init(nanoseconds:))
    }

    // MARK: Writing

    func holds(_ condition: Transaction.Condition) throws -> Bool {
        switch condition {
        case .absent(let key): try get(key) == nil
        case .exists(let key): try get(key) != nil
        case .revision(let key, let revision): try get(key)?.modRevision == revision
        case .value(let key, let bytes): try get(key)?.value == bytes
        }
    }

    func leaseExists(_ lease: LeaseID) throws -> Bool {
        let statement = try database.cachedStatement(sql: "SELECT 1 FROM leases WHERE id = ?")
        return try Int.fetchOne(statement, arguments: [lease.rawValue]) != nil
    }

    func put(_ key: String, _ value: [UInt8], revision: Int64, ordinal: Int, lease: LeaseID?) throws {
        let crc = SQLiteSchema.crc(key: key, value: value, revision: revision)
        let blob = Data(value)
        try database.cachedStatement(
            sql: "INSERT OR REPLACE INTO kv(key, value, mod_revision, lease, crc) VALUES(?, ?, ?, ?, ?)"
        ).execute(arguments: [key, blob, revision, lease?.rawValue, crc])
        try database.cachedStatement(
            sql: "INSERT INTO changes(revision, ordinal, key, value, lease, crc) VALUES(?, ?, ?, ?, ?, ?)"
        ).execute(arguments: [revision, ordinal, key, blob, lease?.rawValue, crc])
    }

    /// - Returns: Whether the key was there.
    func delete(_ key: String, revision: Int64, ordinal: Int) throws -> Bool {
        try database.cachedStatement(sql: "DELETE FROM kv WHERE key = ?").execute(arguments: [key])
        guard database.changesCount > 0 else { return false }
        try database.cachedStatement(
            sql: "INSERT INTO changes(revision, ordinal, key, value, lease, crc) VALUES(?, ?, ?, NULL, NULL, ?)"
        ).execute(arguments: [revision, ordinal, key, SQLiteSchema.crc(key: key, value: [], revision: revision)])
        return true
    }

    func keys(prefix: String) throws -> [String] {
        let statement = try database.cachedStatement(sql: "SELECT key FROM kv WHERE key >= ? AND key < ? ORDER BY key")
        return try String.fetchAll(statement, arguments: [prefix, Self.end(of: prefix)])
    }

    func keys(of lease: LeaseID) throws -> [String] {
        let statement = try database.cachedStatement(sql: "SELECT key FROM kv WHERE lease = ? ORDER BY key")
        return try String.fetchAll(statement, arguments: [lease.rawValue])
    }

    func setCounter(_ name: String, _ value: Int64) throws {
        try database.cachedStatement(sql: "UPDATE counters SET value = ? WHERE name = ?").execute(arguments: [value, name])
    }

    func forgetChanges(upTo revision: Int64) throws {
        try database.cachedStatement(sql: "DELETE FROM changes WHERE revision <= ?").execute(arguments: [revision])
        try setCounter("compacted", revision)
    }

    func dueLeases() throws -> [LeaseID] {
        let statement = try database.cachedStatement(sql: "SELECT id FROM leases WHERE deadline <= ? OR boot <> ?")
        return try Int64.fetchAll(statement, arguments: [now.nanoseconds, boot]).map { LeaseID($0) }
    }

    func insertLease(_ lease: LeaseID, duration: Duration) throws {
        try database.cachedStatement(sql: "INSERT INTO leases(id, duration, deadline, boot) VALUES(?, ?, ?, ?)").execute(
            arguments: [lease.rawValue, duration.inNanoseconds, (now + duration).nanoseconds, boot])
    }

    /// - Returns: Whether the lease was there.
    func renewLease(_ lease: LeaseID) throws -> Bool {
        try database.cachedStatement(sql: "UPDATE leases SET deadline = ? + duration WHERE id = ?").execute(
            arguments: [now.nanoseconds, lease.rawValue])
        return database.changesCount > 0
    }

    func deleteLease(_ lease: LeaseID) throws {
        try database.cachedStatement(sql: "DELETE FROM leases WHERE id = ?").execute(arguments: [lease.rawValue])
    }

    // MARK: Rows

    private func storedValue(_ row: Row) throws -> StoredValue {
        let data: Data = row[1]
        let lease: Int64? = row[3]
        let value = StoredValue(key: row[0], value: [UInt8](data), modRevision: row[2], lease: lease.map { LeaseID($0) })
        guard SQLiteSchema.crc(key: value.key, value: value.value, revision: value.modRevision) == row[4] as Int64 else {
            throw MetadataStoreError.damaged(path, "the checksum of \(value.key) does not match")
        }
        return value
    }

    /// The least text above every key with this prefix (no key holds U+10FFFF).
    private static func end(of prefix: String) -> String { prefix + "\u{10FFFF}" }
}
