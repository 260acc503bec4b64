//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation
internal import GRDB
internal import LogModel

/// The file's layout: how it is made, told from others, and refused where we cannot read it.
///
/// ```
/// kv        key TEXT, value BLOB, mod_revision INTEGER, lease INTEGER or null, crc INTEGER
/// changes   revision INTEGER, ordinal INTEGER (within the transaction), key TEXT, value BLOB or null (deleted), lease, crc
/// leases    id INTEGER, duration and deadline INTEGER (ns on the machine's monotonic clock), boot TEXT (whose clock it is)
/// counters  name TEXT, value INTEGER: revision, compacted (changes up to it are forgotten), lease (last one given)
/// ```
/// `crc` is CRC-32C over mod_revision (8 bytes, big-endian), the key's UTF-8, a zero byte, and the value.
enum SQLiteSchema {
    /// `NINE`, in the file's header.
    static let applicationID: Int32 = 0x4E49_4E45
    /// In the header's user_version. A higher one than this is refused.
    static let formatVersion = 1

    static let statements = """
        CREATE TABLE kv(
            key TEXT NOT NULL PRIMARY KEY, value BLOB NOT NULL, mod_revision INTEGER NOT NULL, lease INTEGER, crc INTEGER NOT NULL
        ) WITHOUT ROWID;
        CREATE INDEX kv_lease ON kv(lease) WHERE lease IS NOT NULL;
        CREATE TABLE changes(
            revision INTEGER NOT NULL, ordinal INTEGER NOT NULL, key TEXT NOT NULL, value BLOB, lease INTEGER, crc INTEGER NOT NULL,
            PRIMARY KEY(revision, ordinal)
        ) WITHOUT ROWID;
        CREATE TABLE leases(
            id INTEGER NOT NULL PRIMARY KEY, duration INTEGER NOT NULL, deadline INTEGER NOT NULL, boot TEXT NOT NULL
        );
        CREATE TABLE counters(name TEXT NOT NULL PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
        INSERT INTO counters VALUES('revision', 0), ('compacted', 0), ('lease', 0);
        PRAGMA application_id = \(applicationID);
        PRAGMA user_version = \(formatVersion);
        """

    static func crc(key: String, value: [UInt8], revision: Int64) -> Int64 {
        var crc = withUnsafeBytes(of: revision.bigEndian) { CRC32C.extend(0, with: $0) }
        var key = key
        crc = key.withUTF8 { CRC32C.extend(crc, with: UnsafeRawBufferPointer($0)) }
        crc = withUnsafeBytes(of: UInt8(0)) { CRC32C.extend(crc, with: $0) }
        return Int64(value.withUnsafeBytes { CRC32C.extend(crc, with: $0) })
    }

    /// Opens a connection. Several processes do so at once; each waits for the others' locks up to `busyTimeout`.
    static func connect(_ path: String, label: String) throws -> DatabaseQueue {
        var configuration = Configuration()
        configuration.label = label
        // One millisecond at a time: SQLite's own back-off reaches 100 ms, while a commit takes one or two.
        configuration.busyMode = .callback { tries in
            Thread.sleep(forTimeInterval: 0.001)
            return tries < 10_000
        }
        configuration.prepareDatabase { database in
            try database.execute(sql: "PRAGMA synchronous = FULL")
        }
        return try DatabaseQueue(path: path, configuration: configuration)
    }

    /// Makes the tables if the file is new, and refuses a file that is not ours, is damaged, or is newer than this program.
    static func prepare(_ connection: DatabaseQueue, path: String) throws {
        try connection.writeWithoutTransaction { database in
            // One look at the header and the tables: between two, another process may finish making the file.
            try database.inTransaction(.deferred) {
                _ = try refuseForeign(database, path: path)
                return .rollback
            }
            try setWriteAheadLogging(database)
            try database.inTransaction(.immediate) {
                // Again, now that no other process can be making it at the same time.
                guard try refuseForeign(database, path: path) else { return .rollback }
                try database.execute(sql: statements)
                return .commit
            }
            let finding = try String.fetchOne(database, sql: "PRAGMA quick_check(1)") ?? "no answer"
            guard finding == "ok" else { throw MetadataStoreError.damaged(path, finding) }
        }
    }

    /// - Returns: Whether the file is new and wants its tables.
    private static func refuseForeign(_ database: Database, path: String) throws -> Bool {
        let application = try Int32.fetchOne(database, sql: "PRAGMA application_id") ?? 0
        let version = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
        if application == 0, version == 0, try Int.fetchOne(database, sql: "SELECT count(*) FROM sqlite_master") == 0 {
            return true
        }
        guard application == applicationID else {
            throw MetadataStoreError(
                .corrupt,
                "\(path) is an SQLite file of another program, not a metadata store: name another file in metadata.store.url")
        }
        guard version <= formatVersion else {
            throw MetadataStoreError(
                .corrupt,
                "the metadata store \(path) was written by a newer version (format \(version), this one reads up to \(formatVersion)): "
                    + "start that version again")
        }
        guard version >= 1 else { throw MetadataStoreError.damaged(path, "its format version is \(version)") }
        return false
    }

    /// The switch needs the file for itself for a moment, and SQLite does not always wait for it.
    private static func setWriteAheadLogging(_ database: Database) throws {
        for attempt in 0... {
            do {
                let mode = try String.fetchOne(database, sql: "PRAGMA journal_mode = WAL")
                guard mode == "wal" else {
                    throw MetadataStoreError(
                        .other,
                        "the metadata store cannot use a write-ahead log on this file system (journal mode \(mode ?? "none"))")
                }
                return
            } catch let error as DatabaseError where error.resultCode == .SQLITE_BUSY && attempt < 2_000 {
                Thread.sleep(forTimeInterval: 0.005)
            }
        }
    }
}

extension MetadataStoreError {
    static func damaged(_ path: String, _ finding: String) -> MetadataStoreError {
        MetadataStoreError(
            .corrupt,
            "the metadata store \(path) is damaged (\(finding)): put back a copy of it, or move it away to begin with an empty cluster"
        )
    }

    /// What an SQLite call's failure means to a caller.
    init(_ error: any Error, path: String) {
        switch error {
        case let error as MetadataStoreError: self = error
        case let error as DatabaseError:
            let finding = error.message ?? "SQLite code \(error.extendedResultCode.rawValue)"
            switch error.resultCode {
            case .SQLITE_CORRUPT, .SQLITE_NOTADB, .SQLITE_FORMAT: self = .damaged(path, finding)
            case .SQLITE_BUSY, .SQLITE_LOCKED:
                self.init(
                    .unavailable,
                    "the metadata store \(path) has been locked by another process for too long; the call may be tried again")
            case .SQLITE_FULL:
                self.init(.unavailable, "the metadata store \(path) cannot grow, its disk is full: free some space")
            case .SQLITE_CANTOPEN, .SQLITE_PERM, .SQLITE_READONLY, .SQLITE_AUTH:
                self.init(.other, "the metadata store \(path) cannot be opened for writing (\(finding)): see to its permissions")
            default: self.init(.unavailable, "the metadata store \(path) failed (\(finding))")
            }
        default: self.init(.unavailable, "the metadata store \(path) failed (\(error))")
        }
    }
}
