//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import LogEngine
public import LogModel
public import LogSegments
internal import Logging
internal import NIOCore
internal import Synchronization

/// What a follower that begins from the tier knows of its leader's log: the tier may hold segments of leaders whose log was lost.
public struct LeaderLineage: Sendable {
    /// The tier is to serve what lies below: where the leader's volume begins (ListOffsets -4), or its tier ends (-5).
    public var start: Offset
    /// Of the record before ``start``.
    public var epoch: LeaderEpoch
    /// nil for the tier's.
    public var logStart: Offset?
    /// Where an epoch, or the largest below it, ends in the leader's log (OffsetForLeaderEpoch).
    public var endOffset: @Sendable (LeaderEpoch) async throws -> EpochEndOffset?

    public init(
        start: Offset, epoch: LeaderEpoch, logStart: Offset?,
        endOffset: @escaping @Sendable (LeaderEpoch) async throws -> EpochEndOffset?
    ) {
        self.start = start
        self.epoch = epoch
        self.logStart = logStart
        self.endOffset = endOffset
    }
}

extension TieredEngine {
    /// Begins a follower's log anew where its leader's volume begins, what lies below being in the tier (KIP-405): what the follower does when
    /// its fetch is answered with ``LogEngine/LogError/Code/offsetMovedToTier``.
    ///
    /// The epochs and the producers' state up to there come from the objects; no record does.
    /// - Parameter position: Where the follower was when it learnt of it; nil for where it is.
    /// - Returns: Where to fetch from; nil if the follower is no longer at `position`, and nothing was done.
    /// - Throws: ``LogEngine/LogError/Code/notAvailable`` if the metadata or the store does not answer, or does not have the segment yet: try again.
    public func rebuildFollower(
        _ partition: PartitionID, from leader: LeaderLineage, ifStill position: FollowerPosition? = nil
    ) async throws(LogError) -> Offset? {
        guard let log = state.withLock({ $0.logs[partition] }) else {
            throw LogError(.notLeader, "\(partition) is not held by this broker; refresh the metadata")
        }
        guard let position = position ?? log.source.followerPosition else { return nil }
        return try await log.restart(from: leader, ifStill: position)
    }

    /// Lets a replica that is new here begin where its leader's tier ends (KIP-1023), before it follows anybody. Where that does not
    /// work it begins as without it.
    func beginAtTierEnd(_ assignment: PartitionAssignment, _ configuration: LogConfiguration) async {
        let partition = assignment.partition
        guard let leaderTierEnd = parts.leaderTierEnd, let leader = assignment.leader, leader != parts.broker,
            assignment.replicas.contains(parts.broker), !assignment.inSyncReplicas.contains(parts.broker),
            tail.log(for: partition) == nil
        else { return }
        do {
            guard let lineage = try await leaderTierEnd(partition, leader, assignment.leaderEpoch), lineage.start > .zero else {
                return
            }
            // Opened without a leader: nothing is fetched before the log begins where it should.
            var waiting = assignment
            waiting.leader = nil
            waiting.partitionEpoch -= 1
            guard let tailLog = try await tail.apply(waiting, configuration: configuration), tailLog.offsets.logEnd == .zero,
                let source = tailLog as? any SealedSegmentSource, let position = source.followerPosition
            else { return }
            let log = TieredLog(tail: tailLog, source: source, parts: parts, configuration: configuration)
            defer { log.stop() }
            _ = try await log.restart(from: lineage, ifStill: position)
        } catch {
            parts.logger.info(
                "Follower cannot begin at the end of its leader's tier and begins where the leader's volume does",
                metadata: ["partition": "\(partition)", "error": "\(error)"])
        }
    }
}

extension TieredLog {
    func restart(from leader: LeaderLineage, ifStill position: FollowerPosition) async throws(LogError) -> Offset? {
        await rounds.enter()
        defer { rounds.leave() }
        guard leader.start > leader.logStart ?? .zero else {
            // The leader has all of its log on its volume.
            return try await restart(at: leader.start, logStart: leader.start, [], nil, ifStill: position)
        }
        try await catalog.load(partition, from: parts.metadata)
        let view = catalog.view
        guard let segment = view.segment(holding: leader.start - 1, of: leader.epoch) else {
            throw LogError(
                .notAvailable,
                "\(partition): the object store has no segment that holds offset \(leader.start - 1) of leader epoch \(leader.epoch), where the leader's volume begins; it is tried again"
            )
        }
        guard let all = EpochCheckpoint.decode(try await parts.reader.section(segment.indexes.epochs, of: segment)) else {
            throw RemoteReader.corrupt(
                TierKey.indexes(segment), segment.indexes.epochs.start, "it holds no leader epoch checkpoint")
        }
        let end = try await commonEnd(of: segment, leader)
        let epochs = all.filter { $0.startOffset < end }
        let snapshot = try await snapshot(at: end, in: segment, view, EpochHistory(epochs))
        let lowest = view.pieces(from: .zero, in: EpochHistory(epochs)).first?.offsets.lowerBound ?? segment.baseOffset
        let logStart = min(max(leader.logStart ?? lowest, lowest), end)
        return try await restart(at: end, logStart: logStart, epochs, snapshot, ifStill: position)
    }

