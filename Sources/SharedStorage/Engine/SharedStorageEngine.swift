//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import ClusterMetadata
public import LogEngine
public import LogModel
public import Metering
public import ObjectStore
public import RuntimeEnvironment
internal import Synchronization

/// The `shared` engine, after AutoMQ's S3Stream: one writer per partition, a write-ahead log per broker on a volume that survives
/// the broker, everything else in the object store, and who owns what in the metadata store.
///
/// A partition's replication factor is one: durability is the WAL volume's and the object store's.
public final class SharedStorageEngine: LogEngine {
    /// Where a broker's WAL lies.
    public struct WALVolume: Sendable {
        public var disk: any Disk
        /// The ring's file, relative to the disk's root.
        public var path: String

        public init(disk: any Disk, path: String) {
            self.disk = disk
            self.path = path
        }
    }

    struct State {
        var parts: EngineParts?
        var logs: [StreamID: SharedLog] = [:]
        /// Highest partition epoch applied, by stream.
        var applied: [StreamID: Int64] = [:]
        var isStopped = false
    }

    public let name = "shared"
    /// nil: the WAL goes to the object store.
    let volume: WALVolume?
    let volumeOf: @Sendable (BrokerID) -> WALVolume?
    let store: any ObjectStore
    let metadata: SharedMetadata
    let environment: RuntimeEnvironment
    let meters: Meters
    let settings: SharedStorageSettings
    let leaseHolds: @Sendable () -> Bool
    let registry: any OwnershipRegistry
    let reader: ObjectReader
    let putter: ObjectPutter
    let state = Mutex(State())
    let partitionGates = Gates<StreamID>()
    let recoveryGates = Gates<BrokerID>()

    var writer: StreamWriter { metadata.writer }

    /// - Parameters:
    ///   - brokerEpoch: This run of the broker; higher than any before.
    ///   - volume: Of this broker's WAL; nil for a WAL in the object store.
    ///   - volumeOf: Of another broker's WAL, or of one that this broker had before, for its recovery; nil if it cannot be reached from
    ///     here.
    ///   - leaseHolds: Whether this run's lease surely holds now, by the broker's own clock: true only before the deadline that was
    ///     reckoned from the *sending* of its last successful renewal. Asked after each sync, before anything is acknowledged. Once the
    ///     lease has ended it must stay false.
    ///   - registry: Names a partition's new leader when a move closes the stream here.
    public init(
        brokerID: BrokerID, brokerEpoch: BrokerEpoch, volume: WALVolume?, volumeOf: @escaping @Sendable (BrokerID) -> WALVolume?,
        store: any ObjectStore, metadataStore: any MetadataStore, environment: RuntimeEnvironment, meters: Meters,
        settings: SharedStorageSettings = SharedStorageSettings(), leaseHolds: @escaping @Sendable () -> Bool,
        registry: any OwnershipRegistry
    ) {
        self.volume = volume
        self.volumeOf = volumeOf
        self.store = store
        self.environment = environment
        self.meters = meters
        self.settings = settings
        self.leaseHolds = leaseHolds
        self.registry = registry
        metadata = SharedMetadata(
            store: metadataStore, writer: StreamWriter(broker: brokerID, epoch: brokerEpoch), clock: environment.clock)
        reader = ObjectReader(store: store, settings: settings)
        putter = ObjectPutter(store: store, metadata: metadata, settings: settings, reader: reader)
    }

    // MARK: Logs held

    public func log(for partition: PartitionID) -> (any PartitionLog)? { state.withLock { $0.logs[StreamID(partition)] } }
    public var logs: [any PartitionLog] { heldLogs }
    var heldLogs: [SharedLog] { state.withLock { Array($0.logs.values) } }

    func running() throws(LogError) -> EngineParts {
        guard let parts = state.withLock({ $0.isStopped ? nil : $0.parts }) else {
            throw LogError(.notAvailable, "the shared engine is not started, or is stopped")
        }
        if let failure = parts.wal.failure { throw failure }
        return parts
    }

    // MARK: Start

