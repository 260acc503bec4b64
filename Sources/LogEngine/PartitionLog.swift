//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import LogModel

/// When an append counts as done.
public enum RequiredAcks: Int16, Sendable, Hashable {
    case none = 0
    case leader = 1
    /// Held by the whole in-sync set (`isr`, `tiered`), or synced to the WAL (`shared`, where 1 means the same).
    case all = -1
}

/// How far a reader may see.
public enum ReadBound: Sendable, Hashable {
    case highWatermark
    /// `read_committed`: below the first open transaction.
    case lastStableOffset
    /// Followers and the log's own tools.
    case logEnd
}

/// Who reads. A follower's fetch also tells the leader how far the follower has come.
public enum Reader: Sendable, Hashable {
    case consumer
    /// `lastFetchedEpoch` is the epoch of the batch before the fetch offset, by which a diverging log is found (KIP-595's part in
    /// Fetch v12); ``LeaderEpoch/none`` where the version has none. `logStart` is where the follower's log begins; nil if it does not say.
    case replica(BrokerID, brokerEpoch: BrokerEpoch, lastFetchedEpoch: LeaderEpoch, logStart: Offset? = nil)
}

/// The offsets of one log, taken together. `logStart <= localStart`, `logStart <= highWatermark <= logEnd`,
/// `lastStable <= highWatermark`.
public struct LogOffsets: Sendable, Hashable {
    /// Lowest readable, over all tiers.
    public var logStart: Offset
    /// Lowest on this broker's volume.
    public var localStart: Offset
    /// Exclusive end of what consumers may read.
    public var highWatermark: Offset
    /// Exclusive end for `read_committed`.
    public var lastStable: Offset
    /// Next to be written.
    public var logEnd: Offset
    /// Highest in the object store, inclusive; nil if none.
    public var latestTiered: Offset?

    public init(
        logStart: Offset, localStart: Offset, highWatermark: Offset, lastStable: Offset, logEnd: Offset, latestTiered: Offset? = nil
    ) {
        self.logStart = logStart
        self.localStart = localStart
        self.highWatermark = highWatermark
        self.lastStable = lastStable
        self.logEnd = logEnd
        self.latestTiered = latestTiered
    }
}

/// The answer to an append: the offsets are taken; durability comes through ``durable``.
public struct AppendReceipt: Sendable {
    /// Half-open. For a repeated idempotent batch: the range it got the first time.
    public var range: Range<Offset>
    /// ``Timestamp/none`` unless the topic stamps log append time.
    public var logAppendTime: Timestamp
    public var logStart: Offset
    /// True if the batch was known already (an idempotent producer's retry) and nothing was written.
    public var isDuplicate: Bool
    /// Done, or failed, when the append has reached the level asked for.
    public var durable: DurabilitySignal

    public init(range: Range<Offset>, logAppendTime: Timestamp, logStart: Offset, isDuplicate: Bool, durable: DurabilitySignal) {
        self.range = range
        self.logAppendTime = logAppendTime
        self.logStart = logStart
        self.isDuplicate = isDuplicate
        self.durable = durable
    }
}

public struct ReadResult: Sendable {
    /// Whole batches from the one that holds the asked offset; the last may be cut off (as Kafka allows). Empty at the bound.
    public var records: LogSlices
    public var offsets: LogOffsets
    /// Aborted transactions that overlap the records, for `read_committed`.
    public var abortedTransactions: [AbortedTransaction]
    /// Set instead of records when the follower's log differs from the leader's: truncate to it (KIP-595).
    public var divergingEpoch: EpochEndOffset?

    public init(
        records: LogSlices, offsets: LogOffsets, abortedTransactions: [AbortedTransaction] = [],
        divergingEpoch: EpochEndOffset? = nil
    ) {
        self.records = records
        self.offsets = offsets
        self.abortedTransactions = abortedTransactions
        self.divergingEpoch = divergingEpoch
    }
}

public struct AbortedTransaction: Sendable, Hashable {
    public var producerID: Int64
    public var firstOffset: Offset

    public init(producerID: Int64, firstOffset: Offset) {
        self.producerID = producerID
        self.firstOffset = firstOffset
    }
}

/// The end (exclusive) of an epoch in a log: KIP-101's OffsetForLeaderEpoch.
public struct EpochEndOffset: Sendable, Hashable {
    public var epoch: LeaderEpoch
    public var endOffset: Offset

    public init(epoch: LeaderEpoch, endOffset: Offset) {
        self.epoch = epoch
        self.endOffset = endOffset
    }
}

public struct TimestampedOffset: Sendable, Hashable {
    public var offset: Offset
    public var timestamp: Timestamp
    public var leaderEpoch: LeaderEpoch

    public init(offset: Offset, timestamp: Timestamp, leaderEpoch: LeaderEpoch) {
        self.offset = offset
        self.timestamp = timestamp
        self.leaderEpoch = leaderEpoch
    }
}

/// One place where a record's batch physically lies.
public struct PhysicalCopy: Sendable, Hashable, Codable {
    public var medium: Medium
    /// Absolute path of a file, or the object's URL.
    public var location: String
    /// Half-open byte range of the batch in it.
    public var byteRange: Range<Int64>
    /// True if the bytes were found there by reading them back (not only by an index's word).
    public var crc32c: UInt32?
    /// Why the copy could not be read back; nil if it was.
    public var problem: String?

