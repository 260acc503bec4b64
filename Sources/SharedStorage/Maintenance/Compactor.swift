//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import LogEngine
internal import LogModel
internal import Metering
internal import ObjectStore
internal import RuntimeEnvironment
internal import Synchronization

/// What goes on behind the writers: compaction and retention of the logs that this broker owns, deletion of objects nobody needs.
struct Compactor: Sendable {
    let parts: EngineParts

    /// Rewrites the log's ranges as the plan says. Every block's checksum and the run's continuity are looked at before anything old
    /// is let go.
    func compact(_ log: SharedLog, goal: CompactionPlan.Goal, mustLeave: Set<ObjectID> = []) async throws(LogError) {
        let ranges = log.rangesNow
        let runs = CompactionPlan.runs(
            in: ranges, goal: goal, fanIn: parts.settings.mergeFanIn, bytesMax: parts.settings.mergedObjectBytesMax,
            mustLeave: mustLeave)
        for run in runs {
            let some = Array(ranges[run])
            let isMajor = goal == .complete || some.count < parts.settings.mergeFanIn
            try await merge(some, of: log, as: isMajor ? .majorCompaction : .minorCompaction)
        }
    }

    private func merge(_ ranges: [RangeRecord], of log: SharedLog, as reason: ObjectWrite) async throws(LogError) {
        guard let first = ranges.first, let last = ranges.last else { return }
        var builder = ObjectBuilder(blockBytes: parts.settings.blockBytes)
        for range in ranges { try await copy(range, of: log, into: &builder) }
        let built = builder.finish()
        guard let piece = built.pieces.first else { return }
        let expected = ranges.reduce(0) { $0 + $1.recordBytes }
        guard piece.recordBytes == expected else {
            throw LogError(
                .corruptLog,
                "compaction of partition \(log.partition) read \(piece.recordBytes) bytes where its records say \(expected), from object \(first.key) on; nothing was changed"
            )
        }
        let writer = parts.metadata.writer
        try await parts.putter.withIDs(1) { ids throws(LogError) in
            let id = ids[0]
            try await parts.putter.prepare([(id, piece.recordBytes)], requiring: [parts.ownership])
            try await parts.putter.put(id, built, as: reason)
            let merged = parts.putter.range(id, built, piece, start: first.start, end: last.end)
            let object = CommitObject(
                id: id, key: merged.key, objectBytes: built.size,
                pieces: [CommitPiece(stream: log.stream, range: merged, producers: [], epochs: [])])
            do throws(LogError) {
                let done = try await parts.metadata.replaceRanges(
                    of: log.stream, ranges, with: object, requiring: [parts.ownership]
                ) { record throws(LogError) in
                    guard record.owner == writer, record.isOpen else {
                        throw LogError(.notLeader, "partition \(log.partition) has moved away")
                    }
                    return record
                }
                if done { return log.replaced(ranges, with: merged) }
            } catch {
                // The transaction may have gone through although its answer was lost.
                try? await log.reloadRanges()
                throw error
            }
            try await log.reloadRanges()
        }
    }

    private func copy(_ range: RangeRecord, of log: SharedLog, into builder: inout ObjectBuilder) async throws(LogError) {
        var next = range.start
        while next < range.end {
            let (blocks, _) = try await parts.reader.blocks(
                of: log.stream, in: range, from: next, bytesMax: parts.settings.readAheadBytesMax,
                fetchBytes: parts.settings.readAheadBytesMax,
                keepsBlocks: false)
            guard let last = blocks.last else { return }
            for block in blocks {
                guard block.start >= next else {
                    throw LogError(
                        .corruptLog, "blocks of partition \(log.partition) overlap at offset \(block.start) in object \(range.key)")
                }
                var newest = Timestamp.none
                var count = 0
                do throws(RecordBatchError) {
                    try block.data.forEachBatch { header, _ in
                        newest = max(newest, header.maxTimestamp)
                        count += 1
                        return true
                    }
                } catch {
                    throw LogError(
                        .corruptLog, "the object \(range.key) holds no whole batches at offset \(block.start)", cause: error)
                }
                guard count == block.batchCount else {
                    throw LogError(
                        .corruptLog,
                        "a block of object \(range.key) at offset \(block.start) has \(count) batches, its index says \(block.batchCount)"
                    )
                }
                builder.append(
                    ObjectBuilder.Chunk(
                        start: block.start, end: block.end, batchCount: count, maxTimestamp: newest, data: block.data),
                    of: log.stream)
                next = block.end
            }
            if last.end >= range.end { return }
        }
    }

    /// Raises the log start past what time or size lets go of, and lets go of what lies below it.
    func retain(_ log: SharedLog) async throws(LogError) {
        let start = log.retentionStart(now: Timestamp(parts.environment.clock.wallMilliseconds()))
        // A start that was raised into what was not uploaded then has left it to be let go of now.
        if start > log.offsets.logStart || log.rangesNow.first.map({ $0.end <= start }) == true {
            try await log.raiseStart(to: start)
        }
    }

