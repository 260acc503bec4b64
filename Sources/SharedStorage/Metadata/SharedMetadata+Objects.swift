//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import LogEngine
internal import LogModel
internal import RuntimeEnvironment

/// A piece of a stream in an object that has been put and is to be committed.
struct CommitPiece: Sendable {
    var stream: StreamID
    var range: RangeRecord
    /// Producers and epochs as of the piece's end.
    var producers: [ProducerStates.Entry]
    var epochs: [EpochStart]
}

/// An object that has been put.
struct CommitObject: Sendable {
    var id: ObjectID
    var key: String
    var objectBytes: Int64
    var pieces: [CommitPiece]
}

/// What became of the pieces of a commit.
struct CommitOutcome: Sendable {
    /// In the objects now.
    var committed: Set<StreamID> = []
    /// Not needed: committed before, by this broker or who recovers it, or the stream is deleted or has gone on without them.
    var obsolete: Set<StreamID> = []
    /// A former owner's tail has to be committed first.
    var early: Set<StreamID> = []
    /// Some of it was committed by an earlier transaction whose answer was lost: the log has to look at its ranges again.
    var stale: Set<StreamID> = []
}

extension CommitOutcome {
    /// Why `record` does not take `piece` from `source` now.
    fileprivate mutating func note(_ piece: CommitPiece, refusedBy record: StreamRecord, from source: StreamWriter) {
        let isWriter = record.isOpen && record.owner == source || record.tails.contains { $0.writer == source }
        if !isWriter {
            obsolete.insert(piece.stream)
        } else if record.committedEnd > piece.range.start {
            stale.insert(piece.stream)
        } else {
            early.insert(piece.stream)
        }
    }
}

extension SharedMetadata {
    /// Announces objects, so that what is put and never committed can be found.
    func prepare(_ objects: [(ObjectID, PreparedObject)], requiring conditions: [Transaction.Condition]) async throws(LogError) {
        let operations = objects.map { Self.put(SharedKey.prepared($0.0), $0.1) }
        guard try await commit(Transaction(conditions: conditions, operations: operations)) else {
            for case .value(let key, let bytes) in conditions { try await checkUnchanged(key, bytes) }
            throw LogError(.notAvailable, "objects could not be announced in the metadata store; the upload is tried again")
        }
    }

    /// Commits objects whose data come from `source`'s WAL: prepared → committed, each stream's end moved over its piece, in one
    /// transaction. A piece is taken only if it begins at its stream's committed end and `source` is whose turn it is, so that no
    /// gap and no second writing can come about. Repeating a commit is fine.
    func commitUpload(
        _ objects: [CommitObject], from source: StreamWriter, requiring conditions: [Transaction.Condition]
    ) async throws(LogError) -> CommitOutcome {
        for _ in 0..<Self.attemptsMax {
            var outcome = CommitOutcome()
            var transaction = Transaction(conditions: conditions, operations: [])
            for object in objects {
                var taken: [CommitPiece] = []
                if let committed = try await get(SharedKey.object(object.id), as: ObjectRecord.self) {
                    // An answer that was lost: the transaction had gone through.
                    let streams = Set(committed.value.live.map(\.stream))
                    for piece in object.pieces {
                        if streams.contains(piece.stream) {
                            outcome.committed.insert(piece.stream)
                        } else {
                            outcome.obsolete.insert(piece.stream)
                        }
                    }
                    continue
                }
                for piece in object.pieces {
                    let key = SharedKey.stream(piece.stream)
                    guard let current = try await stream(piece.stream) else {
                        outcome.obsolete.insert(piece.stream)
                        continue
                    }
                    guard current.value.accepts(piece.range, from: source) else {
                        outcome.note(piece, refusedBy: current.value, from: source)
                        continue
                    }
                    taken.append(piece)
                    outcome.committed.insert(piece.stream)
                    transaction.conditions.append(.revision(key, current.revision))
                    transaction.operations.append(Self.put(key, current.value.advanced(over: piece)))
                    transaction.operations.append(Self.put(SharedKey.range(piece.stream, start: piece.range.start), piece.range))
                }
                transaction.conditions.append(.exists(SharedKey.prepared(object.id)))
                transaction.operations.append(.delete(SharedKey.prepared(object.id)))
                transaction.operations.append(ledgerEntry(for: object, taken: taken))
            }
            if transaction.operations.isEmpty { return outcome }
            if try await commit(transaction) { return outcome }
            for case .value(let key, let bytes) in conditions { try await checkUnchanged(key, bytes) }
        }
        throw LogError(.notAvailable, "an upload lost every race for its streams' records; it is tried again")
    }

    private func ledgerEntry(for object: CommitObject, taken: [CommitPiece]) -> Transaction.Operation {
        let recordBytes = object.pieces.reduce(0) { $0 + $1.range.recordBytes }
        guard !taken.isEmpty else {
            return Self.put(
                SharedKey.destroyed(object.id),
                DestroyedObject(key: object.key, recordBytes: recordBytes, destroyed: clock.wallMilliseconds()))
        }
        let live = taken.map { ObjectRecord.Piece(stream: $0.stream, start: $0.range.start, recordBytes: $0.range.recordBytes) }
        return Self.put(
            SharedKey.object(object.id),
            ObjectRecord(key: object.key, objectBytes: object.objectBytes, recordBytes: recordBytes, live: live))
    }

