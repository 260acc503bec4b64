//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import LogEngine
public import LogModel
internal import LogSegments
internal import Logging
internal import RuntimeEnvironment
internal import Synchronization

extension ReplicatedPartition {
    public func offset(forTimestamp timestamp: Timestamp) async throws(LogError) -> TimestampedOffset? {
        let range = try readableRange()
        return try await timestamped { [log] () throws(SegmentError) in try log.firstRecord(atOrAfter: timestamp, in: range) }
    }

    public func offsetOfMaxTimestamp() async throws(LogError) -> TimestampedOffset? {
        let range = try readableRange()
        return try await timestamped { [log] () throws(SegmentError) in try log.recordWithLargestTimestamp(in: range) }
    }

    private func readableRange() throws(LogError) -> Range<Offset> {
        let range = state.withLock { state -> Range<Offset>? in
            guard case .leader = state.role else { return nil }
            let offsets = offsets(&state)
            return offsets.localStart..<max(offsets.highWatermark, offsets.localStart)
        }
        guard let range else { throw .notLeader(partition) }
        return range
    }

    private func timestamped(
        _ search: @escaping @Sendable () throws(SegmentError) -> (Offset, Timestamp)?
    ) async throws(LogError) -> TimestampedOffset? {
        guard let (offset, timestamp) = try await onReader(search) else { return nil }
        return TimestampedOffset(offset: offset, timestamp: timestamp, leaderEpoch: log.epochs.epoch(at: offset) ?? .none)
    }

    public func endOffset(forEpoch epoch: LeaderEpoch) throws(LogError) -> EpochEndOffset? {
        log.epochs.endOffset(for: epoch, logEnd: log.logEnd).map { EpochEndOffset(epoch: $0.epoch, endOffset: $0.endOffset) }
    }

    public func leaderEpoch(at offset: Offset) -> LeaderEpoch? { log.epochs.epoch(at: offset) }

    public var sizeInBytes: Int64 { log.sizeInBytes }

    public var offsetLag: Int64 {
        state.withLock { state in
            guard case .follower(let following) = state.role else { return 0 }
            return max(0, following.leaderHighWatermark - log.logEnd)
        }
    }

    public func deleteRecords(before offset: Offset) async throws(LogError) -> Offset {
        let highWatermark = try state.withLock { state -> Result<Offset, LogError> in
            guard case .leader = state.role else { return .failure(.notLeader(partition)) }
            return .success(offsets(&state).highWatermark)
        }.get()
        guard offset <= highWatermark else {
            throw LogError(
                .offsetOutOfRange,
                "\(partition): records before \(offset) cannot be deleted, the high watermark is \(highWatermark)")
        }
        try await storeLogStart(offset)
        return log.logStart
    }

    public func lowWatermark(isLive: (BrokerID) -> Bool) throws(LogError) -> Offset {
        try state.withLock { state -> Result<Offset, LogError> in
            guard case .leader(let leader) = state.role else { return .failure(state.failure ?? .notLeader(partition)) }
            return .success(leader.lowestLogStart(own: log.logStart, isLive: isLive))
        }.get()
    }

    /// Raises the log start, stores it, and removes segments that lie wholly below.
    func storeLogStart(_ offset: Offset) async throws(LogError) {
        try await onWriter { () throws(SegmentError) in
            try self.log.raiseLogStart(to: offset)
            try self.context.registry.storeLogStarts(self.volume)
            try self.removeBelowLogStart()
        }
        tellProgress()
    }

    func removeBelowLogStart() throws(SegmentError) {
        let start = log.logStart
        try log.removeSegments(at: context.environment.clock.now(), raisesLogStart: true) { (segment) throws(SegmentError) in
            segment.endOffset <= start
        }
    }

    public func roll() async throws(LogError) {
        try await onWriter { () throws(SegmentError) in
            self.writeQueue()
            try self.log.roll()
        }
        if log.hasUnsynchronizedSealedSegments { scheduleSync() }
        tellProgress()
    }

    public func flush() async throws(LogError) {
        try await onWriter { () throws(SegmentError) in self.writeQueue() }
        do { try await volume.synchronizer.run { [log] () throws(SegmentError) in try log.synchronize() } } catch {
            let failure = LogError(error, partition)
            state.withLock { $0.failure = failure }
            context.failed(volume, error, isWriting: true)
            throw failure
        }
    }

    /// Has sealed segments synced behind the writer's back, so that the recovery point follows; with `ofAll` the active one too.
    func scheduleSync(ofAll: Bool = false) {
        let isScheduled = state.withLock { state in
            defer { state.isSyncScheduled = true }
            return state.isSyncScheduled
        }
        guard !isScheduled else { return }
        volume.synchronizer.submit {
            self.state.withLock { $0.isSyncScheduled = false }
            do throws(SegmentError) {
                if ofAll {
                    try self.log.synchronize()
                    self.state.withLock { $0.unsyncedSince = nil }
                } else {
                    try self.log.synchronizeSealed()
                }
            } catch {
                // What was written since the last sync may be gone, and no later sync tells: appends must not go on as if all were well.
                guard case .disk = error, !self.log.isClosed else { return }
                let failure = LogError(error, self.partition)
                self.context.logger.error("sync failed", metadata: ["partition": "\(self.partition)", "error": "\(failure)"])
                self.state.withLock { $0.failure = failure }
                self.context.failed(self.volume, error, isWriting: true)
            }
        }
    }
}
