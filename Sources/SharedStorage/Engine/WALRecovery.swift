//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import LogEngine
internal import LogModel
internal import Logging
internal import NIOCore
internal import ObjectStore
internal import RuntimeEnvironment

/// Replays the WAL of a broker's ended run: uploads what is in no object, commits it in the dead one's stead, closes its streams.
///
/// Run by the broker itself at its next start or by a survivor. Every step may be repeated: what is committed already is passed over.
struct WALRecovery: Sendable {
    let metadata: SharedMetadata
    let putter: ObjectPutter
    let store: any ObjectStore
    let settings: SharedStorageSettings
    let clock: any Clock
    let worker: any Worker
    /// The recoverer's own right to commit, if it has one by now.
    let ownership: Transaction.Condition?
    let logger: Logger

    /// Bytes of batches held at a time.
    private var chunkBytes: Int { Int(min(64 << 20, max(settings.logCacheBytes / 2, 1 << 20))) }

    /// One reading of an ended run's log.
    private struct Replay {
        let dead: StreamWriter
        let conditions: [Transaction.Condition]
        /// These alone are looked at; nil for all.
        var only: Set<StreamID>?
        /// Until then the tails of other former owners are waited for.
        let deadline: MonotonicInstant
        var progress: [StreamID: Progress] = [:]
        /// What cannot be brought now.
        var left: [StreamID: LogError] = [:]

        func isWanted(_ stream: StreamID) -> Bool { left[stream] == nil && only?.contains(stream) != false }
    }

    /// Where one stream of the dead broker has got to.
    private struct Progress {
        var producers: ProducerStates
        var epochs: EpochHistory
        /// Batches below it are in `producers`.
        var stateEnd: Offset
    }

    /// - Parameters:
    ///   - volume: Where the dead broker's ring lies, if its log is one; nil if that cannot be reached from here.
    ///   - epoch: The run that has ended, or a later one. A WAL opened by a run after that is left alone.
    /// - Returns: Streams whose last batches cannot be brought now, and why: noted in a ``LeftWAL``, all others being closed.
    func recover(
        _ broker: BrokerID, upTo epoch: BrokerEpoch, volume: SharedStorageEngine.WALVolume?
    ) async throws(LogError) -> [StreamID: LogError] {
        let key = SharedKey.wal(broker)
        let writer = metadata.writer
        let fenced = try await metadata.update(key, as: WALOwnership.self) { current throws(LogError) in
            guard let current, current.epoch <= epoch, current.state != .recovered else { return nil }
            // The broker is back and replays its log itself; only news of that run's end takes it from it.
            if current.recoverer == broker, writer.broker != broker, let run = current.recovererEpoch, run > epoch { return nil }
            var fenced = current
            fenced.state = .fenced
            fenced.recoverer = writer.broker
            fenced.recovererEpoch = writer.epoch
            return fenced
        }
        guard let fenced, fenced.state == .fenced, fenced.recoverer == writer.broker, fenced.recovererEpoch == writer.epoch else {
            return [:]
        }
        let dead = StreamWriter(broker: broker, epoch: fenced.epoch)
        let claim = Transaction.Condition.value(key, SharedMetadata.encode(fenced))
        var replay = Replay(
            dead: dead, conditions: [claim] + (ownership.map { [$0] } ?? []), deadline: clock.now() + settings.openTimeout)
        let first = fenced.isInObjects == true ? try await metadata.trimNumber(of: fenced) : nil
        let objects = try await read(&replay, firstObject: first, volume)
        try await closeStreams(&replay)
        var recovered = fenced
        recovered.state = .recovered
        var operations = [SharedMetadata.put(key, recovered)]
        if !replay.left.isEmpty {
            let left = LeftWAL(
                writer: dead, isInObjects: fenced.isInObjects, firstObject: first, streams: replay.left.keys.sorted(),
                recoverer: writer)
            operations.append(SharedMetadata.put(SharedKey.leftWAL(dead), left))
        }
        guard try await metadata.commit(Transaction(conditions: replay.conditions, operations: operations)) else {
            throw LogError(.notAvailable, "the recovery of broker \(broker)'s write-ahead log was taken over by another broker")
        }
        if replay.left.isEmpty { await objects?.removeAll() }
        return replay.left
    }

