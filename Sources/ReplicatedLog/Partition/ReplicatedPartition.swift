//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Glibc
internal import Logging
public import LogEngine
public import LogModel
internal import LogSegments
internal import Metering
internal import NIOCore
internal import RuntimeEnvironment
internal import Synchronization

/// One replica of a partition: leads it, follows a leader, or waits to be told.
///
/// Everything that changes files runs on the volume's writer, so changes of role, appends and truncations never meet. `state` is held
/// for a few lines at a time; what a change sets off (signals, listeners, proposals) happens after it is let go.
public final class ReplicatedPartition: PartitionLog {
    enum Role {
        /// Not yet applied, or taken away.
        case idle
        case leader(LeaderState)
        case follower(Following)
    }

    struct Following {
        var leader: BrokerID?
        var leaderEpoch: LeaderEpoch
        /// As the leader last told.
        var leaderHighWatermark: Offset
    }

    /// An append on its way to the disk.
    struct Queued {
        var chunk: AppendChunk
        /// Whose room it takes; the replica may have been moved by the time it is written.
        var volume: LogVolume
        /// Of the append, and of repetitions of it that came before it was written.
        var signals: [(RequiredAcks, DurabilitySignal)]
    }

    /// An append that is written and waits for the high watermark.
    struct Waiting {
        var endOffset: Offset
        var signal: DurabilitySignal
    }

    struct State {
        var assignment: PartitionAssignment
        var configuration = LogConfiguration()
        var role = Role.idle
        /// A failure that only a restart mends.
        var failure: LogError?
        /// Next to be given: at or above the log's written end.
        var nextOffset: Offset
        /// Up to `nextOffset`.
        var producers: ProducerStates
        var queue: [Queued] = []
        var isWriteScheduled = false
        var highWatermark: Offset
        /// By end offset.
        var waiting: [Waiting] = []
        /// Repetitions of what is being written just now, by producers that wait for the leader alone.
        var waitingForWrite: [Waiting] = []
        var isSyncScheduled = false
        /// Since when there has been something that no sync covers, as far as was looked (`flush.ms`).
        var unsyncedSince: MonotonicInstant?
        var retentionIsManagedAbove = false
        /// Replicas that are being added, while this broker leads.
        var copies: [BrokerID: CopyMeter] = [:]
        var listener: (@Sendable (any PartitionLog) -> Void)?
    }

    /// Where the replica lies. Another takes its place when the replica has been moved to another log directory.
    final class Place: Sendable {
        let log: SegmentedLog
        let volume: LogVolume

        init(log: SegmentedLog, volume: LogVolume) {
            self.log = log
            self.volume = volume
        }
    }

    public let partition: PartitionID
    let context: EngineContext
    let state: Mutex<State>
    /// Read by every append and fetch, so without a lock; `places` keeps alive what it has ever named.
    private let place: Atomic<Unmanaged<Place>>
    private let places: Mutex<[Place]>

    var log: SegmentedLog { place.load(ordering: .acquiring)._withUnsafeGuaranteedRef { $0.log } }
    /// What changes files runs on its writer; a job there that may have been overtaken by a move looks whether it is still the one.
    var volume: LogVolume { place.load(ordering: .acquiring)._withUnsafeGuaranteedRef { $0.volume } }

    init(partition: PartitionID, log: SegmentedLog, volume: LogVolume, highWatermark: Offset, context: EngineContext) {
        self.partition = partition
        let first = Place(log: log, volume: volume)
        place = Atomic(Unmanaged.passUnretained(first))
        places = Mutex([first])
        self.context = context
        let none = PartitionAssignment(
            partition: partition, leader: nil, leaderEpoch: .none, partitionEpoch: -1, replicas: [], inSyncReplicas: [])
        state = Mutex(
            State(
                assignment: none, nextOffset: log.logEnd, producers: log.producers,
                highWatermark: min(max(highWatermark, log.localStart), log.logEnd),
                retentionIsManagedAbove: context.settings.startMayBeRemote))
    }

    /// On the writer of the volume so far, at a moment when both logs are the same. What is queued there for this partition is passed on.
    func move(to next: Place) {
        places.withLock { $0.append(next) }
        place.store(Unmanaged.passUnretained(next), ordering: .releasing)
    }