    /// Stream-set objects of which less than half is live: keeping them costs more than rewriting what is left.
    func mostlyDeadObjects() async throws(LogError) -> Set<ObjectID> {
        var found: Set<ObjectID> = []
        for (key, record) in try await parts.metadata.list(SharedKey.objects, as: ObjectRecord.self)
        where record.value.deadBytes * 2 > record.value.recordBytes {
            found.insert(ObjectID(text: String(key.dropFirst(SharedKey.objects.count))))
        }
        return found
    }

    // MARK: Garbage

    /// Deletes destroyed objects whose grace is over. What cannot be deleted holds up nothing else.
    ///
    /// - Parameter all: Whatever their grace and whoever made them; else those this broker made, and others' after twice the grace.
    /// - Throws: The first failure, once all that can be done is done.
    func collectGarbage(all: Bool) async throws(LogError) {
        var failure: LogError?
        do throws(LogError) {
            try await parts.metadata.destroyOrphans { parts.putter.isInFlight($0) }
        } catch {
            failure = error
            parts.upkeep.failed(.ledger, "Objects that nobody will commit could not be looked for", error)
        }
        let now = parts.metadata.clock.wallMilliseconds()
        let grace = parts.settings.destroyedObjectGrace.inMilliseconds
        let own = "\(SharedKey.destroyed)\(parts.metadata.writer.broker)-"
        let instant = parts.environment.clock.now()
        let due = try await parts.metadata.list(SharedKey.destroyed, as: DestroyedObject.self).filter { key, record in
            all || now - record.value.destroyed >= (key.hasPrefix(own) ? grace : 2 * grace) && parts.undeletable.isDue(key, instant)
        }.map { Doomed(record: $0.key, key: $0.record.value.key) }
        var rest = due[...]
        while !rest.isEmpty {
            let some = Array(rest.prefix(500))
            rest = rest.dropFirst(some.count)
            let (gone, problem) = await delete(some)
            if let problem {
                failure = failure ?? problem
                parts.upkeep.failed(.garbage, "\(some.count - gone.count) destroyed objects could not be deleted", problem)
            }
            guard !gone.isEmpty else { continue }
            _ = try await parts.metadata.commit(Transaction(operations: gone.map { .delete($0.record) }))
        }
        if let failure { throw failure }
    }

    private struct Doomed {
        /// Of the ledger.
        var record: String
        /// Of the object.
        var key: String
    }

    /// Failures in a row after which it is the store that is to blame.
    private static let failuresInARowMax = 8

    /// - Returns: Those that are gone.
    private func delete(_ some: [Doomed]) async -> (gone: [Doomed], failure: LogError?) {
        do throws(ObjectStoreError) {
            try await parts.store.delete(some.map(\.key))
            parts.undeletable.forget(some.map(\.record))
            return (some, nil)
        } catch {
            var failure = error
            // One may be to blame for all: each by itself.
            var gone: [Doomed] = []
            var failuresInARow = 0
            for one in some where failuresInARow < Self.failuresInARowMax {
                do throws(ObjectStoreError) {
                    try await parts.store.delete([one.key])
                    gone.append(one)
                    failuresInARow = 0
                } catch {
                    failure = error
                    failuresInARow += 1
                    parts.undeletable.note(one.record, parts.environment.clock.now(), interval: parts.settings.maintenanceInterval)
                }
            }
            parts.undeletable.forget(gone.map(\.record))
            guard gone.count < some.count else { return (gone, nil) }
            return (
                gone,
                LogError(
                    .notAvailable, "\(some.count - gone.count) destroyed objects could not be deleted from \(parts.store.url)",
                    cause: failure)
            )
        }
    }
}

/// Objects whose deletion failed, each tried again later and later, so that they take no room from those that can go.
final class UndeletableObjects: Sendable {
    private struct Try {
        var next: MonotonicInstant
        var delay: Duration
    }

    private static let delayMax: Duration = .seconds(3_600)
    /// By record in the ledger.
    private let tries = Mutex<[String: Try]>([:])

    func isDue(_ record: String, _ now: MonotonicInstant) -> Bool { tries.withLock { $0[record].map { $0.next <= now } ?? true } }

    func note(_ record: String, _ now: MonotonicInstant, interval: Duration) {
        tries.withLock { tries in
            let delay = tries[record].map { min($0.delay * 2, Self.delayMax) } ?? interval
            tries[record] = Try(next: now + delay, delay: delay)
        }
    }

    func forget(_ records: [String]) {
        tries.withLock { tries in
            guard !tries.isEmpty else { return }
            for record in records { tries[record] = nil }
        }
    }
}
