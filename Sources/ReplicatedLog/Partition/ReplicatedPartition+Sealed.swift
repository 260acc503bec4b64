//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import LogModel
public import LogSegments
internal import LogEngine
internal import Logging
internal import NIOCore
internal import RuntimeEnvironment
internal import Synchronization

extension ReplicatedPartition: SealedSegmentSource {
    /// Reads small parts of index files: not to be called on an event loop.
    public func sealedSegments(below bound: Offset) -> [SealedSegment] {
        do { return try log.sealedSegments(below: bound) } catch {
            context.logger.error("sealed segments unreadable", metadata: ["partition": "\(partition)", "error": "\(error)"])
            return []
        }
    }

    @discardableResult
    public func freeLocalSegments(below offset: Offset) async throws -> Int64 {
        let freed = try await onWriter { () throws(SegmentError) in
            // Before the files go: after a crash in between, the first segment left would be taken for the log's start.
            try self.context.registry.storeLogStarts(self.volume)
            return try self.log.removeSegments(at: self.context.environment.clock.now(), raisesLogStart: false) {
                (segment) throws(SegmentError) in segment.endOffset <= offset
            }
        }
        tellProgress()
        return freed
    }

    public func setRetentionIsManagedAbove(_ managed: Bool) { state.withLock { $0.retentionIsManagedAbove = managed } }

    public func raiseLogStart(to offset: Offset) async throws { try await storeLogStart(offset) }

    public var epochHistory: [EpochStart] { log.epochs.entries }

    public var followerPosition: FollowerPosition? {
        let epoch = state.withLock { state -> LeaderEpoch? in
            guard case .follower(let following) = state.role else { return nil }
            return following.leaderEpoch
        }
        return epoch.map { FollowerPosition(leaderEpoch: $0, logEnd: log.logEnd, lastEpoch: log.epochs.latest?.epoch ?? .none) }
    }

    public func restart(
        at offset: Offset, logStart: Offset, epochs: [EpochStart], producerSnapshot: [UInt8]?, ifStill position: FollowerPosition
    ) async throws -> Bool {
        let isDone = try await onWriter { () throws(SegmentError) in
            // Roles change and logs are cut here too: what holds now holds to the end.
            guard self.followerPosition == position else { return false }
            self.state.withLock { $0.highWatermark = offset }
            try self.log.restart(
                at: offset, logStart: logStart, epochs: EpochHistory(epochs),
                producerSnapshot: producerSnapshot.map { ByteBuffer(bytes: $0) })
            try self.context.registry.storeLogStarts(self.volume)
            try self.context.registry.lowerCheckpoints(of: self)
            return true
        }
        if isDone { tellProgress() }
        return isDone
    }
}
