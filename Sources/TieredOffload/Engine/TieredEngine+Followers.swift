//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import LogEngine
public import LogModel
internal import LogSegments
internal import Logging
internal import NIOCore
internal import Synchronization

extension TieredEngine {
    /// Begins a follower's log anew where its leader's volume begins, what lies below being in the tier (KIP-405): what the follower does when
    /// its fetch is answered with ``LogEngine/LogError/Code/offsetMovedToTier``.
    ///
    /// The epochs and the producers' state up to there come from the objects; no record does.
    /// - Parameters:
    ///   - leaderLocalStart: The leader's ``LogEngine/LogOffsets/localStart`` (ListOffsets -4).
    ///   - leaderLogStart: The leader's log start; nil for the tier's.
    /// - Returns: Where to fetch from.
    /// - Throws: ``LogEngine/LogError/Code/notAvailable`` if the metadata or the store does not answer, or does not have the segment yet: try again.
    public func rebuildFollower(
        _ partition: PartitionID, leaderLocalStart: Offset, leaderLogStart: Offset? = nil
    ) async throws(LogError) -> Offset {
        guard let log = state.withLock({ $0.logs[partition] }) else {
            throw LogError(.notLeader, "\(partition) is not held by this broker; refresh the metadata")
        }
        return try await log.restart(below: leaderLocalStart, leaderLogStart: leaderLogStart)
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
            guard let end = try await leaderTierEnd(partition, leader, assignment.leaderEpoch), end > .zero else { return }
            // Opened without a leader: nothing is fetched before the log begins where it should.
            var waiting = assignment
            waiting.leader = nil
            waiting.partitionEpoch -= 1
            guard let tailLog = try await tail.apply(waiting, configuration: configuration), tailLog.offsets.logEnd == .zero,
                let source = tailLog as? any SealedSegmentSource
            else { return }
            let log = TieredLog(tail: tailLog, source: source, parts: parts, configuration: configuration)
            defer { log.stop() }
            _ = try await log.restart(below: end, leaderLogStart: nil)
        } catch {
            parts.logger.info(
                "Follower cannot begin at the end of its leader's tier and begins where the leader's volume does",
                metadata: ["partition": "\(partition)", "error": "\(error)"])
        }
    }
}

extension TieredLog {
    func restart(below leaderLocalStart: Offset, leaderLogStart: Offset?) async throws(LogError) -> Offset {
        await rounds.enter()
        defer { rounds.leave() }
        try await catalog.load(partition, from: parts.metadata)
        let view = catalog.view
        // The log's own epochs count for nothing here: it is thrown away. Of several copies the latest leader's is the lineage.
        guard let segment = view.segment(holding: leaderLocalStart - 1, in: EpochHistory()) else {
            throw LogError(
                .notAvailable,
                "\(partition): the object store has no segment that holds offset \(leaderLocalStart - 1), where the leader's volume begins; it is tried again"
            )
        }
        guard let epochs = EpochCheckpoint.decode(try await parts.reader.section(segment.indexes.epochs, of: segment)) else {
            throw RemoteReader.corrupt(
                TierKey.indexes(segment), segment.indexes.epochs.start, "it holds no leader epoch checkpoint")
        }
        var snapshot: [UInt8]?
        if let section = segment.indexes.producerSnapshot {
            snapshot = Array(try await parts.reader.section(section, of: segment).readableBytesView)
        }
        let lowest = view.chain(from: .zero, in: EpochHistory(epochs)).first?.baseOffset ?? segment.baseOffset
        let logStart = min(max(leaderLogStart ?? lowest, lowest), segment.endOffset)
        do {
            try await source.restart(at: segment.endOffset, logStart: logStart, epochs: epochs, producerSnapshot: snapshot)
        } catch {
            throw Self.failure(error, "\(partition): the follower cannot begin anew at \(segment.endOffset)")
        }
        parts.logger.info(
            "Follower begins from the tier",
            metadata: ["partition": "\(partition)", "offset": "\(segment.endOffset)", "logStart": "\(logStart)"])
        return segment.endOffset
    }
}
