//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
public import LogEngine
public import LogModel
internal import LogSegments
internal import Logging
internal import RuntimeEnvironment
internal import Synchronization

/// One partition over two tiers: a tail log on this broker's volume, and the segments that the object store has of it.
///
/// What is written goes to the tail. Sealed segments below the last stable offset are copied up by the leader; once the copy is committed,
/// each replica frees its own by the local retention. A read finds its tier by the offset alone.
public final class TieredLog: PartitionLog {
    struct State {
        var configuration: LogConfiguration
        var listener: (@Sendable (any PartitionLog) -> Void)?
        /// The right to change the tier's metadata, and the leader epoch it was given for.
        var claim: (epoch: LeaderEpoch, condition: Transaction.Condition)?
        /// A round runs in ``task``; ``again``: another is wanted after it.
        var task: Task<Void, Never>?
        var again = false
        var isClosed = false
        /// The tail's bytes at the last round: by their growth a roll is noticed.
        var sizeAtRound: Int64 = 0
        /// The next sealed segment becomes copyable when the high watermark gets here.
        var awaitedHighWatermark: Offset?
        /// Sealed and not yet in the tier.
        var copyLag: (bytes: Int64, segments: Int64) = (0, 0)
        /// When an unfinished attempt of another broker was first seen here.
        var orphansSince: [String: MonotonicInstant] = [:]
    }

    let tail: any PartitionLog
    let source: any SealedSegmentSource
    let catalog = RemoteCatalog()
    let parts: TierParts
    let state: Mutex<State>
    /// One round at a time.
    let rounds = Gate()

    init(tail: any PartitionLog, source: any SealedSegmentSource, parts: TierParts, configuration: LogConfiguration) {
        self.tail = tail
        self.source = source
        self.parts = parts
        state = Mutex(State(configuration: configuration))
        source.setRetentionIsManagedAbove(true)
        tail.setProgressListener { [weak self] _ in self?.tailProgressed() }
    }

    func update(_ configuration: LogConfiguration) { state.withLock { $0.configuration = configuration } }

    var configuration: LogConfiguration { state.withLock { $0.configuration } }
    var isLeader: Bool { tail.assignment.leader == parts.broker }
    var history: EpochHistory { EpochHistory(source.epochHistory) }

    // MARK: What the tail answers for both tiers

    public var partition: PartitionID { tail.partition }
    public var assignment: PartitionAssignment { tail.assignment }
    public var offsetLag: Int64 { tail.offsetLag }

    public func append(_ batches: RecordBatches, acks: RequiredAcks, epoch: LeaderEpoch?) throws(LogError) -> AppendReceipt {
        try tail.append(batches, acks: acks, epoch: epoch)
    }

    public func endOffset(forEpoch epoch: LeaderEpoch) throws(LogError) -> EpochEndOffset? { try tail.endOffset(forEpoch: epoch) }
    public func leaderEpoch(at offset: Offset) -> LeaderEpoch? { tail.leaderEpoch(at: offset) }
    public func flush() async throws(LogError) { try await tail.flush() }

    public func roll() async throws(LogError) {
        try await tail.roll()
        kick()
    }

    /// The records are gone for readers on return; whole segments of them leave the object store in the next round.
    public func deleteRecords(before offset: Offset) async throws(LogError) -> Offset {
        let start = try await tail.deleteRecords(before: offset)
        kick()
        return start
    }

    public func lowWatermark(isLive: (BrokerID) -> Bool) throws(LogError) -> Offset { try tail.lowWatermark(isLive: isLive) }

    /// On this broker's volume alone: objects belong to no single replica, see ``TieredEngine/objectFootprint()``.
    public func footprint() async throws(LogError) -> Footprint { try await tail.footprint() }

    // MARK: Both tiers together

    public var offsets: LogOffsets { withTiers(tail.offsets) }

    func withTiers(_ offsets: LogOffsets) -> LogOffsets {
        var offsets = offsets
        if let end = tierEnd(below: offsets.highWatermark), end > offsets.logStart { offsets.latestTiered = end - 1 }
        return offsets
    }

    /// How far the tier has this log: a deposed leader may have uploaded more, and other records, before an unclean election.
    private func tierEnd(below bound: Offset) -> Offset? {
        let view = catalog.view
        if let end = view.quickEnd(below: bound, epochAt: { tail.leaderEpoch(at: $0) }) { return end }
        guard !view.isEmpty else { return nil }
        return view.end(in: history).map { min($0, bound) }
    }

    /// Bytes of the tail and of what only the tier holds.
    public var sizeInBytes: Int64 {
        let offsets = tail.offsets
        guard offsets.logStart < offsets.localStart else { return tail.sizeInBytes }
        return tail.sizeInBytes + tieredBytes(offsets)
    }

    func tieredBytes(_ offsets: LogOffsets) -> Int64 { tierOnly(offsets).reduce(0) { $0 + $1.sizeInBytes } }

    /// What the tier alone holds of this log, by offset.
    func tierOnly(_ offsets: LogOffsets) -> [SegmentView.Piece] {
        guard offsets.logStart < offsets.localStart else { return [] }
        return catalog.view.pieces(from: offsets.logStart, in: history)
            .prefix { $0.offsets.lowerBound < offsets.localStart }.map { $0.clamped(to: offsets.localStart) }
    }

    // MARK: Progress

    public func setProgressListener(_ listener: (@Sendable (any PartitionLog) -> Void)?) {
        state.withLock { $0.listener = listener }
    }

    private func tailProgressed() {
        let size = tail.sizeInBytes
        let highWatermark = tail.offsets.highWatermark
        let (listener, isDue) = state.withLock { state in
            let hasRolled = size - state.sizeAtRound >= state.configuration.segmentBytes
            let isCopyable = state.awaitedHighWatermark.map { highWatermark >= $0 } ?? false
            if hasRolled { state.sizeAtRound = size }
            if isCopyable { state.awaitedHighWatermark = nil }
            return (state.listener, hasRolled || isCopyable)
        }
        listener?(self)
        if isDue, isLeader { kick() }
    }
}
