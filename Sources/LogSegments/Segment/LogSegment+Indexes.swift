//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel
internal import NIOCore
internal import RuntimeEnvironment
internal import Synchronization

extension LogSegment {
    /// Notes a batch at the segment's end, which has been written. The log's worker only.
    func note(
        _ header: RecordBatchHeader, _ bytes: TailCache.Entry? = nil, position: Int64, indexIntervalBytes: Int64,
        tailBytesMax: Int = 0
    ) {
        state.withLock { state in
            state.note(header, bytes, position: position, baseOffset: baseOffset, indexIntervalBytes: indexIntervalBytes)
            state.tailWasAppended = true
            if let bytes { state.limitTail(adding: bytes, max: tailBytesMax) }
        }
    }

    /// Entries in the fuller of the two indexes.
    var indexEntryCounts: (offsets: Int, times: Int) {
        state.withLock { ($0.offsets?.entries.count ?? 0, $0.times?.entries.count ?? 0) }
    }

    func isIndexFull(segmentIndexBytes: Int64) -> Bool {
        let counts = indexEntryCounts
        return counts.offsets >= Int(segmentIndexBytes) / OffsetIndex.entrySize
            || counts.times >= Int(segmentIndexBytes) / TimeIndex.entrySize - 1
    }

    /// Both indexes, read from their files if they are not in memory. An index that is missing or damaged is made anew from the log.
    func indexes() throws(SegmentError) -> (offsets: OffsetIndex, times: TimeIndex) {
        if let loaded = loadedIndexes() { return loaded }
        let size = self.size
        if let offsets = OffsetIndex(decoding: try contents(.offsetIndex) ?? ByteBuffer(integer: UInt8(1)), logSize: size),
            let times = TimeIndex(decoding: try contents(.timeIndex) ?? ByteBuffer(integer: UInt8(1)))
        {
            return state.withLock { state in
                state.adopt(offsets, times)
                return (offsets, times)
            }
        }
        try rebuildIndexes()
        return loadedIndexes() ?? (OffsetIndex(), TimeIndex())
    }

    func loadedIndexes() -> (offsets: OffsetIndex, times: TimeIndex)? {
        state.withLock { state in
            state.wasUsed = true
            guard let offsets = state.offsets, let times = state.times else { return nil }
            return (offsets, times)
        }
    }

    /// The transactions aborted here.
    package func abortedTransactions() throws(SegmentError) -> [TransactionIndex.Entry] {
        if let loaded = state.withLock({ $0.transactions }) { return loaded.entries }
        let index: TransactionIndex
        if let bytes = try contents(.transactionIndex) {
            guard let decoded = TransactionIndex(decoding: bytes) else {
                throw .corrupt("\(path(.transactionIndex)): not a transaction index; remove it to have it made anew from the log")
            }
            index = decoded
        } else {
            index = TransactionIndex()
        }
        state.withLock { state in
            state.transactions = index
            state.transactionsStored = index.entries.count
        }
        return index.entries
    }

    func noteAborted(_ entry: TransactionIndex.Entry) throws(SegmentError) {
        _ = try abortedTransactions()
        state.withLock { $0.transactions?.entries.append(entry) }
    }

    /// The largest timestamp, and the offset of the last record of its batch. nil for a segment without one.
    package func largestTimestamp() throws(SegmentError) -> (timestamp: Timestamp, offset: Offset)? {
        if let known = state.withLock({ state in state.maxTimestamp.map { ($0, state.offsetOfMaxTimestamp) } }) {
            return known.0 == .none ? nil : known
        }
        if let last = try indexes().times.entries.last {
            return state.withLock { state in
                state.maxTimestamp = last.timestamp
                state.offsetOfMaxTimestamp = baseOffset + Int64(last.relativeOffset)
                return (last.timestamp, state.offsetOfMaxTimestamp)
            }
        }
        try rebuildIndexes()
        let found = state.withLock { ($0.maxTimestamp ?? Timestamp.none, $0.offsetOfMaxTimestamp) }
        return found.0 == .none ? nil : found
    }

    /// Writes what the index files lack. `final`: nothing more will come, so the largest timestamp gets its entry.
    /// `trims`: whatever the files hold beyond is cut off. `atomically`: a crash leaves the old files or the new ones, durable on
    /// return; for indexes made anew, of which nothing is stored yet.
    func storeIndexes(final: Bool, trims: Bool = false, atomically: Bool = false) throws(SegmentError) {
        let pending = state.withLock { state -> (ByteBuffer, Int64, ByteBuffer, Int64, ByteBuffer?)? in
            guard var times = state.times, let offsets = state.offsets else { return nil }
            if final, let timestamp = state.maxTimestamp, timestamp != .none {
                times.appendIfLater(
                    timestamp: timestamp, relativeOffset: Int32(truncatingIfNeeded: state.offsetOfMaxTimestamp - baseOffset))
                state.times = times
            }
            let transactions = state.transactions.flatMap { $0.entries.count != state.transactionsStored ? $0.encode() : nil }
            return (
                offsets.encode(from: min(state.offsetsStored, offsets.entries.count)),
                Int64(min(state.offsetsStored, offsets.entries.count) * OffsetIndex.entrySize),
                times.encode(from: min(state.timesStored, times.entries.count)),
                Int64(min(state.timesStored, times.entries.count) * TimeIndex.entrySize), transactions
            )
        }
        guard let (offsets, offsetsAt, times, timesAt, transactions) = pending else { return }
        if atomically {
            precondition(offsetsAt == 0 && timesAt == 0, "indexes are replaced as a whole")
            try onDisk { () throws(DiskError) in
                try disk.replaceFile(path(.offsetIndex), with: offsets)
                try disk.replaceFile(path(.timeIndex), with: times)
                if let transactions { try disk.replaceFile(path(.transactionIndex), with: transactions) }
            }
        } else {
            try store(offsets, at: offsetsAt, .offsetIndex, trims: final || trims)
            try store(times, at: timesAt, .timeIndex, trims: final || trims)
            if let transactions { try store(transactions, at: 0, .transactionIndex, trims: true) }
        }
        state.withLock { state in
            state.offsetsStored = state.offsets?.entries.count ?? 0
            state.timesStored = state.times?.entries.count ?? 0
            state.transactionsStored = state.transactions?.entries.count ?? state.transactionsStored
        }
    }

