//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogModel
internal import NIOCore
internal import RuntimeEnvironment
internal import Synchronization

/// A segment's passages between sealed and active, at start and at truncation. The log's worker only.
extension LogSegment {
    var isSealed: Bool { state.withLock { $0.isSealed } }

    /// What can be told of the index files without reading them: they are there and hold whole entries, and the last one lies within the
    /// log.
    func hasSaneIndexes() throws(SegmentError) -> Bool {
        guard size > 0 else { return true }
        do throws(DiskError) {
            let offsets = try disk.open(path(.offsetIndex), .readOnly)
            defer { offsets.close() }
            let times = try disk.open(path(.timeIndex), .readOnly)
            defer { times.close() }
            let (offsetBytes, timeBytes) = (try offsets.size(), try times.size())
            guard offsetBytes % Int64(OffsetIndex.entrySize) == 0, timeBytes % Int64(TimeIndex.entrySize) == 0 else { return false }
            if offsetBytes > 0 {
                var last = try offsets.readBytes(at: offsetBytes - Int64(OffsetIndex.entrySize), length: OffsetIndex.entrySize)
                let entry = last.readMultipleIntegers(as: (Int32, Int32).self)!
                // Zero: preallocated space of a file that was not closed.
                if entry == (0, 0) { return true }
                guard entry.0 > 0, entry.1 > 0, Int64(entry.1) < size else { return false }
            }
            return true
        } catch {
            if error.code == .notFound { return false }
            throw .disk(error)
        }
    }

    /// Forgets all that is known of the batches, before they are walked anew from the start.
    func resetForRebuild() {
        state.withLock { state in
            state.offsets = OffsetIndex()
            state.times = TimeIndex()
            state.transactions = TransactionIndex()
            state.offsetsStored = 0
            state.timesStored = 0
            // Whatever the file holds is replaced.
            state.transactionsStored = -1
            state.size = 0
            state.endOffset = baseOffset
            state.maxTimestamp = Timestamp.none
            state.offsetOfMaxTimestamp = baseOffset
            state.firstTimestamp = nil
            state.bytesSinceIndexEntry = 0
            state.forgetRecent()
            state.needsSync = true
        }
    }

    /// Writes indexes that were made anew.
    func storeRebuilt(atomically: Bool) throws(SegmentError) {
        if state.withLock({ $0.transactions?.entries.isEmpty ?? true }) {
            try onDisk { () throws(DiskError) in try disk.remove(path(.transactionIndex)) }
            state.withLock { $0.transactionsStored = 0 }
        }
        try storeIndexes(final: true, atomically: atomically)
    }

    /// Notes a batch while a trusted log's last segment is walked.
    func noteLast(_ header: RecordBatchHeader, position: Int64) {
        state.withLock { state in
            state.remember(RecentBatch(endOffset: header.endOffset, position: position))
            state.endOffset = header.endOffset
            if header.maxTimestamp > state.maxTimestamp ?? Timestamp.none {
                state.maxTimestamp = header.maxTimestamp
                state.offsetOfMaxTimestamp = header.lastOffset
            }
        }
    }

    /// Readies the segment for appends at `endOffset`.
    func activate(endOffset: Offset) throws(SegmentError) {
        _ = try openFile(forWriting: true)
        let (offsets, times) = size > 0 ? try indexes() : (OffsetIndex(), TimeIndex())
        _ = try abortedTransactions()
        let first = size > 0 ? try header(at: 0) : nil
        state.withLock { state in
            if state.offsets == nil { state.offsets = offsets }
            if state.times == nil { state.times = times }
            state.isSealed = false
            state.needsSync = true
            state.endOffset = endOffset
            state.firstTimestamp = first?.maxTimestamp
            // The walk saw the tail only; the time index knows what came before.
            if let last = times.entries.last, last.timestamp > state.maxTimestamp ?? Timestamp.none {
                state.maxTimestamp = last.timestamp
                state.offsetOfMaxTimestamp = baseOffset + Int64(last.relativeOffset)
            }
            if state.maxTimestamp == nil { state.maxTimestamp = Timestamp.none }
        }
    }
}
