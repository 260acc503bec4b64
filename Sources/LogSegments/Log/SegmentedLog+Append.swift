//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel
internal import NIOCore
internal import RuntimeEnvironment
internal import Synchronization

extension SegmentedLog {
    /// One gathered write. Larger ones gain nothing, and delay the first acknowledgement.
    private static let writeBytesMax = 4 << 20
    /// Index entries kept in memory before they are written behind the log. After a crash they are made anew.
    private static let indexEntriesBehindMax = 512

    /// Writes chunks at the log end, rolling as the settings ask. In the page cache, and readable, on return. On the log's worker only.
    ///
    /// - Parameter areCold: Nobody will read them soon, so that they need not stay in the page cache.
    /// - Returns: How many chunks were written whole, and what stopped the rest. A chunk that was stopped midway leaves no byte that
    ///   a reader sees, unless it spans segments.
    package func append(_ chunks: [AppendChunk], areCold: Bool = false) -> (written: Int, failure: SegmentError?) {
        var group = WriteGroup(isCold: areCold)
        do throws(SegmentError) {
            group.reserve(min(chunks.reduce(0) { $0 + $1.batchCount }, Self.batchesReservedMax))
            for (index, chunk) in chunks.enumerated() {
                try add(chunk, to: &group)
                if group.sizeInBytes >= Self.writeBytesMax || index == chunks.count - 1 { try write(&group) }
            }
            return (chunks.count, nil)
        } catch {
            let end = logEnd
            return (chunks.prefix { $0.endOffset <= end }.count, error)
        }
    }

    /// Batches of one segment that will be written together.
    private struct WriteGroup {
        var buffers: [ByteBuffer] = []
        var batches: [(header: RecordBatchHeader, control: ControlRecord?, bytes: TailCache.Entry?)] = []
        var sizeInBytes = 0
        let isCold: Bool

        init(isCold: Bool) { self.isCold = isCold }

        /// Makes room for so many batches, each in two buffers.
        mutating func reserve(_ count: Int) {
            batches.reserveCapacity(count)
            buffers.reserveCapacity(2 * count)
        }
    }

    /// Batches of one call for which room is made at once; beyond, a write of them is due soon in any case.
    private static let batchesReservedMax = 1_024

    private func add(_ chunk: AppendChunk, to group: inout WriteGroup) throws(SegmentError) {
        var start = 0
        for index in 0..<chunk.batchCount {
            let header = chunk.header(index)
            if mustRoll(before: header, pending: group) {
                if index > start { chunk.gather(start..<index, into: &group.buffers) }
                start = index
                try write(&group)
                try roll(at: header.baseOffset)
            }
            group.batches.append(
                (
                    header, header.isControl ? ControlRecord(batch: chunk.batch(index)) : nil,
                    tail.flatMap { chunk.kept(index, in: $0) }
                ))
            group.sizeInBytes += header.sizeInBytes
        }
        chunk.gather(start..<chunk.batchCount, into: &group.buffers)
    }

    private func mustRoll(before header: RecordBatchHeader, pending group: WriteGroup) -> Bool {
        let (active, settings) = state.withLock { ($0.segments[$0.segments.count - 1], $0.settings) }
        let (size, firstTimestamp) = active.state.withLock { ($0.size, $0.firstTimestamp) }
        let sizeBefore = size + Int64(group.sizeInBytes)
        guard sizeBefore > 0 else { return header.lastOffset - active.baseOffset > Int64(Int32.max) }
        if sizeBefore + Int64(header.sizeInBytes) > min(settings.segmentBytes, Int64(Int32.max)) { return true }
        if header.lastOffset - active.baseOffset > Int64(Int32.max) { return true }
        if let first = firstTimestamp ?? group.batches.first?.header.maxTimestamp, first != .none, header.maxTimestamp != .none,
            header.maxTimestamp.milliseconds(since: first) > settings.segmentAge.inMilliseconds
        {
            return true
        }
        return active.isIndexFull(segmentIndexBytes: settings.segmentIndexBytes)
    }

    private func write(_ group: inout WriteGroup) throws(SegmentError) {
        guard !group.batches.isEmpty else { return }
        defer { group = WriteGroup(isCold: group.isCold) }
        guard !state.withLock({ $0.isClosed }) else { throw .closed }
        let (active, interval) = state.withLock { ($0.segments[$0.segments.count - 1], $0.settings.indexIntervalBytes) }
        let file = try active.openFile(forWriting: true)
        let start = active.size
        let buffers = group.buffers
        do throws(DiskError) {
            if group.isCold { try file.file.writeDropping(buffers, at: start) } else { try file.file.write(buffers, at: start) }
        } catch {
            // Half a write may lie behind what readers see. The next write covers it, or recovery cuts it.
            try? file.file.truncate(to: start)
            throw .disk(error)
        }
        var position = start
        for (header, _, bytes) in group.batches {
            active.note(header, bytes, position: position, indexIntervalBytes: interval, tailBytesMax: tail?.logBytesMax ?? 0)
            position += Int64(header.sizeInBytes)
        }
        let batches = group.batches
        let (aborted, epochsChanged) = state.withLock { state in
            var aborted: [TransactionIndex.Entry] = []
            for (header, control, _) in batches { if let entry = state.note(header, control: control) { aborted.append(entry) } }
            state.logEnd = batches[batches.count - 1].header.endOffset
            state.sizeInBytes += position - start
            return (aborted, state.epochsAreDirty)
        }
        for entry in aborted { try active.noteAborted(entry) }
        if epochsChanged { try storeEpochs() }
        let counts = active.indexEntryCounts
        let stored = active.state.withLock { ($0.offsetsStored, $0.timesStored) }
        if counts.offsets - stored.0 + counts.times - stored.1 >= Self.indexEntriesBehindMax {
            try active.storeIndexes(final: false)
        }
    }

    /// Notes that this log's next records belong to `epoch`: its owner has become leader. Stored on return. On the log's worker only.
    package func beginEpoch(_ epoch: LeaderEpoch) throws(SegmentError) {
        let changed = state.withLock { state in
            guard epoch > state.epochs.latest?.epoch ?? .none else { return false }
            state.epochsAreDirty = state.epochs.append(epoch: epoch, startOffset: state.logEnd) || state.epochsAreDirty
            return state.epochsAreDirty
        }
        if changed { try storeEpochs() }
    }

    /// Replaces the epoch file. Synced only with the records: what it says of those above the recovery point is read off their batches after
    /// a crash.
    func storeEpochs() throws(SegmentError) {
        let epochs = state.withLock { state in
            state.epochsAreDirty = false
            state.epochsNeedSync = true
            return state.epochs
        }
        do throws(SegmentError) {
            try replace(LeaderEpochCheckpoint.fileName, with: LeaderEpochCheckpoint.encode(epochs))
        } catch {
            state.withLock { $0.epochsAreDirty = true }
            throw error
        }
    }

    /// Replaces a file of the directory by rename.
    func replace(_ name: String, with bytes: ByteBuffer, durably: Bool = false) throws(SegmentError) {
        try onDisk { () throws(DiskError) in
            let path = "\(directory)/\(name)"
            if durably { return try disk.replaceFile(path, with: bytes) }
            let file = try disk.open(path + ".tmp", .readWriteCreate)
            defer { file.close() }
            try file.truncate(to: 0)
            try file.write([bytes], at: 0)
            try disk.rename(path + ".tmp", to: path)
        }
    }
}