    /// Makes both indexes anew from the batches' headers, in memory and in the files.
    private func rebuildIndexes() throws(SegmentError) {
        // One reader at a time; who waited finds them made.
        try rebuild.withLock { _ throws(SegmentError) in
            if state.withLock({ $0.offsets != nil && $0.times != nil && $0.maxTimestamp != nil }) { return }
            try rebuildIndexesAlone()
        }
    }

    private func rebuildIndexesAlone() throws(SegmentError) {
        let file = try openFile()
        let (size, endOffset) = state.withLock { ($0.size, $0.endOffset) }
        var fresh = State(size: 0, endOffset: baseOffset, isSealed: false, offsetOfMaxTimestamp: baseOffset)
        fresh.offsets = OffsetIndex()
        fresh.times = TimeIndex()
        var cursor = BatchCursor(file.file, from: 0, to: size, windowSize: 1 << 16)
        while let (header, position) = try cursor.next() {
            fresh.note(header, position: position, baseOffset: baseOffset, indexIntervalBytes: Self.rebuildIntervalBytes)
        }
        guard cursor.position == size || fresh.endOffset >= endOffset else {
            throw .corrupt("\(path(.log)): the batches end at byte \(cursor.position) of \(size)")
        }
        state.withLock { state in
            state.offsets = fresh.offsets
            state.times = fresh.times
            state.offsetsStored = 0
            state.timesStored = 0
            state.maxTimestamp = fresh.maxTimestamp ?? Timestamp.none
            state.offsetOfMaxTimestamp = fresh.offsetOfMaxTimestamp
            state.firstTimestamp = fresh.firstTimestamp
        }
        // Readers trust what a sealed segment's files hold, and so does the next start.
        try storeIndexes(final: true, atomically: isSealed)
    }

    /// Kafka's default `index.interval.bytes`; how dense an index is has no bearing on its meaning.
    private static var rebuildIntervalBytes: Int64 { 4096 }

    private func contents(_ kind: SegmentFileKind) throws(SegmentError) -> ByteBuffer? {
        do { return try disk.readFile(path(kind)) } catch {
            if error.code == .notFound { return nil }
            throw .disk(error)
        }
    }

    /// `trims` cuts the file after these bytes.
    private func store(_ bytes: ByteBuffer, at position: Int64, _ kind: SegmentFileKind, trims: Bool) throws(SegmentError) {
        guard bytes.readableBytes > 0 || trims else { return }
        try onDisk { () throws(DiskError) in
            let file = try disk.open(path(kind), .readWriteCreate)
            defer { file.close() }
            if bytes.readableBytes > 0 { try file.write([bytes], at: position) }
            let end = position + Int64(bytes.readableBytes)
            if trims, try file.size() > end { try file.truncate(to: end) }
        }
    }
}

extension LogSegment.State {
    /// The batches of the tail that readers find without reading.
    private static let recentMax = 256

    mutating func note(
        _ header: RecordBatchHeader, _ bytes: TailCache.Entry? = nil, position: Int64, baseOffset: Offset, indexIntervalBytes: Int64
    ) {
        if size == 0 { firstTimestamp = header.maxTimestamp }
        if maxTimestamp == nil || header.maxTimestamp > maxTimestamp! {
            maxTimestamp = header.maxTimestamp
            offsetOfMaxTimestamp = header.lastOffset
        }
        if bytesSinceIndexEntry > indexIntervalBytes {
            offsets?.append(
                relativeOffset: Int32(truncatingIfNeeded: header.lastOffset - baseOffset),
                position: Int32(truncatingIfNeeded: position))
            times?.appendIfLater(
                timestamp: maxTimestamp!, relativeOffset: Int32(truncatingIfNeeded: offsetOfMaxTimestamp - baseOffset))
            bytesSinceIndexEntry = 0
        }
        bytesSinceIndexEntry += Int64(header.sizeInBytes)
        size = position + Int64(header.sizeInBytes)
        endOffset = header.endOffset
        remember(LogSegment.RecentBatch(endOffset: header.endOffset, position: position, bytes: bytes))
    }

    mutating func remember(_ batch: LogSegment.RecentBatch) {
        if recent.count >= Self.recentMax {
            for dropped in recent[..<(Self.recentMax / 2)] { tailBytes -= dropped.bytes?.charge ?? 0 }
            recent.removeFirst(Self.recentMax / 2)
            firstKept = max(0, firstKept - Self.recentMax / 2)
        }
        recent.append(batch)
    }

    mutating func adopt(_ offsets: OffsetIndex, _ times: TimeIndex) {
        guard self.offsets == nil || self.times == nil else { return }
        self.offsets = offsets
        self.times = times
        offsetsStored = offsets.entries.count
        timesStored = times.entries.count
    }
}
