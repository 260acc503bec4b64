//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogEngine
import LogModel
import NIOCore
import RecordCompression
import RuntimeEnvironment

/// One partition's batches and what is known of them. A value without I/O or clock: every decision of this engine is here.
struct LogContent: Sendable {
    struct Batch: Sendable {
        var header: RecordBatchHeader
        var bytes: ByteBuffer
    }

    /// By offset, back to back; the first may begin below ``logStart``.
    private(set) var batches: [Batch] = []
    private(set) var logStart = Offset.zero
    private(set) var logEnd = Offset.zero
    private(set) var sizeInBytes: Int64 = 0
    private(set) var epochs = EpochHistory()
    private(set) var producers = ProducerStates()

    var offsets: LogOffsets {
        LogOffsets(logStart: logStart, localStart: logStart, highWatermark: logEnd, lastStable: logEnd, logEnd: logEnd)
    }

    /// The range of an append, and whether it was there before.
    mutating func append(
        _ batches: RecordBatches, epoch: LeaderEpoch, logAppendTime: Timestamp?
    ) throws(LogError) -> (range: Range<Offset>, isDuplicate: Bool) {
        if case .duplicate(let range) = try producers.check(batches) { return (range, true) }
        // A copy to size: the sender's slice would keep its whole network buffer alive as long as the log.
        var batches = batches
        let range = batches.assign(baseOffset: logEnd, epoch: epoch, logAppendTime: logAppendTime)
        let bytes = batches.buffer.copyToSize()
        for entry in batches.entries {
            let slice = bytes.getSlice(at: entry.position, length: entry.header.sizeInBytes)!
            self.batches.append(Batch(header: entry.header, bytes: slice))
        }
        producers.record(batches)
        epochs.append(epoch: epoch, startOffset: range.lowerBound)
        logEnd = range.upperBound
        sizeInBytes += Int64(bytes.readableBytes)
        return (range, false)
    }

    /// Batches from the one that holds `offset`, as many as `maxBytes` allows.
    func read(from offset: Offset, maxBytes: Int, minOneBatch: Bool) throws(LogError) -> LogSlices {
        guard offset >= logStart, offset <= logEnd else {
            throw LogError(.offsetOutOfRange, "offset \(offset) lies outside \(logStart)...\(logEnd)")
        }
        var slices: [LogSlice] = []
        var rest = maxBytes
        for batch in batches[index(of: offset)...] {
            guard batch.bytes.readableBytes <= rest || (minOneBatch && slices.isEmpty) else { break }
            slices.append(.bytes(batch.bytes))
            rest -= batch.bytes.readableBytes
        }
        return LogSlices(slices)
    }

    func batch(at offset: Offset) -> Batch? {
        guard offset >= logStart, offset < logEnd else { return nil }
        return batches[index(of: offset)]
    }

    func firstRecord(atOrAfter timestamp: Timestamp) throws(LogError) -> TimestampedOffset? {
        for batch in batches where batch.header.maxTimestamp >= timestamp {
            // A batch that begins below the log start may hold its match there, and the next batch the answer.
            if let found = try record(in: batch, { $0 >= logStart && $1 >= timestamp }) { return found }
        }
        return nil
    }

    func recordWithMaxTimestamp() throws(LogError) -> TimestampedOffset? {
        guard let highest = batches.map(\.header.maxTimestamp).max() else { return nil }
        return try firstRecord(atOrAfter: highest)
    }

    /// Raises the log start to `offset`, at most the log end, and lets go of batches that lie wholly below.
    mutating func trim(before offset: Offset) throws(LogError) {
        guard offset <= logEnd else {
            throw LogError(.offsetOutOfRange, "records before \(offset) cannot be deleted: the log ends at \(logEnd)")
        }
        guard offset > logStart else { return }
        logStart = offset
        let dropped = batches[..<index(of: offset)]
        sizeInBytes -= dropped.reduce(0) { $0 + Int64($1.bytes.readableBytes) }
        batches.removeSubrange(dropped.indices)
        epochs.truncateFromStart(offset)
    }

    /// The log start by `retention.bytes` and `retention.ms`, batch by batch: there are no segments to wait for.
    func retentionStart(_ configuration: LogConfiguration, now: Timestamp) -> Offset {
        var start = logStart
        var rest = sizeInBytes
        for batch in batches {
            let isTooMuch = configuration.retentionBytes.map { rest > $0 } ?? false
            let isTooOld = configuration.retentionTime.map {
                now.milliseconds(since: batch.header.maxTimestamp) > $0.inMilliseconds
            }
            guard isTooMuch || isTooOld ?? false else { break }
            rest -= Int64(batch.bytes.readableBytes)
            start = batch.header.endOffset
        }
        return start
    }

    /// Of the first batch that ends after `offset`; the count if none does.
    private func index(of offset: Offset) -> Int {
        var low = 0
        var high = batches.count
        while low < high {
            let middle = (low + high) / 2
            if batches[middle].header.endOffset > offset { high = middle } else { low = middle + 1 }
        }
        return low
    }

    /// The first record of `batch` that matches.
    private func record(in batch: Batch, _ matches: (Offset, Timestamp) -> Bool) throws(LogError) -> TimestampedOffset? {
        let header = batch.header
        do {
            let parsed = try RecordBatches(verifying: batch.bytes)
            guard let found = try parsed.first(of: parsed.entries[0], where: matches) else { return nil }
            return TimestampedOffset(
                offset: max(found.offset, logStart), timestamp: found.timestamp, leaderEpoch: header.partitionLeaderEpoch)
        } catch {
            throw LogError(.corruptLog, "the batch at offset \(header.baseOffset) cannot be read", cause: error)
        }
    }
}

extension ByteBuffer {
    fileprivate func copyToSize() -> ByteBuffer {
        var copy = ByteBuffer()
        copy.reserveCapacity(readableBytes)
        copy.writeImmutableBuffer(self)
        return copy
    }
}
