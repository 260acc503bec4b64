//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import LogEngine
internal import LogModel
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

    /// Bytes of batches held at a time.
    private static let chunkBytes = 64 << 20

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
    func recover(_ broker: BrokerID, upTo epoch: BrokerEpoch, volume: SharedStorageEngine.WALVolume?) async throws(LogError) {
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
            return
        }
        let dead = StreamWriter(broker: broker, epoch: fenced.epoch)
        let claim = Transaction.Condition.value(key, SharedMetadata.encode(fenced))
        let conditions = [claim] + (ownership.map { [$0] } ?? [])

        let objects = try await replay(dead, fenced, volume, requiring: conditions)
        try await closeStreams(of: dead, requiring: conditions)
        var recovered = fenced
        recovered.state = .recovered
        guard try await metadata.commit(Transaction(conditions: conditions, operations: [SharedMetadata.put(key, recovered)]))
        else {
            throw LogError(.notAvailable, "the recovery of broker \(broker)'s write-ahead log was taken over by another broker")
        }
        await objects?.removeAll()
    }

    // MARK: Replay

    /// - Returns: The reader of the log's objects, if it lies in objects.
    private func replay(
        _ dead: StreamWriter, _ wal: WALOwnership, _ volume: SharedStorageEngine.WALVolume?,
        requiring conditions: [Transaction.Condition]
    ) async throws(LogError) -> ObjectWALReader? {
        if wal.isInObjects == true {
            let reader = ObjectWALReader(
                store: store, clock: clock, broker: dead.broker, epoch: dead.epoch, from: try await metadata.trimNumber(of: wal))
            try await commitAll(of: dead, requiring: conditions) { bytes throws(LogError) in
                try await reader.nextRecords(bytesMax: bytes)
            }
            return reader
        }
        guard let volume else {
            throw LogError(
                .storageFailure,
                "the volume with the write-ahead log of broker \(dead.broker) cannot be reached from broker \(metadata.writer.broker)"
            )
        }
        try await replayRing(dead, disk: volume.disk, path: volume.path, requiring: conditions)
        return nil
    }

    private func commitAll(
        of dead: StreamWriter, requiring conditions: [Transaction.Condition],
        _ nextRecords: (Int) async throws(LogError) -> [WALReader.Record]
    ) async throws(LogError) {
        var progress: [StreamID: Progress] = [:]
        while true {
            let records = try await nextRecords(Self.chunkBytes)
            if records.isEmpty { return }
            try await commit(records, of: dead, &progress, requiring: conditions)
        }
    }

    private func replayRing(_ dead: StreamWriter, disk: any Disk, path: String, requiring conditions: [Transaction.Condition])
        async throws(LogError)
    {
        let disk = await worker.run { WALReader.wholestCopy(of: disk, path: path) }
        let header = try await worker.run { () throws(LogError) in try WriteAheadLog.readHeader(disk: disk, path: path) }
        guard let header else {
            throw LogError(
                .storageFailure,
                "the write-ahead log \(path) of broker \(dead.broker) is missing; it may hold acknowledged batches: bring its volume back"
            )
        }
        guard header.brokerID == dead.broker else {
            throw LogError(
                .corruptLog,
                "the write-ahead log \(path) belongs to broker \(header.brokerID), not to \(dead.broker); check wal.path")
        }
        // The run after the dead one had emptied the ring, which it does once all is committed, and died before it said so.
        guard header.epoch <= dead.epoch else { return }
        guard header.epoch == dead.epoch else {
            throw LogError(
                .corruptLog,
                "the write-ahead log \(path) is from epoch \(header.epoch) of broker \(dead.broker), the metadata know \(dead.epoch): an old copy of its volume"
            )
        }
        let reader = try await worker.run { () throws(LogError) in try WALReader(disk: disk, path: path, header: header) }
        defer { reader.close() }
        try await commitAll(of: dead, requiring: conditions) { bytes throws(LogError) in
            try await worker.run { () throws(LogError) in try reader.nextRecords(bytesMax: bytes) }
        }
    }

    private func commit(
        _ records: [WALReader.Record], of dead: StreamWriter, _ progress: inout [StreamID: Progress],
        requiring conditions: [Transaction.Condition]
    ) async throws(LogError) {
        // A stream's offsets may have gaps here where another broker had it meanwhile; each stretch is committed by itself.
        var stretches: [StreamID: [[WALReader.Record]]] = [:]
        for record in records {
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
            for (stream, parts) in stretches where round < parts.count {
                if let cut = try await cut(stream, parts[round], of: dead, &progress) { cuts.append(cut) }
            }
            try await upload(cuts, of: dead, requiring: conditions)
        }
    }

    /// What of `records` is in no object and is `dead`'s to bring; nil if nothing.
    private func cut(
        _ stream: StreamID, _ records: [WALReader.Record], of dead: StreamWriter, _ progress: inout [StreamID: Progress]
    ) async throws(LogError) -> UploadCut? {
        guard let current = try await metadata.stream(stream)?.value else { return nil }
        guard current.isOpen && current.owner == dead || current.tails.contains(where: { $0.writer == dead }) else { return nil }
        var state =
            progress[stream]
            ?? Progress(
                producers: ProducerStates(entries: current.producers), epochs: EpochHistory(current.epochs),
                stateEnd: current.stateEnd)
        var chunks: [ObjectBuilder.Chunk] = []
        for record in records where record.header.offsets.upperBound > current.committedEnd {
            let batches: RecordBatches
            do throws(RecordBatchError) {
                batches = try RecordBatches(verifying: record.body)
            } catch {
                throw LogError(
                    .corruptLog,
                    "stream \(stream) has a damaged batch at offset \(record.header.offsets.lowerBound) in the write-ahead log of broker \(dead.broker)",
                    cause: error)
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
        progress[stream] = state
        guard let first = chunks.first, let last = chunks.last else { return nil }
        return UploadCut(
            stream: stream, start: first.start, end: last.end, chunks: chunks, producers: state.producers.entries,
            epochs: state.epochs.entries,
            bytes: chunks.reduce(0) { $0 + Int64($1.data.readableBytes) })
    }

    /// Uploads until each cut is committed, or found to be needless. Other former owners' tails are waited for.
    private func upload(_ cuts: [UploadCut], of dead: StreamWriter, requiring conditions: [Transaction.Condition])
        async throws(LogError)
    {
        var rest = cuts
        let deadline = clock.now() + settings.openTimeout
        while !rest.isEmpty {
            let ready = try await ready(rest)
            if !ready.isEmpty {
                let outcome = try await putter.upload(ready, from: dead, requiring: conditions).outcome
                guard outcome.stale.isEmpty else {
                    throw LogError(.notAvailable, "a commit's answer was lost; the recovery of broker \(dead.broker) begins again")
                }
                let done = Set(ready.map(\.stream)).subtracting(outcome.early)
                rest.removeAll { done.contains($0.stream) }
            }
            if rest.isEmpty { return }
            guard clock.now() < deadline else {
                throw LogError(
                    .notAvailable,
                    "\(rest.count) streams of broker \(dead.broker) wait for another former owner to upload its last batches")
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

    /// Closes every stream that `dead` had open, at the end of what its WAL gave.
    private func closeStreams(of dead: StreamWriter, requiring conditions: [Transaction.Condition]) async throws(LogError) {
        for (key, listed) in try await metadata.list(SharedKey.streams, as: StreamRecord.self) {
            if let tail = listed.value.tails.first(where: { $0.writer == dead }) {
                throw LogError(
                    .corruptLog,
                    "partition \(listed.value.topic)-\(key) lacks offsets \(tail.start) to \(tail.end): broker \(dead.broker) had announced them, its write-ahead log does not hold them"
                )
            }
            guard listed.value.owner == dead, listed.value.isOpen else { continue }
            try await metadata.update(key, as: StreamRecord.self, alsoRequiring: conditions) { current throws(LogError) in
                guard var closed = current, closed.owner == dead, closed.isOpen else { return nil }
                closed.isOpen = false
                closed.closedEnd = closed.tailsEnd
                return closed
            }
        }
    }
}
