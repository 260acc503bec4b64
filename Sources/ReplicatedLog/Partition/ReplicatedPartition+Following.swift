//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogEngine
internal import LogModel
internal import LogSegments
internal import Logging
internal import Metering
internal import NIOCore
internal import RuntimeEnvironment
internal import Synchronization

/// What a fetcher is to do with a partition after an answer.
enum FollowStep: Sendable, Hashable {
    /// Fetch on. `gotData`: others first.
    case goOn(gotData: Bool)
    /// The leader does not serve us just now; ask again a little later.
    case pause
    /// The log must begin anew where the leader's does.
    case startAnew
    /// The leader's log begins in the tier, or this one would have to be cut to where the tier alone knows its producers.
    case bootstrapFromTier
    /// No longer a follower of this leader.
    case stop
}

extension ReplicatedPartition {
    /// The next fetch from `leader`; nil if it is not followed.
    func nextFetch(from leader: BrokerID) -> ReplicaFetchRequest? {
        state.withLock { state in
            guard case .follower(let following) = state.role, following.leader == leader else { return nil }
            let end = log.logEnd
            return ReplicaFetchRequest(
                partition: partition, fetchOffset: end, currentLeaderEpoch: following.leaderEpoch,
                lastFetchedEpoch: log.epochs.latest?.epoch ?? .none, logStart: log.logStart,
                maxBytes: context.settings.replicaFetchMaxBytes)
        }
    }

    /// How long the broker's throttle wants nothing fetched for this replica: only replicas out of sync are held back (KIP-73).
    func fetchWait(at now: MonotonicInstant) -> Duration {
        isThrottledFollower ? context.settings.throttles.followerWait(at: now) : .zero
    }

    private var isThrottledFollower: Bool {
        state.withLock { state in
            state.configuration.followerThrottledReplicas.contains(partition.partition, on: context.broker.rawValue)
                && !state.assignment.inSyncReplicas.contains(context.broker)
        }
    }

    var isInSync: Bool { state.withLock { $0.assignment.inSyncReplicas.contains(context.broker) } }

    /// Carries out the leader's answer. On the volume's writer.
    ///
    /// - Parameter batches: The answer's records, verified.
    func apply(_ response: ReplicaFetchResponse, _ batches: RecordBatches?, to request: ReplicaFetchRequest) throws(SegmentError)
        -> FollowStep
    {
        let isCurrent = state.withLock { state in
            guard case .follower(let following) = state.role else { return false }
            return following.leaderEpoch == request.currentLeaderEpoch
        }
        guard isCurrent else { return .stop }
        guard log.logEnd == request.fetchOffset else { return .goOn(gotData: false) }
        if let failure = response.failure { return step(after: failure) }
        if let diverging = response.divergingEpoch {
            let before = (log.logEnd, log.epochs)
            let end = commonEnd(diverging)
            if mustBootstrap(toEndAt: end) { return .bootstrapFromTier }
            try cut(to: end)
            // A leader that says again what was carried out already is not asked without a pause.
            return (log.logEnd, log.epochs) == before ? .pause : .goOn(gotData: false)
        }
        let appended = try appendAsGiven(batches, request, leaderHighWatermark: response.highWatermark)
        try adoptOffsets(of: response)
        return .goOn(gotData: appended)
    }

    private func step(after failure: LogError.Code) -> FollowStep {
        switch failure {
        case .offsetOutOfRange: .startAnew
        case .offsetMovedToTier: .bootstrapFromTier
        default: .pause
        }
    }

    /// KIP-279: to the end of the leader's epoch, or of our own largest epoch not above it, whichever is lower.
    private func commonEnd(_ diverging: EpochEndOffset) -> Offset {
        let epochs = log.epochs
        var end = min(diverging.endOffset, log.logEnd)
        if let own = epochs.endOffset(for: diverging.epoch, logEnd: log.logEnd) {
            end = min(end, own.endOffset)
        } else if diverging.epoch < epochs.entries.first?.epoch ?? .none {
            end = min(end, epochs.entries[0].startOffset)
        }
        return end
    }

    /// Below its beginning on the volume a log cannot be cut without losing sight of its producers: the tier has them.
    private func mustBootstrap(toEndAt end: Offset) -> Bool {
        end < log.localStart && log.logStart < log.localStart && context.tierBootstrap.withLock { $0 } != nil
    }

