//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import DequeModule
internal import LogEngine
internal import LogModel
internal import RuntimeEnvironment

/// What a ``SharedLog`` knows, guarded by its lock. No I/O here.
///
/// ```
///   logStart        committedEnd      tailsEnd = opened at     highWatermark     logEnd
///      |  objects        |  former owners'  |   own WAL, cache       |  cache, being  |
///      |                 |  tails           |   (synced)             |  synced        |
/// ```
/// Invariants: `logStart <= highWatermark <= logEnd`, `committedEnd <= highWatermark`; `cache` is contiguous and ends at `logEnd`;
/// `ranges` are contiguous, in order, and end at `committedEnd`.
struct SharedLogState {
    enum Role {
        case leader
        /// Closed by this broker at `logEnd`: somebody else goes on, what is not uploaded yet is uploaded behind.
        case closed
        /// Nothing more may be written by this broker.
        case failed(LogError)
    }

    var assignment: PartitionAssignment
    var configuration: LogConfiguration
    var role: Role = .leader
    var logStart: Offset
    var committedEnd: Offset
    /// Exclusive end of what former owners have still to upload; equal to `committedEnd` or below when they have done.
    var tailsEnd: Offset
    var tailBytes: Int64 = 0
    var highWatermark: Offset
    var logEnd: Offset
    var producers: ProducerStates
    /// As of the high watermark: what goes beside an upload must not tell of batches that may yet be lost.
    var syncedProducers: ProducerStates
    var epochs: EpochHistory
    var ranges: [RangeRecord]
    var rangeBytes: Int64
    /// Recent appends, oldest first: uploaded ones that are not evicted, then those not uploaded.
    var cache: Deque<CachedAppend> = []
    /// How many of `cache`, from the front, are synced.
    var syncedCount = 0
    /// Bytes of `cache` at or above `committedEnd`.
    var uncommittedBytes: Int64 = 0
    /// Signals to complete once the high watermark reaches the offset, in its order.
    var waiting: Deque<(end: Offset, signal: DurabilitySignal)> = []
    var listener: (@Sendable (any PartitionLog) -> Void)?
    var readAheads = ReadAheads()

    var cacheStart: Offset { cache.first?.offsets.lowerBound ?? logEnd }
    var hasUncommitted: Bool { (cache.last?.offsets.upperBound ?? committedEnd) > max(committedEnd, tailsEnd) }
    /// True while a former owner's tail is not in objects.
    var waitsForTail: Bool { tailsEnd > committedEnd }

    var offsets: LogOffsets {
        LogOffsets(
            logStart: logStart, localStart: logStart, highWatermark: highWatermark,
            lastStable: min(highWatermark, producers.firstOpenTransaction ?? highWatermark), logEnd: logEnd,
            latestTiered: committedEnd > logStart ? committedEnd - 1 : nil)
    }

    /// Index in `cache` of the append holding `offset`, or the first after it; `cache.count` if there is none.
    func cacheIndex(of offset: Offset) -> Int {
        var low = 0
        var high = cache.count
        while low < high {
            let middle = (low + high) / 2
            if cache[middle].offsets.upperBound > offset { high = middle } else { low = middle + 1 }
        }
        return low
    }

