//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import LogModel
public import RuntimeEnvironment

/// A segment that will not be written again, with the files that belong to it. Paths are relative to `disk`.
public struct SealedSegment: Sendable {
    public var disk: any Disk
    public var baseOffset: Offset
    /// Exclusive.
    public var endOffset: Offset
    public var maxTimestamp: Timestamp
    /// Bytes of the `.log` file.
    public var sizeInBytes: Int64
    public var logPath: String
    public var offsetIndexPath: String
    public var timeIndexPath: String
    /// nil if the segment holds no aborted transaction.
    public var transactionIndexPath: String?
    /// Producer state up to (not including) ``endOffset``; nil if there is no snapshot.
    public var producerSnapshotPath: String?
    /// The epochs of the segment's records: the first entry may begin before ``baseOffset``.
    public var epochs: [EpochStart]

    public init(
        disk: any Disk, baseOffset: Offset, endOffset: Offset, maxTimestamp: Timestamp, sizeInBytes: Int64, logPath: String,
        offsetIndexPath: String, timeIndexPath: String, transactionIndexPath: String?, producerSnapshotPath: String?,
        epochs: [EpochStart]
    ) {
        self.disk = disk
        self.baseOffset = baseOffset
        self.endOffset = endOffset
        self.maxTimestamp = maxTimestamp
        self.sizeInBytes = sizeInBytes
        self.logPath = logPath
        self.offsetIndexPath = offsetIndexPath
        self.timeIndexPath = timeIndexPath
        self.transactionIndexPath = transactionIndexPath
        self.producerSnapshotPath = producerSnapshotPath
        self.epochs = epochs
    }
}

/// Whom a follower follows and how far its log goes, when something about it began to be found out: what comes of that counts only while
/// this still holds.
public struct FollowerPosition: Sendable, Hashable {
    public var leaderEpoch: LeaderEpoch
    public var logEnd: Offset
    /// The latest that the log knows; ``LeaderEpoch/none`` for none.
    public var lastEpoch: LeaderEpoch

    public init(leaderEpoch: LeaderEpoch, logEnd: Offset, lastEpoch: LeaderEpoch) {
        self.leaderEpoch = leaderEpoch
        self.logEnd = logEnd
        self.lastEpoch = lastEpoch
    }
}

/// A log whose sealed segments may be copied elsewhere and then freed: what `TieredOffload` needs of the log below it.
public protocol SealedSegmentSource: AnyObject, Sendable {
    /// Sealed segments from the local start, in order, that lie wholly below `bound`.
    func sealedSegments(below bound: Offset) -> [SealedSegment]

    /// Removes local segments that lie wholly below `offset` from this replica's volume; the log start stays where it is, the
    /// local start rises. Never removes the active segment. Durable on return.
    ///
    /// - Returns: Bytes of `.log` files freed.
    @discardableResult
    func freeLocalSegments(below offset: Offset) async throws -> Int64

    /// With an owner above it, the log does not apply retention by itself: what is deleted, and when, is the owner's decision.
    func setRetentionIsManagedAbove(_ managed: Bool)

    /// Raises the log start offset (retention across both tiers). Durable on return.
    func raiseLogStart(to offset: Offset) async throws

    /// The epochs known to the log, rising.
    var epochHistory: [EpochStart] { get }

    /// nil unless this replica follows: it leads, or it is no longer held.
    var followerPosition: FollowerPosition? { get }

    /// For a follower whose leader's log begins in the tier: drops everything local, begins anew at `offset` with this history and,
    /// if given, this producer snapshot file's content. Durable on return.
    ///
    /// - Returns: False if the follower is no longer at `position`: nothing was done.
    func restart(
        at offset: Offset, logStart: Offset, epochs: [EpochStart], producerSnapshot: [UInt8]?, ifStill position: FollowerPosition
    ) async throws -> Bool
}