    /// Replays what this broker's former run left in its WAL, empties the ring and takes it for this run.
    public func start() async throws(LogError) {
        if let problem = settings.problem { throw LogError(.unsupported, problem) }
        let key = SharedKey.wal(writer.broker)
        if let former = try await metadata.get(key, as: WALOwnership.self)?.value {
            // Records are told from those of an earlier run by their epoch alone, so each run needs one of its own.
            guard former.epoch < writer.epoch else {
                throw LogError(
                    .fenced,
                    "broker \(writer.broker) runs or ran with epoch \(former.epoch), not older than \(writer.epoch) here; register it anew, or stop the other one"
                )
            }
            if former.state != .recovered {
                try await recovery(ownership: nil).recover(
                    writer.broker, upTo: writer.epoch, volume: volume ?? volumeOf(writer.broker))
            }
        }
        var own = WALOwnership(broker: writer.broker, epoch: writer.epoch, state: .open)
        if volume == nil { own.isInObjects = true }
        let uploader = Uploader(settings: settings, clock: environment.clock)
        let wal = try await makeWAL(own, uploader)
        let taken = try await metadata.update(key, as: WALOwnership.self) { [writer] former throws(LogError) in
            guard let former else { return own }
            guard former == own || former.state == .recovered && former.epoch <= writer.epoch else {
                throw LogError(.fenced, "the write-ahead log of broker \(writer.broker) is held by epoch \(former.epoch)")
            }
            return own
        }
        guard taken == own else {
            throw LogError(.fenced, "the write-ahead log of broker \(writer.broker) was taken by another run")
        }
        let parts = EngineParts(
            settings: settings, environment: environment, meters: meters, store: store, metadata: metadata, wal: wal,
            ownership: .value(key, SharedMetadata.encode(own)), reader: reader, putter: putter, uploader: uploader)
        uploader.begin(parts)
        state.withLock { $0.parts = parts }
        maintain()
    }

    /// The log of this run, empty, where the settings want it.
    private func makeWAL(_ own: WALOwnership, _ uploader: Uploader) async throws(LogError) -> any WALWriter {
        let key = SharedKey.wal(writer.broker)
        let pressure: @Sendable () -> Void = { [weak uploader] in uploader?.kick() }
        let takenOver: @Sendable () async -> LogError? = { [metadata] in
            do throws(LogError) {
                try await metadata.checkUnchanged(key, SharedMetadata.encode(own))
                return nil
            } catch { return error.code == .fenced ? error : nil }
        }
        guard let volume else {
            return ObjectWAL(
                store: store, brokerID: writer.broker, epoch: writer.epoch, environment: environment, settings: settings,
                leaseHolds: leaseHolds, pressure: pressure, takenOver: takenOver,
                noteTrim: { [metadata] number throws(LogError) in try await metadata.noteTrim(number, of: own) })
        }
        let worker = environment.workers.makeWorker(named: "wal-open")
        return try await worker.run { [writer, environment, settings, leaseHolds] () throws(LogError) in
            try WriteAheadLog.create(
                disk: volume.disk, path: volume.path, brokerID: writer.broker, epoch: writer.epoch, environment: environment,
                settings: settings, leaseHolds: leaseHolds, pressure: pressure, takenOver: takenOver)
        }
    }

    func recovery(ownership: Transaction.Condition?) -> WALRecovery {
        WALRecovery(
            metadata: metadata, putter: putter, store: store, settings: settings, clock: environment.clock,
            worker: environment.workers.makeWorker(named: "wal-recovery"), ownership: ownership)
    }

    /// The broker has lost its registration: nothing is written, acknowledged or committed from now on.
    public func fence() {
        state.withLock { $0.parts }?.wal.fail(
            LogError(.fenced, "broker \(writer.broker) has lost its lease at epoch \(writer.epoch); it must register anew"))
    }

    // MARK: Other brokers

    /// Fences the dead broker's WAL, replays it and closes its streams. After an error the caller calls again: what was done is
    /// passed over.
    public func brokerDied(_ broker: BrokerID, epoch: BrokerEpoch, assigned: Bool) async throws(LogError) {
        guard assigned, broker != writer.broker else { return }
        await recoveryGates.enter(broker)
        defer { recoveryGates.leave(broker) }
        let parts = try running()
        try await recovery(ownership: parts.ownership).recover(broker, upTo: epoch, volume: volumeOf(broker))
    }
}
