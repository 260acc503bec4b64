//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogEngine
import LogModel
import Synchronization

/// A log whose appends become durable when the test says so: followers that lag, a slow disk.
final class HeldLog: PartitionLog {
    private let base: any PartitionLog
    private let signals = Mutex<[DurabilitySignal]>([])
    /// Where followers' logs begin, as they told.
    private let followers = Mutex<[BrokerID: Offset]>([:])
    private let listener = Mutex<(@Sendable (any PartitionLog) -> Void)?>(nil)
    private let reads = Atomic<Int>(0)

    /// Reads go to a store far away; while it stalls, they wait.
    private let remote = Mutex((isRemote: false, isStalled: false, waiting: [CheckedContinuation<Void, Never>]()))

    init(_ base: any PartitionLog) { self.base = base }

    func beRemote(stalls: Bool) {
        let waiting = remote.withLock { remote -> [CheckedContinuation<Void, Never>] in
            remote.isRemote = true
            remote.isStalled = stalls
            guard !stalls else { return [] }
            defer { remote.waiting = [] }
            return remote.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    func readsRemotely(from offset: Offset) -> Bool { remote.withLock { $0.isRemote } }

    /// Appends that wait.
    var heldCount: Int { signals.withLock { $0.count } }

    /// Reads that have begun.
    var readCount: Int { reads.load(ordering: .relaxed) }

    func release(_ failure: LogError? = nil) {
        let waiting = signals.withLock { signals in
            defer { signals = [] }
            return signals
        }
        for signal in waiting { signal.complete(failure) }
    }

    /// A follower's log begins there from now on.
    func follow(_ follower: BrokerID, logStart: Offset) {
        followers.withLock { $0[follower] = logStart }
        listener.withLock { $0 }?(self)
    }

    func append(_ batches: RecordBatches, acks: RequiredAcks, epoch: LeaderEpoch?) throws(LogError) -> AppendReceipt {
        var receipt = try base.append(batches, acks: acks, epoch: epoch)
        if acks == .all {
            let signal = DurabilitySignal()
            signals.withLock { $0.append(signal) }
            receipt.durable = signal
        }
        return receipt
    }

    var partition: PartitionID { base.partition }
    var assignment: PartitionAssignment { base.assignment }
    var offsets: LogOffsets { base.offsets }
    var sizeInBytes: Int64 { base.sizeInBytes }
    var offsetLag: Int64 { base.offsetLag }

    func read(
        from offset: Offset, maxBytes: Int, minOneBatch: Bool, bound: ReadBound, reader: Reader, currentLeaderEpoch: LeaderEpoch?
    ) async throws(LogError) -> ReadResult {
        reads.add(1, ordering: .relaxed)
        await withCheckedContinuation { continuation in
            let isStalled = remote.withLock { remote in
                if remote.isStalled { remote.waiting.append(continuation) }
                return remote.isStalled
            }
            if !isStalled { continuation.resume() }
        }
        return try await base.read(
            from: offset, maxBytes: maxBytes, minOneBatch: minOneBatch, bound: bound, reader: reader,
            currentLeaderEpoch: currentLeaderEpoch)
    }
    func offset(forTimestamp timestamp: Timestamp) async throws(LogError) -> TimestampedOffset? {
        try await base.offset(forTimestamp: timestamp)
    }
    func offsetOfMaxTimestamp() async throws(LogError) -> TimestampedOffset? { try await base.offsetOfMaxTimestamp() }
    func endOffset(forEpoch epoch: LeaderEpoch) throws(LogError) -> EpochEndOffset? { try base.endOffset(forEpoch: epoch) }
    func leaderEpoch(at offset: Offset) -> LeaderEpoch? { base.leaderEpoch(at: offset) }
    func deleteRecords(before offset: Offset) async throws(LogError) -> Offset { try await base.deleteRecords(before: offset) }
    func lowWatermark(isLive: (BrokerID) -> Bool) throws(LogError) -> Offset {
        min(try base.lowWatermark(isLive: isLive), followers.withLock { $0.filter { isLive($0.key) }.values.min() } ?? Offset(.max))
    }
    func roll() async throws(LogError) { try await base.roll() }
    func flush() async throws(LogError) { try await base.flush() }
    func footprint() async throws(LogError) -> Footprint { try await base.footprint() }
    func physicalCopies(of offset: Offset) async throws(LogError) -> [PhysicalCopy] { try await base.physicalCopies(of: offset) }
    func setProgressListener(_ listener: (@Sendable (any PartitionLog) -> Void)?) {
        self.listener.withLock { $0 = listener }
        base.setProgressListener(listener)
    }
}