    /// Tries again what ``recover(_:upTo:volume:)`` had to leave.
    ///
    /// - Parameter left: As this run has claimed it.
    /// - Returns: What is left now. With the last stream the record goes.
    func recoverLeft(
        _ left: LeftWAL, key: String, volume: SharedStorageEngine.WALVolume?
    ) async throws(LogError) -> [StreamID: LogError] {
        let claim = Transaction.Condition.value(key, SharedMetadata.encode(left))
        var replay = Replay(
            dead: left.writer, conditions: [claim] + (ownership.map { [$0] } ?? []), only: Set(left.streams),
            deadline: clock.now())
        let objects = try await read(&replay, firstObject: left.firstObject, volume)
        try await closeStreams(&replay)
        let operation: Transaction.Operation
        if replay.left.isEmpty {
            operation = .delete(key)
        } else {
            var rest = left
            rest.streams = replay.left.keys.sorted()
            if rest == left { return replay.left }
            operation = SharedMetadata.put(key, rest)
        }
        guard try await metadata.commit(Transaction(conditions: replay.conditions, operations: [operation])) else {
            throw LogError(.notAvailable, "another broker brings what broker \(left.writer.broker)'s write-ahead log has left")
        }
        if replay.left.isEmpty { await objects?.removeAll() }
        return replay.left
    }

    // MARK: Replay

    /// - Parameter firstObject: Where the log begins if it lies in objects.
    /// - Returns: The reader of the log's objects, if it lies in objects.
    private func read(
        _ replay: inout Replay, firstObject: Int64?, _ volume: SharedStorageEngine.WALVolume?
    ) async throws(LogError) -> ObjectWALReader? {
        let dead = replay.dead
        if let firstObject {
            let reader = ObjectWALReader(store: store, clock: clock, broker: dead.broker, epoch: dead.epoch, from: firstObject)
            try await commitAll(&replay) { bytes throws(LogError) in try await reader.nextRecords(bytesMax: bytes) }
            return reader
        }
        guard let volume else {
            throw LogError(
                .storageFailure,
                "the volume with the write-ahead log of broker \(dead.broker) cannot be reached from broker \(metadata.writer.broker)"
            )
        }
        try await readRing(&replay, disk: volume.disk, path: RingFolder(volume, of: dead.broker).path(of: dead.epoch))
        return nil
    }

    private func commitAll(
        _ replay: inout Replay, _ nextRecords: (Int) async throws(LogError) -> [WALReader.Record]
    ) async throws(LogError) {
        while true {
            let records = try await nextRecords(chunkBytes)
            if records.isEmpty { return }
            try await commit(records, &replay)
        }
    }

    private func readRing(_ replay: inout Replay, disk: any Disk, path: String) async throws(LogError) {
        let dead = replay.dead
        let disk = await worker.run { WALReader.wholestCopy(of: disk, path: path) }
        let header = try await worker.run { [logger] () throws(LogError) in
            try WriteAheadLog.readHeader(disk: disk, path: path) { offset in
                logger.error(
                    "A header page of a write-ahead log is damaged; the other one serves",
                    metadata: ["file": "\(path)", "offset": "\(offset)"])
            }
        }
        guard let header else {
            throw LogError(
                .storageFailure,
                "the write-ahead log \(path) of broker \(dead.broker) is missing; it may hold acknowledged batches: bring its volume back"
            )
        }
        guard header.brokerID == dead.broker, header.epoch == dead.epoch else {
            throw LogError(
                .corruptLog,
                "the write-ahead log \(path) belongs to epoch \(header.epoch) of broker \(header.brokerID), not to epoch \(dead.epoch) of \(dead.broker); check wal.path"
            )
        }
        let reader = try await worker.run { () throws(LogError) in try WALReader(disk: disk, path: path, header: header) }
        defer { reader.close() }
        try await commitAll(&replay) { bytes throws(LogError) in
            try await worker.run { () throws(LogError) in try reader.nextRecords(bytesMax: bytes) }
        }
    }

    private func commit(_ records: [WALReader.Record], _ replay: inout Replay) async throws(LogError) {
        // A stream's offsets may have gaps here where another broker had it meanwhile; each stretch is committed by itself.
        var stretches: [StreamID: [[WALReader.Record]]] = [:]
        for record in records where replay.isWanted(record.header.stream) {
            if let last = stretches[record.header.stream]?.last?.last,
                last.header.offsets.upperBound == record.header.offsets.lowerBound
            {
                let count = stretches[record.header.stream]!.count
                stretches[record.header.stream]![count - 1].append(record)
            } else {
                stretches[record.header.stream, default: []].append([record])
            }
        }
        let rounds = stretches.values.reduce(0) { max($0, $1.count) }
        for round in 0..<rounds {
            var cuts: [UploadCut] = []
            for (stream, parts) in stretches where round < parts.count && replay.isWanted(stream) {
                if let cut = try await cut(stream, parts[round], &replay) { cuts.append(cut) }
            }
            try await upload(cuts, &replay)
        }
    }

