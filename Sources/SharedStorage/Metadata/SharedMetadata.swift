//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import Foundation
internal import LogEngine
internal import LogModel
internal import RuntimeEnvironment

/// Reads and writes the engine's records. Holds no state of its own but the broker's name.
struct SharedMetadata: Sendable {
    /// A record with what is needed to change it by compare-and-set.
    struct Versioned<Value: Sendable>: Sendable {
        var value: Value
        var bytes: [UInt8]
        var revision: Int64
    }

    /// A transaction that keeps losing its races this often is given up; each loss means that somebody else went on.
    static let attemptsMax = 50

    let store: any MetadataStore
    let writer: StreamWriter
    let clock: any Clock

    // MARK: Plain access

    func get<Value: Codable & Sendable>(_ key: String, as type: Value.Type) async throws(LogError) -> Versioned<Value>? {
        guard let stored = try await attempt({ () throws(MetadataStoreError) in try await store.get(key) }) else { return nil }
        return try decode(stored, as: type)
    }

    func list<Value: Codable & Sendable>(
        _ prefix: String, as type: Value.Type
    ) async throws(LogError) -> [(key: String, record: Versioned<Value>)] {
        let listed = try await attempt { () throws(MetadataStoreError) in try await store.list(prefix: prefix).values }
        var records: [(key: String, record: Versioned<Value>)] = []
        records.reserveCapacity(listed.count)
        for stored in listed { records.append((stored.key, try decode(stored, as: type))) }
        return records
    }

    func decode<Value: Codable & Sendable>(_ stored: StoredValue, as type: Value.Type) throws(LogError) -> Versioned<Value> {
        do {
            let value = try JSONDecoder().decode(Value.self, from: Data(stored.value))
            return Versioned(value: value, bytes: stored.value, revision: stored.modRevision)
        } catch {
            throw LogError(
                .corruptLog, "the metadata record \(stored.key) cannot be read; it is damaged or from a newer version", cause: error
            )
        }
    }

    static func encode(_ value: some Encodable) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return Array(try encoder.encode(value))
        } catch { preconditionFailure("the engine's records encode: \(error)") }
    }

    static func put(_ key: String, _ value: some Encodable) -> Transaction.Operation { .put(key, encode(value)) }

    func commit(_ transaction: Transaction) async throws(LogError) -> Bool {
        try await attempt { () throws(MetadataStoreError) in try await store.commit(transaction).succeeded }
    }

    /// Turns the store's errors into the log's. An unavailable store leaves a transaction's outcome open: callers read again.
    private func attempt<Value>(_ body: () async throws(MetadataStoreError) -> Value) async throws(LogError) -> Value {
        do throws(MetadataStoreError) {
            return try await body()
        } catch {
            let code: LogError.Code = error.code == .corrupt ? .corruptLog : .notAvailable
            throw LogError(code, "the metadata store did not answer the shared engine", cause: error)
        }
    }

    /// Reads, decides, writes, again if somebody else changed `key` meanwhile.
    ///
    /// - Parameter change: The new value and further operations; nil leaves all as it is.
    /// - Returns: The record as it is now; nil if there is none.
    @discardableResult
    func update<Value: Codable & Sendable & Equatable>(
        _ key: String, as type: Value.Type, alsoRequiring conditions: [Transaction.Condition] = [],
        _ change: (Value?) throws(LogError) -> Value?
    ) async throws(LogError) -> Value? {
        for _ in 0..<Self.attemptsMax {
            let current = try await get(key, as: type)
            guard let changed = try change(current?.value) else { return current?.value }
            if let current, current.value == changed { return changed }
            let condition: Transaction.Condition = current.map { .revision(key, $0.revision) } ?? .absent(key)
            if try await commit(Transaction(conditions: conditions + [condition], operations: [Self.put(key, changed)])) {
                return changed
            }
            for case .value(let key, let bytes) in conditions { try await checkUnchanged(key, bytes) }
        }
        throw LogError(.notAvailable, "the metadata record \(key) changes faster than it can be written; try again")
    }

    /// - Throws: ``LogError/Code/fenced`` if the record is no longer `bytes`.
    func checkUnchanged(_ key: String, _ bytes: [UInt8]) async throws(LogError) {
        let stored = try await attempt { () throws(MetadataStoreError) in try await store.get(key) }
        guard stored?.value == bytes else {
            throw LogError(.fenced, "another broker has taken over \(key); this one must stop writing")
        }
    }

    // MARK: The object WAL

    /// - Throws: ``LogError/Code/fenced`` if the WAL is no longer its run's.
    func noteTrim(_ number: Int64, of own: WALOwnership) async throws(LogError) {
        let (key, bytes) = (SharedKey.wal(own.broker), Self.encode(own))
        let trim = Self.put(SharedKey.walTrim(own.broker), WALTrim(epoch: own.epoch, number: number))
        if try await commit(Transaction(conditions: [.value(key, bytes)], operations: [trim])) { return }
        try await checkUnchanged(key, bytes)
        throw LogError(.notAvailable, "the trim of broker \(own.broker)'s write-ahead log was not recorded; it is tried again")
    }

    /// Number of the first object that the recovery of the run's WAL needs.
    func trimNumber(of wal: WALOwnership) async throws(LogError) -> Int64 {
        guard let trim = try await get(SharedKey.walTrim(wal.broker), as: WALTrim.self)?.value, trim.epoch == wal.epoch else {
            return 0
        }
        return trim.number
    }

    // MARK: What WALs have left

    func leftWALs() async throws(LogError) -> [(key: String, record: Versioned<LeftWAL>)] {
        try await list(SharedKey.leftWALs, as: LeftWAL.self)
    }

    /// Makes it this run's duty to bring what is left: if it is so already, if the WAL was this broker's, or if the run whose duty it
    /// was has ended.
    ///
    /// - Returns: The record now; nil if it is another's.
    func claimLeftWAL(_ key: String) async throws(LogError) -> LeftWAL? {
        guard let left = try await get(key, as: LeftWAL.self)?.value else { return nil }
        let other = left.recoverer
        if other != writer, left.writer.broker != writer.broker {
            let run = try await get(SharedKey.wal(other.broker), as: WALOwnership.self)?.value
            guard let run, run.epoch > other.epoch || run.epoch == other.epoch && run.state != .open else { return nil }
        }
        let writer = writer
        return try await update(key, as: LeftWAL.self) { current throws(LogError) in
            guard var next = current, next.recoverer == other else { return nil }
            next.recoverer = writer
            return next
        }.flatMap { $0.recoverer == writer ? $0 : nil }
    }

    // MARK: Streams

    func stream(_ stream: StreamID) async throws(LogError) -> Versioned<StreamRecord>? {
        try await get(SharedKey.stream(stream), as: StreamRecord.self)
    }

    /// In offset order.
    func ranges(of stream: StreamID) async throws(LogError) -> [RangeRecord] {
        try await list(SharedKey.ranges(of: stream), as: RangeRecord.self).map(\.record.value)
    }
}
