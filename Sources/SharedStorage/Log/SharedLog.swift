//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import LogEngine
public import LogModel
internal import NIOCore
internal import RuntimeEnvironment
internal import Synchronization

/// One partition's log in the `shared` engine, as its owner has it open.
///
/// Appends go to the broker's WAL and to this log's cache at once; the cache is uploaded from time to time and the WAL trimmed.
public final class SharedLog: PartitionLog, WALClient {
    public let partition: PartitionID
    let stream: StreamID
    let shared: EngineParts
    let state: Mutex<SharedLogState>
    package let groupMark = WALGroupMark()

    init(partition: PartitionID, state: SharedLogState, shared: EngineParts) {
        self.partition = partition
        stream = StreamID(partition)
        self.shared = shared
        self.state = Mutex(state)
    }

    public var assignment: PartitionAssignment { state.withLock { $0.assignment } }
    public var offsets: LogOffsets { state.withLock { $0.offsets } }
    public var offsetLag: Int64 { 0 }
    public var sizeInBytes: Int64 {
        state.withLock { $0.rangeBytes + max(0, $0.uncommittedBytes) + ($0.waitsForTail ? $0.tailBytes : 0) }
    }

    public func setProgressListener(_ listener: (@Sendable (any PartitionLog) -> Void)?) {
        state.withLock { $0.listener = listener }
    }

    func tellProgress() {
        if let listener = state.withLock({ $0.listener }) { listener(self) }
    }

    // MARK: Appending

    public func append(_ batches: RecordBatches, acks: RequiredAcks, epoch: LeaderEpoch?) throws(LogError) -> AppendReceipt {
        guard !batches.isEmpty else { throw LogError(.invalidRecord, "an append to partition \(partition) holds no batch") }
        let bytes = batches.sizeInBytes
        let (receipt, trims) = try state.withLock { state throws(LogError) -> (AppendReceipt, Bool) in
            try state.checkLeads()
            try state.checkEpoch(epoch)
            for entry in batches.entries where entry.header.sizeInBytes > state.configuration.maxMessageBytes {
                throw state.error(
                    .recordTooLarge,
                    "takes batches of at most \(state.configuration.maxMessageBytes) bytes, this one has \(entry.header.sizeInBytes)"
                )
            }
            guard bytes <= shared.wal.bodyBytesMax else {
                throw state.error(
                    .batchListTooLarge, "takes at most \(shared.wal.bodyBytesMax) bytes at once with this write-ahead log")
            }
            if let refusal = shared.wal.refusal(ofBytes: bytes) { throw refusal }
            if case .duplicate(let range) = try state.producers.check(batches) {
                let receipt = AppendReceipt(
                    range: range, logAppendTime: .none, logStart: state.logStart, isDuplicate: true,
                    durable: state.signal(at: range.upperBound))
                return (receipt, false)
            }
            if let refusal = shared.cacheBudget.refusal(ofBytes: bytes) {
                shared.uploader.kickUnlessFailing()
                throw refusal
            }
            let time: Timestamp? =
                state.configuration.stampsLogAppendTime ? Timestamp(shared.environment.clock.wallMilliseconds()) : nil
            var assigned = batches
            let range = assigned.assign(baseOffset: state.logEnd, epoch: state.assignment.leaderEpoch, logAppendTime: time)
            let wasClean = !state.hasUncommitted
            // The upload must know of the log before the WAL counts the append, or it might trim it away.
            if wasClean { shared.dirty.insert(self) }
            let compact = assigned.copiedToSize()
            let sequence = try shared.wal.enqueue(
                WALAppend(
                    stream: stream, leaderEpoch: state.assignment.leaderEpoch, offsets: range, body: compact.buffer, client: self))
            state.appended(CachedAppend(batches: compact, offsets: range, sequence: sequence, position: nil))
            let trims = shared.cacheBudget.added(bytes)
            shared.uploader.appended(bytes)
            let receipt = AppendReceipt(
                range: range, logAppendTime: time ?? .none, logStart: state.logStart, isDuplicate: false,
                durable: state.signal(at: range.upperBound))
            return (receipt, trims)
        }
        if trims { shared.cacheBudget.trim() }
        return receipt
    }

    public func flush() async throws(LogError) {
        try await flush(upTo: state.withLock { $0.logEnd })
    }

    /// Returns once everything below `end` is synced.
    func flush(upTo end: Offset) async throws(LogError) {
        let signal = try state.withLock { state throws(LogError) in
            if case .failed(let failure) = state.role, end > state.highWatermark { throw failure }
            return state.signal(at: end)
        }
        try await signal.wait()
    }

    /// The engine has no segments: what is appended goes to objects at the next upload.
    public func roll() async throws(LogError) {}

    // MARK: WALClient

    package func appendDurable(_ offsets: Range<Offset>, position: Int64) {
        for signal in state.withLock({ $0.synced(offsets, position: position) }) { signal.complete() }
    }

    package func appendFailed(_ error: LogError) {
        for signal in state.withLock({ $0.failed(error) }) { signal.complete(error) }
    }

    package func groupEnded() { tellProgress() }

    // MARK: Epochs

    public func endOffset(forEpoch epoch: LeaderEpoch) throws(LogError) -> EpochEndOffset? {
        try state.withLock { state throws(LogError) in
            try state.checkLeads()
            return state.epochs.endOffset(for: epoch, logEnd: state.logEnd).map {
                EpochEndOffset(epoch: $0.epoch, endOffset: $0.endOffset)
            }
        }
    }

    public func leaderEpoch(at offset: Offset) -> LeaderEpoch? { state.withLock { $0.epochs.epoch(at: offset) } }

    // MARK: For the engine

    /// Takes a newer assignment or configuration of a log that stays open here.
    func update(_ assignment: PartitionAssignment, _ configuration: LogConfiguration) {
        state.withLock { state in
            if assignment.leaderEpoch > state.assignment.leaderEpoch {
                state.epochs.append(epoch: assignment.leaderEpoch, startOffset: state.logEnd)
            }
            state.assignment = assignment
            state.configuration = configuration
        }
    }

    /// Refuses appends and reads from now on.
    func close() {
        state.withLock { state in
            if case .leader = state.role { state.role = .closed }
        }
    }

    /// Takes back a close whose stream is open again for this broker.
    func reopen() {
        state.withLock { state in
            if case .closed = state.role { state.role = .leader }
        }
        tellProgress()
    }

    var isLeading: Bool {
        state.withLock { state in
            if case .leader = state.role { true } else { false }
        }
    }

    /// Drops what uploads have made superfluous in memory.
    func evict(below offset: Offset) -> Int64 { state.withLock { $0.evict(below: offset) } }

    /// Gives up all batches in memory, uploaded or not: the log is let go for good.
    func abandon() {
        let (bytes, pinned) = state.withLock { state -> (Int64, Int64) in
            let bytes = state.cache.reduce(0) { $0 + Int64($1.sizeInBytes) }
            let pinned = state.uncommittedBytes
            state.cache.removeAll()
            state.syncedCount = 0
            state.uncommittedBytes = 0
            shared.dirty.remove(self)
            return (bytes, pinned)
        }
        shared.cacheBudget.removed(bytes, pinned: pinned)
        shared.cacheBudget.forget(self)
    }
}
