//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import LogEngine
public import LogModel
public import LogSegments
public import NIOCore

/// What a follower asks of one partition's leader.
public struct ReplicaFetchRequest: Sendable, Hashable {
    public var partition: PartitionID
    public var fetchOffset: Offset
    public var currentLeaderEpoch: LeaderEpoch
    /// Of the batch before `fetchOffset`, by which the leader finds where the logs part; none for an empty log.
    public var lastFetchedEpoch: LeaderEpoch
    /// The follower's own.
    public var logStart: Offset
    public var maxBytes: Int

    public init(
        partition: PartitionID, fetchOffset: Offset, currentLeaderEpoch: LeaderEpoch, lastFetchedEpoch: LeaderEpoch,
        logStart: Offset,
        maxBytes: Int
    ) {
        self.partition = partition
        self.fetchOffset = fetchOffset
        self.currentLeaderEpoch = currentLeaderEpoch
        self.lastFetchedEpoch = lastFetchedEpoch
        self.logStart = logStart
        self.maxBytes = maxBytes
    }
}

/// A leader's answer for one partition.
public struct ReplicaFetchResponse: Sendable, Hashable {
    /// Why there is none, as the leader's log said it; nil for success.
    public var failure: LogError.Code?
    /// Whole batches, the last perhaps cut off.
    public var records: ByteBuffer
    public var highWatermark: Offset
    public var logStart: Offset
    /// Set instead of records when the logs differ: the follower truncates.
    public var divergingEpoch: EpochEndOffset?

    public init(
        failure: LogError.Code? = nil, records: ByteBuffer = ByteBuffer(), highWatermark: Offset = Offset(-1),
        logStart: Offset = Offset(-1), divergingEpoch: EpochEndOffset? = nil
    ) {
        self.failure = failure
        self.records = records
        self.highWatermark = highWatermark
        self.logStart = logStart
        self.divergingEpoch = divergingEpoch
    }
}

/// Where a follower may begin anew: ListOffsets earliest, earliest local and latest, as a replica asks them.
public struct LeaderOffsets: Sendable, Hashable {
    public var logStart: Offset
    /// Lowest on the leader's volume.
    public var localStart: Offset
    public var logEnd: Offset
    /// Of the record before ``localStart``; ``LeaderEpoch/none`` if the log has none there.
    public var epochBeforeLocalStart: LeaderEpoch

    public init(logStart: Offset, localStart: Offset, logEnd: Offset, epochBeforeLocalStart: LeaderEpoch = .none) {
        self.logStart = logStart
        self.localStart = localStart
        self.logEnd = logEnd
        self.epochBeforeLocalStart = epochBeforeLocalStart
    }
}

/// What a follower that is to begin from the tier knows of its leader, and asks it.
public struct TierStart: Sendable {
    public var leader: LeaderOffsets
    /// Where the follower was when it learnt that it has to.
    public var position: FollowerPosition
    /// ``ReplicaFetcher/endOffset(forEpoch:of:from:leaderEpoch:)`` of the leader.
    public var endOffset: @Sendable (LeaderEpoch) async throws -> EpochEndOffset?

    public init(
        leader: LeaderOffsets, position: FollowerPosition,
        endOffset: @escaping @Sendable (LeaderEpoch) async throws -> EpochEndOffset?
    ) {
        self.leader = leader
        self.position = position
        self.endOffset = endOffset
    }
}

/// Carries a follower's questions to leaders: Kafka's Fetch and ListOffsets over TCP in a broker.
public protocol ReplicaFetcher: Sendable {
    /// One Fetch for several partitions. The leader may wait up to `maxWait` for `minBytes`.
    ///
    /// - Parameter lane: 0 for replicas that are in sync, 1 for those that catch up. Calls of different lanes to one leader run at the
    ///   same time and must not wait for each other: a connection each.
    /// - Returns: Answers by partition; one that is missing is asked again.
    /// - Throws: if there is no answer: the follower backs off.
    func fetch(
        from leader: BrokerID, lane: Int, requests: [ReplicaFetchRequest], maxWait: Duration, minBytes: Int, maxBytes: Int
    ) async throws -> [PartitionID: ReplicaFetchResponse]

    /// Where answers of a lane arrive, so that the lane's work may be done there; nil for anywhere.
    func executor(ofLane lane: Int, to leader: BrokerID) -> (any TaskExecutor)?

    /// The ends of the leader's log.
    func offsets(of partition: PartitionID, from leader: BrokerID, leaderEpoch: LeaderEpoch) async throws -> LeaderOffsets

    /// Where `epoch`, or the largest below it, ends in the leader's log (OffsetForLeaderEpoch); nil if the leader knows none.
    func endOffset(
        forEpoch epoch: LeaderEpoch, of partition: PartitionID, from leader: BrokerID, leaderEpoch: LeaderEpoch
    ) async throws -> EpochEndOffset?
}

extension ReplicaFetcher {
    public func executor(ofLane lane: Int, to leader: BrokerID) -> (any TaskExecutor)? { nil }
}