    func cut(to end: Offset) throws(SegmentError) {
        state.withLock { $0.highWatermark = min($0.highWatermark, end) }
        let before = log.logEnd
        let after = try log.truncate(to: end)
        try context.registry.lowerCheckpoints(of: self)
        state.withLock { $0.highWatermark = min($0.highWatermark, after) }
        context.logger.info(
            "log truncated", metadata: ["partition": "\(partition)", "from": "\(before)", "to": "\(after)"])
        tellProgress()
    }

    private func appendAsGiven(
        _ batches: RecordBatches?, _ request: ReplicaFetchRequest, leaderHighWatermark: Offset
    ) throws(SegmentError) -> Bool {
        guard let batches, !batches.isEmpty else { return false }
        // A leader of an older epoch cannot hold batches of a newer one (KAFKA-18723).
        guard batches.entries.allSatisfy({ $0.header.partitionLeaderEpoch <= request.currentLeaderEpoch }) else {
            throw .corrupt(
                "\(partition): the leader sent batches of a later epoch than its own, \(request.currentLeaderEpoch); not appended")
        }
        let first = batches.entries[0].header
        if first.baseOffset < log.logEnd {
            // An empty log begins with the batch that holds the leader's log start.
            guard log.sizeInBytes == 0, first.endOffset > log.logEnd else {
                throw .corrupt("\(partition): the leader sent offset \(first.baseOffset), \(log.logEnd) was asked for")
            }
            try log.restart(at: first.baseOffset, logStart: first.baseOffset, epochs: log.epochs, producerSnapshot: nil)
            try context.registry.lowerCheckpoints(of: self)
        }
        // A copy of what all others have had long since: not worth the pages that it would take from what consumers read.
        let isCold = !isInSync && (batches.entries.last?.header.endOffset ?? .zero) < leaderHighWatermark
        let (_, failure) = log.append([AppendChunk(asGiven: batches)], areCold: isCold)
        if let failure { throw failure }
        try flush(after: state.withLock(\.configuration.flushMessages))
        if isThrottledFollower {
            context.settings.throttles.chargeFollower(batches.sizeInBytes, at: context.environment.clock.now())
        }
        if state.withLock({ $0.assignment.addingReplicas.contains(context.broker) }) {
            context.meters.reassignmentBytesIn.add(Int64(batches.sizeInBytes))
        }
        if log.hasUnsynchronizedSealedSegments { scheduleSync() }
        return true
    }

    private func adoptOffsets(of response: ReplicaFetchResponse) throws(SegmentError) {
        let end = log.logEnd
        state.withLock { state in
            if case .follower(var following) = state.role {
                following.leaderHighWatermark = response.highWatermark
                state.role = .follower(following)
            }
            state.highWatermark = max(state.highWatermark, min(response.highWatermark, end))
        }
        if response.logStart > log.logStart {
            try log.raiseLogStart(to: min(response.logStart, end))
            state.withLock { $0.highWatermark = max($0.highWatermark, min(response.logStart, end)) }
        }
        tellProgress()
    }

    /// Begins anew within what the leader has. On the volume's writer.
    ///
    /// - Returns: What to do next: a pause if there was no need to.
    func startAnew(within leader: LeaderOffsets, epoch: LeaderEpoch) throws(SegmentError) -> FollowStep {
        let isCurrent = state.withLock { state in
            guard case .follower(let following) = state.role else { return false }
            return following.leaderEpoch == epoch
        }
        guard isCurrent else { return .stop }
        if leader.logEnd < log.logEnd, leader.logEnd >= log.logStart {
            if mustBootstrap(toEndAt: leader.logEnd) { return .bootstrapFromTier }
            try cut(to: leader.logEnd)
            return .goOn(gotData: false)
        }
        guard log.logEnd < leader.logStart || log.logEnd > leader.logEnd else { return .pause }
        context.logger.info(
            "log begun anew",
            metadata: ["partition": "\(partition)", "at": "\(leader.logStart)", "instead of": "\(log.logStart)..\(log.logEnd)"])
        state.withLock { $0.highWatermark = leader.logStart }
        try log.restart(at: leader.logStart, logStart: leader.logStart, epochs: EpochHistory(), producerSnapshot: nil)
        try context.registry.lowerCheckpoints(of: self)
        return .goOn(gotData: false)
    }
}