    /// Index in `ranges` of the range holding `offset`; `ranges.count` if there is none.
    func rangeIndex(of offset: Offset) -> Int {
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].end > offset { high = middle } else { low = middle + 1 }
        }
        return low
    }

    func error(_ code: LogError.Code, _ problem: String) -> LogError {
        LogError(code, "partition \(assignment.partition) \(problem)")
    }

    /// Whether the caller's idea of the leader epoch is ours (KIP-320).
    func checkEpoch(_ epoch: LeaderEpoch?) throws(LogError) {
        guard let epoch, epoch != .none else { return }
        if epoch < assignment.leaderEpoch {
            throw error(.fencedLeaderEpoch, "has leader epoch \(assignment.leaderEpoch), the request says \(epoch)")
        }
        if epoch > assignment.leaderEpoch {
            throw error(.unknownLeaderEpoch, "has leader epoch \(assignment.leaderEpoch) here, the request says \(epoch)")
        }
    }

    func checkLeads() throws(LogError) {
        switch role {
        case .leader: return
        case .closed: throw error(.notLeader, "has moved away from this broker")
        case .failed(let failure): throw failure
        }
    }

    // MARK: Changes

    mutating func appended(_ append: CachedAppend) {
        precondition(append.offsets.lowerBound == logEnd, "an append begins at the log end")
        cache.append(append)
        logEnd = append.offsets.upperBound
        uncommittedBytes += Int64(append.sizeInBytes)
        epochs.append(epoch: assignment.leaderEpoch, startOffset: append.offsets.lowerBound)
        producers.record(append.batches)
    }

    /// The oldest append not yet synced is.
    ///
    /// - Returns: Signals that are due.
    mutating func synced(_ offsets: Range<Offset>, position: Int64) -> [DurabilitySignal] {
        // A log that was let go has no cache any more.
        if syncedCount < cache.count, cache[syncedCount].offsets == offsets {
            cache[syncedCount].position = position
            syncedProducers.record(cache[syncedCount].batches)
            syncedCount += 1
        }
        guard offsets.upperBound > highWatermark else { return [] }
        precondition(offsets.upperBound <= logEnd, "the high watermark stays at or below the log end")
        highWatermark = offsets.upperBound
        var due: [DurabilitySignal] = []
        while let first = waiting.first, first.end <= highWatermark { due.append(waiting.removeFirst().signal) }
        return due
    }

    /// A signal for "everything below `end` is synced".
    mutating func signal(at end: Offset) -> DurabilitySignal {
        if end <= highWatermark { return .completed }
        let signal = DurabilitySignal()
        var index = waiting.endIndex
        while index > waiting.startIndex, waiting[index - 1].end > end { index -= 1 }
        waiting.insert((end, signal), at: index)
        return signal
    }

    mutating func failed(_ failure: LogError) -> [DurabilitySignal] {
        if case .failed = role { return [] }
        role = .failed(failure)
        let due = waiting.map(\.signal)
        waiting.removeAll()
        return due
    }

    /// `range` is committed and is the next.
    mutating func committed(_ range: RangeRecord) {
        guard range.start == committedEnd else { return }
        ranges.append(range)
        rangeBytes += range.recordBytes
        advance(to: range.end)
    }

    /// Takes over where the stream's past lies now, which others may have committed and merged meanwhile.
    mutating func adopt(_ fresh: [RangeRecord], committedEnd end: Offset) {
        guard end > committedEnd else { return }
        ranges = fresh
        rangeBytes = fresh.reduce(0) { $0 + $1.recordBytes }
        advance(to: end)
    }

    private mutating func advance(to end: Offset) {
        var index = cacheIndex(of: committedEnd)
        while index < cache.count, cache[index].offsets.upperBound <= end {
            uncommittedBytes -= Int64(cache[index].sizeInBytes)
            index += 1
        }
        committedEnd = end
    }

    /// Drops uploaded appends below `offset` from memory.
    ///
    /// - Returns: Bytes freed.
    mutating func evict(below offset: Offset) -> Int64 {
        var bytes: Int64 = 0
        while let first = cache.first, first.offsets.upperBound <= min(offset, committedEnd) {
            bytes += Int64(first.sizeInBytes)
            cache.removeFirst()
            syncedCount -= 1
        }
        return bytes
    }

    mutating func replaced(_ old: [RangeRecord], with merged: RangeRecord?) {
        guard let first = old.first, let at = ranges.firstIndex(where: { $0.start == first.start }), at + old.count <= ranges.count,
            Array(ranges[at..<at + old.count]) == old
        else { return }
        ranges.replaceSubrange(at..<at + old.count, with: merged.map { [$0] } ?? [])
        rangeBytes += (merged?.recordBytes ?? 0) - old.reduce(0) { $0 + $1.recordBytes }
    }

    /// How far leading ranges are past the topic's retention by time or size.
    func retentionStart(now: Timestamp) -> Offset {
        var start = logStart
        var bytes = rangeBytes
        for range in ranges {
            let isTooOld =
                configuration.retentionTime.map { now.milliseconds(since: range.maxTimestamp) > $0.inMilliseconds } ?? false
            let isTooMuch = configuration.retentionBytes.map { bytes - range.recordBytes >= $0 } ?? false
            guard isTooOld || isTooMuch else { break }
            start = max(start, range.end)
            bytes -= range.recordBytes
        }
        return start
    }
}