    /// Replaces ranges of a stream by `merged` (compaction) or by nothing (retention, deletion). Objects that no stream needs any
    /// more go to the destroyed.
    ///
    /// - Parameter change: What else the transaction does to the stream's record: nil deletes it. Refused by throwing.
    /// - Returns: False if the ranges are not all there any more: nothing was changed.
    func replaceRanges(
        of stream: StreamID, _ ranges: [RangeRecord], with merged: CommitObject?, requiring conditions: [Transaction.Condition],
        change: (StreamRecord) throws(LogError) -> StreamRecord?
    ) async throws(LogError) -> Bool {
        let streamKey = SharedKey.stream(stream)
        for _ in 0..<Self.attemptsMax {
            guard let current = try await self.stream(stream) else { return false }
            var transaction = Transaction(conditions: conditions + [.revision(streamKey, current.revision)], operations: [])
            let changed = try change(current.value)
            if let changed {
                if changed != current.value { transaction.operations.append(Self.put(streamKey, changed)) }
            } else {
                transaction.operations.append(.delete(streamKey))
            }
            var objects: [ObjectID: Versioned<ObjectRecord>] = [:]
            for range in ranges {
                let key = SharedKey.range(stream, start: range.start)
                guard let there = try await get(key, as: RangeRecord.self), there.value.object == range.object else { return false }
                transaction.conditions.append(.revision(key, there.revision))
                // A key is written once in a transaction (etcd's rule), and the merged range may begin where an old one did.
                if merged?.pieces.contains(where: { $0.range.start == range.start }) != true {
                    transaction.operations.append(.delete(key))
                }
                if objects[range.object] == nil {
                    objects[range.object] = try await get(SharedKey.object(range.object), as: ObjectRecord.self)
                }
                objects[range.object]?.value.live.removeAll { $0.stream == stream && $0.start == range.start }
            }
            for (id, object) in objects {
                transaction.conditions.append(.revision(SharedKey.object(id), object.revision))
                transaction.operations += released(id, object.value)
            }
            if let merged {
                transaction.conditions.append(.exists(SharedKey.prepared(merged.id)))
                transaction.operations.append(.delete(SharedKey.prepared(merged.id)))
                transaction.operations.append(ledgerEntry(for: merged, taken: merged.pieces))
                for piece in merged.pieces {
                    transaction.operations.append(Self.put(SharedKey.range(stream, start: piece.range.start), piece.range))
                }
            }
            if transaction.operations.isEmpty { return true }
            if try await commit(transaction) { return true }
            for case .value(let key, let bytes) in conditions { try await checkUnchanged(key, bytes) }
        }
        throw LogError(.notAvailable, "a change of stream \(stream) lost every race for its records; it is tried again")
    }

    private func released(_ id: ObjectID, _ object: ObjectRecord) -> [Transaction.Operation] {
        guard object.live.isEmpty else { return [Self.put(SharedKey.object(id), object)] }
        return [
            .delete(SharedKey.object(id)),
            Self.put(
                SharedKey.destroyed(id),
                DestroyedObject(key: object.key, recordBytes: object.recordBytes, destroyed: clock.wallMilliseconds())),
        ]
    }

    /// Prepared objects that nobody will commit: expired, announced by a run of a broker that has ended, or by this run and given up.
    func destroyOrphans(isInFlight: (ObjectID) -> Bool) async throws(LogError) {
        let prepared = try await list(SharedKey.prepared, as: PreparedObject.self)
        guard !prepared.isEmpty else { return }
        let now = clock.wallMilliseconds()
        var runs: [BrokerID: WALOwnership] = [:]
        for (_, record) in try await list(SharedKey.wals, as: WALOwnership.self) { runs[record.value.broker] = record.value }
        for (key, record) in prepared {
            let id = ObjectID(text: String(key.dropFirst(SharedKey.prepared.count)))
            let announcer = record.value.writer
            let isGivenUp =
                if announcer == writer {
                    !isInFlight(id)
                } else {
                    runs[announcer.broker].map {
                        $0.epoch > announcer.epoch || $0.epoch == announcer.epoch && $0.state == .recovered
                    } ?? false
                }
            guard isGivenUp || record.value.expires < now else { continue }
            _ = try await commit(
                Transaction(
                    conditions: [.revision(key, record.revision)],
                    operations: [
                        .delete(key),
                        Self.put(
                            SharedKey.destroyed(id),
                            DestroyedObject(key: record.value.key, recordBytes: record.value.recordBytes, destroyed: now)),
                    ]))
        }
    }
}

extension StreamRecord {
    /// Whether `range`, out of `source`'s WAL, comes next: it begins at the committed end, and every offset of it is in a tail of
    /// `source`'s or above the tails of a stream that `source` owns.
    func accepts(_ range: RangeRecord, from source: StreamWriter) -> Bool {
        guard range.start == committedEnd, range.end > range.start else { return false }
        for tail in tails {
            guard tail.writer == source else { return false }
            if range.end <= tail.end { return true }
        }
        return isOpen && owner == source
    }

    /// After the commit of `piece`, which ``accepts(_:from:)`` has found to come next.
    fileprivate func advanced(over piece: CommitPiece) -> StreamRecord {
        precondition(piece.range.start == committedEnd, "a commit begins at the stream's committed end")
        var next = self
        next.committedEnd = piece.range.end
        next.tails.removeAll { $0.end <= piece.range.end }
        // A closed stream's state is that of its logical end already, which is newer.
        if piece.range.end > next.stateEnd {
            next.stateEnd = piece.range.end
            next.producers = piece.producers
            next.epochs = piece.epochs
        }
        return next
    }
}