    /// What of `records` is in no object and is `dead`'s to bring; nil if nothing.
    private func cut(
        _ stream: StreamID, _ records: [WALReader.Record], _ replay: inout Replay
    ) async throws(LogError) -> UploadCut? {
        let dead = replay.dead
        guard let current = try await metadata.stream(stream)?.value else { return nil }
        guard current.isOpen && current.owner == dead || current.tails.contains(where: { $0.writer == dead }) else { return nil }
        var state =
            replay.progress[stream]
            ?? Progress(
                producers: ProducerStates(entries: current.producers), epochs: EpochHistory(current.epochs),
                stateEnd: current.stateEnd)
        var chunks: [ObjectBuilder.Chunk] = []
        for record in records where record.header.offsets.upperBound > current.committedEnd {
            let batches: RecordBatches
            do throws(RecordBatchError) {
                batches = try RecordBatches(verifying: record.body)
            } catch {
                replay.left[stream] = LogError(
                    .corruptLog,
                    "stream \(stream) has a damaged batch at offset \(record.header.offsets.lowerBound) in the write-ahead log of broker \(dead.broker)",
                    cause: error)
                return nil
            }
            for entry in batches.entries where entry.header.baseOffset >= state.stateEnd {
                state.producers.record(entry.header)
                state.epochs.append(epoch: entry.header.partitionLeaderEpoch, startOffset: entry.header.baseOffset)
                state.stateEnd = entry.header.endOffset
            }
            let offsets = record.header.offsets
            chunks.append(
                ObjectBuilder.Chunk(
                    start: offsets.lowerBound, end: offsets.upperBound, batchCount: batches.entries.count,
                    maxTimestamp: batches.maxTimestamp,
                    data: batches.buffer))
        }
        replay.progress[stream] = state
        guard let first = chunks.first, let last = chunks.last else { return nil }
        return UploadCut(
            stream: stream, start: first.start, end: last.end, chunks: chunks, producers: state.producers.entries,
            epochs: state.epochs.entries,
            bytes: chunks.reduce(0) { $0 + Int64($1.data.readableBytes) })
    }

    /// Uploads until each cut is committed, or found to be needless. Other former owners' tails are waited for, if not for ever.
    private func upload(_ cuts: [UploadCut], _ replay: inout Replay) async throws(LogError) {
        var rest = cuts
        while !rest.isEmpty {
            let ready = try await ready(rest)
            if !ready.isEmpty {
                let outcome = try await putter.upload(ready, from: replay.dead, requiring: replay.conditions).outcome
                guard outcome.stale.isEmpty else {
                    throw LogError(
                        .notAvailable, "a commit's answer was lost; the recovery of broker \(replay.dead.broker) begins again")
                }
                let done = Set(ready.map(\.stream)).subtracting(outcome.early)
                rest.removeAll { done.contains($0.stream) }
            }
            if rest.isEmpty { return }
            guard clock.now() < replay.deadline else {
                for cut in rest {
                    replay.left[cut.stream] = LogError(
                        .notAvailable,
                        "stream \(cut.stream) waits for another former owner to upload its last batches, before offset \(cut.start)"
                    )
                }
                return
            }
            try? await clock.sleep(for: .milliseconds(20))
        }
    }

    /// Those whose turn it is: nothing is put for the others yet.
    private func ready(_ cuts: [UploadCut]) async throws(LogError) -> [UploadCut] {
        var ready: [UploadCut] = []
        for cut in cuts {
            guard let committedEnd = try await metadata.stream(cut.stream)?.value.committedEnd, committedEnd < cut.start else {
                ready.append(cut)
                continue
            }
        }
        return ready
    }

    // MARK: Closing

    /// Closes every stream that the run had open and that nothing is left of, at the end of what its WAL gave.
    private func closeStreams(_ replay: inout Replay) async throws(LogError) {
        let dead = replay.dead
        for (key, listed) in try await metadata.list(SharedKey.streams, as: StreamRecord.self) {
            guard let stream = SharedKey.stream(of: key), replay.isWanted(stream) else { continue }
            if let tail = listed.value.tails.first(where: { $0.writer == dead }) {
                replay.left[stream] = LogError(
                    .corruptLog,
                    "partition \(listed.value.topic)-\(stream.partition) lacks offsets \(tail.start) to \(tail.end): broker \(dead.broker) had announced them, its write-ahead log does not hold them"
                )
                continue
            }
            guard listed.value.owner == dead, listed.value.isOpen else { continue }
            try await metadata.update(key, as: StreamRecord.self, alsoRequiring: replay.conditions) { current throws(LogError) in
                guard var closed = current, closed.owner == dead, closed.isOpen else { return nil }
                closed.isOpen = false
                closed.closedEnd = closed.tailsEnd
                return closed
            }
        }
    }
}