    private func restart(
        at offset: Offset, logStart: Offset, _ epochs: [EpochStart], _ snapshot: [UInt8]?, ifStill position: FollowerPosition
    ) async throws(LogError) -> Offset? {
        let isDone: Bool
        do {
            isDone = try await source.restart(
                at: offset, logStart: logStart, epochs: epochs, producerSnapshot: snapshot, ifStill: position)
        } catch {
            throw Self.failure(error, "\(partition): the follower cannot begin anew at \(offset)")
        }
        let metadata: Logger.Metadata = [
            "partition": "\(partition)", "offset": "\(offset)", "logStart": "\(logStart)", "leaderEpoch": "\(position.leaderEpoch)",
        ]
        guard isDone else {
            parts.logger.info("Follower has changed meanwhile and does not begin from the tier", metadata: metadata)
            return nil
        }
        parts.logger.info("Follower begins from the tier", metadata: metadata)
        return offset
    }

    /// How far the leader's log goes along with `segment`, which it does up to ``LeaderLineage/start``: an unclean election may have made it
    /// go another way in the rest.
    private func commonEnd(of segment: RemoteSegment, _ leader: LeaderLineage) async throws(LogError) -> Offset {
        var end = segment.endOffset
        for entry in segment.epochs.reversed() where entry.startOffset < end {
            let theirs: EpochEndOffset?
            do { theirs = try await leader.endOffset(entry.epoch) } catch {
                throw LogError(.notAvailable, "\(partition): its leader does not tell how its log goes on", cause: error)
            }
            if let theirs, theirs.epoch == entry.epoch {
                end = min(end, theirs.endOffset)
                break
            }
            // An epoch that the leader has nothing of.
            end = min(entry.startOffset, theirs?.endOffset ?? end)
        }
        guard end >= leader.start else {
            throw LogError(
                .notAvailable, "\(partition): its leader's log has changed since it told that it begins at \(leader.start)")
        }
        return end
    }

    /// The producer snapshot at `end`. A segment has one at its own end; for an offset within, its batches tell the rest.
    private func snapshot(
        at end: Offset, in segment: RemoteSegment, _ view: SegmentView, _ history: EpochHistory
    ) async throws(LogError) -> [UInt8]? {
        if end == segment.endOffset {
            guard let section = segment.indexes.producerSnapshot else { return nil }
            return Array(try await parts.reader.section(section, of: segment).readableBytesView)
        }
        return Array(ProducerSnapshot.encode(try await producers(at: end, in: segment, view, history)).readableBytesView)
    }

    private func producers(
        at end: Offset, in segment: RemoteSegment, _ view: SegmentView, _ history: EpochHistory
    ) async throws(LogError) -> ProducerStates {
        if end == segment.endOffset, let section = segment.indexes.producerSnapshot {
            guard let producers = ProducerSnapshot.decode(try await parts.reader.section(section, of: segment)) else {
                throw RemoteReader.corrupt(TierKey.indexes(segment), section.start, "it holds no producer snapshot")
            }
            return producers
        }
        var producers = ProducerStates()
        if segment.baseOffset > .zero {
            let before = view.segments(holding: segment.baseOffset - 1, in: history)
            // None: the log began here, or what came before has been deleted.
            if let before = before.first(where: { $0.endOffset == segment.baseOffset }) ?? before.first {
                producers = try await self.producers(at: segment.baseOffset, in: before, view, history)
            }
        }
        var next = segment.baseOffset
        while next < end {
            let batches = try await parts.reader.read(segment, from: next, below: end, maxBytes: Self.scanBytes, minOneBatch: true)
                .batches
            guard let last = batches.entries.last else { break }
            for entry in batches.entries where entry.header.hasProducerID {
                let bytes = batches.buffer.getSlice(
                    at: batches.buffer.readerIndex + entry.position, length: entry.header.sizeInBytes)
                let control = entry.header.isControl ? bytes.flatMap { ControlRecord(batch: $0) } : nil
                producers.record(entry.header, coordinatorEpoch: control?.coordinatorEpoch)
            }
            next = last.header.endOffset
        }
        return producers
    }

    private static let scanBytes = 1 << 20
}