    public init(medium: Medium, location: String, byteRange: Range<Int64>, crc32c: UInt32?, problem: String? = nil) {
        self.medium = medium
        self.location = location
        self.byteRange = byteRange
        self.crc32c = crc32c
        self.problem = problem
    }
}

/// One partition's log on this broker. All calls are safe from any thread.
public protocol PartitionLog: AnyObject, Sendable {
    var partition: PartitionID { get }
    /// As last applied.
    var assignment: PartitionAssignment { get }
    /// A consistent snapshot.
    var offsets: LogOffsets { get }

    /// Appends batches at the log end and assigns their offsets.
    ///
    /// Does not block: offsets and order are fixed on return, disk work runs behind. Batches of calls that return in order lie
    /// in order. Idempotent producers' sequences are checked here.
    ///
    /// - Parameters:
    ///   - batches: Verified; the buffer is patched in place and retained until written.
    ///   - epoch: The caller's idea of the leader epoch; nil for "whatever it is" (Produce carries none).
    /// - Throws: ``LogError/Code/notLeader``, ``LogError/Code/fencedLeaderEpoch``, ``LogError/Code/notEnoughReplicas`` (acks all only),
    ///   ``LogError/Code/recordTooLarge``, ``LogError/Code/outOfOrderSequence``, ``LogError/Code/overloaded``, … Nothing was written.
    func append(_ batches: RecordBatches, acks: RequiredAcks, epoch: LeaderEpoch?) throws(LogError) -> AppendReceipt

    /// Reads from the batch holding `offset` up to `bound`.
    ///
    /// - Parameters:
    ///   - maxBytes: Bound on the records' bytes; the first batch comes whole even if larger, when `minOneBatch`.
    ///   - currentLeaderEpoch: The reader's idea; nil if it has none.
    /// - Throws: ``LogError/Code/offsetOutOfRange`` below log start or above the end, ``LogError/Code/notLeader``,
    ///   ``LogError/Code/fencedLeaderEpoch``, ``LogError/Code/unknownLeaderEpoch``, ``LogError/Code/corruptLog``, …
    func read(
        from offset: Offset, maxBytes: Int, minOneBatch: Bool, bound: ReadBound, reader: Reader, currentLeaderEpoch: LeaderEpoch?
    ) async throws(LogError) -> ReadResult

    /// Whether a consumer's ``read(from:maxBytes:minOneBatch:bound:reader:currentLeaderEpoch:)`` at `offset` has to ask another machine, which
    /// may take its time.
    func readsRemotely(from offset: Offset) -> Bool

    /// The first record with a timestamp at or after `timestamp`; nil if there is none. Granularity: the record for
    /// uncompressed batches, the batch for compressed ones.
    func offset(forTimestamp timestamp: Timestamp) async throws(LogError) -> TimestampedOffset?

    /// The record with the highest timestamp; nil for an empty log.
    func offsetOfMaxTimestamp() async throws(LogError) -> TimestampedOffset?

    /// The largest epoch at or below `epoch` and its end offset; nil if the log knows none (KIP-279).
    func endOffset(forEpoch epoch: LeaderEpoch) throws(LogError) -> EpochEndOffset?

    /// Epoch of the record at `offset` (or of the log end).
    func leaderEpoch(at offset: Offset) -> LeaderEpoch?

    /// Raises the log start to `offset` (at most the high watermark). Durable on return; space is freed later.
    ///
    /// - Returns: The new log start.
    func deleteRecords(before offset: Offset) async throws(LogError) -> Offset

    /// The lowest log start among this replica and those of the others for which `isLive` holds (KIP-107): what lies below is gone from all
    /// of them. -1 while one has not said where its log begins. Its rise is progress.
    ///
    /// - Throws: ``LogError/Code/notLeader``.
    func lowWatermark(isLive: (BrokerID) -> Bool) throws(LogError) -> Offset

    /// Closes the active segment, if the engine has such, so that it may be offloaded.
    func roll() async throws(LogError)

    /// All that was appended before the call is on the medium on return.
    func flush() async throws(LogError)

    /// Bytes this replica holds, by medium.
    func footprint() async throws(LogError) -> Footprint

    /// Log bytes from log start to log end as consumers see them: what `DescribeLogDirs` reports.
    var sizeInBytes: Int64 { get }

    /// How far behind the leader this replica is, in records; 0 on the leader.
    var offsetLag: Int64 { get }

    /// Every physical place of the batch holding `offset` that this broker knows, each read back.
    func physicalCopies(of offset: Offset) async throws(LogError) -> [PhysicalCopy]

    /// Calls `listener` after each advance of the high watermark, log end, low watermark or leadership, from any thread; it must be quick.
    /// One listener; setting replaces.
    func setProgressListener(_ listener: (@Sendable (any PartitionLog) -> Void)?)
}

extension PartitionLog {
    /// Where all records are at hand, or the engine bounds its reads itself.
    public func readsRemotely(from offset: Offset) -> Bool { false }

    /// Where one broker's log is all there is.
    public func lowWatermark(isLive: (BrokerID) -> Bool) throws(LogError) -> Offset { offsets.logStart }
}