    public var assignment: PartitionAssignment { state.withLock { $0.assignment } }

    public var offsets: LogOffsets { state.withLock { offsets(&$0) } }

    func offsets(_ state: inout State) -> LogOffsets {
        let ends = log.ends(highWatermark: state.highWatermark)
        // What was removed here, or given to a tier, was below it.
        let highWatermark = max(state.highWatermark, ends.localStart)
        return LogOffsets(
            logStart: ends.logStart, localStart: ends.localStart, highWatermark: highWatermark,
            lastStable: min(ends.firstUnstable ?? highWatermark, highWatermark), logEnd: ends.logEnd)
    }

    public func setProgressListener(_ listener: (@Sendable (any PartitionLog) -> Void)?) {
        state.withLock { $0.listener = listener }
    }

    /// Tells the listener. Never with `state` held.
    func tellProgress() {
        let listener = state.withLock { $0.listener }
        listener?(self)
    }

    /// Runs `body` on the volume's writer, behind every append queued before.
    func onWriter<Value: Sendable>(_ body: @escaping @Sendable () throws(SegmentError) -> Value) async throws(LogError) -> Value {
        while true {
            let volume = self.volume
            let value: Value?
            do {
                value = try await volume.writer.run { () throws(SegmentError) in self.volume === volume ? try body() : nil }
            } catch {
                context.failed(volume, error)
                throw LogError(error, partition)
            }
            // Moved to another volume while it waited its turn.
            if let value { return value }
        }
    }

    func onReader<Value: Sendable>(_ body: @escaping @Sendable () throws(SegmentError) -> Value) async throws(LogError) -> Value {
        let volume = self.volume
        do { return try await volume.reader.run(body) } catch {
            context.failed(volume, error)
            throw LogError(error, partition)
        }
    }
}

/// What all partitions of an engine share.
final class EngineContext: Sendable {
    let broker: BrokerID
    let settings: ReplicatedLogSettings
    let environment: RuntimeEnvironment
    let meters: Meters
    let membership: any InSyncReplicaStore
    let fetcher: any ReplicaFetcher
    let brokerEpoch: @Sendable () -> BrokerEpoch
    let logger: Logger
    let registry = PartitionRegistry()
    /// What is done about a log directory that failed.
    let onVolumeFailure = Mutex<(@Sendable (LogVolume, DiskError) -> Void)?>(nil)
    let volumeFailureListener = Mutex<(@Sendable (Int, DiskError) -> Void)?>(nil)
    let offlineListener = Mutex<(@Sendable (PartitionID) -> Void)?>(nil)
    let tierBootstrap = Mutex<ReplicatedLogEngine.TierBootstrap?>(nil)

    init(
        broker: BrokerID, settings: ReplicatedLogSettings, environment: RuntimeEnvironment, meters: Meters,
        membership: any InSyncReplicaStore, fetcher: any ReplicaFetcher, brokerEpoch: @escaping @Sendable () -> BrokerEpoch,
        logger: Logger
    ) {
        self.broker = broker
        self.settings = settings
        self.environment = environment
        self.meters = meters
        self.membership = membership
        self.fetcher = fetcher
        self.brokerEpoch = brokerEpoch
        self.logger = logger
    }

    /// Puts a log directory out of use whose disk fails: all of its partitions, none of the others'.
    func failed(_ volume: LogVolume, _ error: SegmentError, isWriting: Bool = false) {
        guard let disk = Self.diskFailure(error, isWriting: isWriting) else { return }
        guard let act = onVolumeFailure.withLock({ $0 }), volume.fail(error) else { return }
        act(volume, disk)
    }

    /// The failure, if it is the disk's. A full disk is not one that fails, and neither is damage that was found in a file; a file that is
    /// not there may have been removed just before it was read; and a process that has used up its files or memory has no disk to blame.
    static func diskFailure(_ error: SegmentError, isWriting: Bool) -> DiskError? {
        guard case .disk(let disk) = error else { return nil }
        return switch disk.code {
        case .noSpace, .endOfFile: nil
        case .notFound: isWriting ? disk : nil
        case .other where [EMFILE, ENFILE, ENOMEM].contains(disk.errno): nil
        default: disk
        }
    }
}
