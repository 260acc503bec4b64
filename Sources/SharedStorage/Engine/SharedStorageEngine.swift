//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import ClusterMetadata
public import LogEngine
public import LogModel
public import Logging
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
        /// What the names of the rings' files begin with, one for each run of a broker; relative to the disk's root.
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
        /// Never opened again: a topic's id is no other's ever.
        var deleted: Set<StreamID> = []
        /// Somebody looks after what ended runs have left.
        var isRecoveringLeft = false
        var isStopped = false
    }

    public let name = "shared"
    /// nil: the WAL goes to the object store.
    let volume: WALVolume?
    let volumeOf: @Sendable (BrokerID) async -> WALVolume?
    let store: any ObjectStore
    let metadata: SharedMetadata
    let environment: RuntimeEnvironment
    let meters: Meters
    let settings: SharedStorageSettings
    let leaseHolds: @Sendable () -> Bool
    let registry: any OwnershipRegistry
    let logger: Logger
    let upkeep: UpkeepReport
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
        brokerID: BrokerID, brokerEpoch: BrokerEpoch, volume: WALVolume?,
        volumeOf: @escaping @Sendable (BrokerID) async -> WALVolume?,
        store: any ObjectStore, metadataStore: any MetadataStore, environment: RuntimeEnvironment, meters: Meters,
        settings: SharedStorageSettings = SharedStorageSettings(), leaseHolds: @escaping @Sendable () -> Bool,
        registry: any OwnershipRegistry, logger: Logger = Logger(label: "ninefold.shared")
    ) {
        self.logger = logger
        upkeep = UpkeepReport(meters: meters, clock: environment.clock, logger: logger)
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
        putter = ObjectPutter(store: store, metadata: metadata, settings: settings, reader: reader, meters: meters)
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

    /// The broker has lost its registration: nothing is written, acknowledged or committed from now on.
    public func fence() {
        state.withLock { $0.parts }?.wal.fail(
            LogError(.fenced, "broker \(writer.broker) has lost its lease at epoch \(writer.epoch); it must register anew"))
    }

    // MARK: Other brokers

    /// Fences the dead broker's WAL, replays it and closes its streams. After an error the caller calls again: what was done is
    /// passed over. Streams that cannot be brought now are tried again behind; they alone stay closed to others until then.
    public func brokerDied(_ broker: BrokerID, epoch: BrokerEpoch, assigned: Bool) async throws(LogError) {
        guard assigned, broker != writer.broker else { return }
        await recoveryGates.enter(broker)
        defer { recoveryGates.leave(broker) }
        let parts = try running()
        let left = try await recovery(ownership: parts.ownership).recover(broker, upTo: epoch, volume: await volumeOf(broker))
        report(left, of: broker)
        if !left.isEmpty { recoverLeft() }
    }
}
