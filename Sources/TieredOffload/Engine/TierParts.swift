//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import LogModel
internal import Logging
internal import Metering
internal import ObjectStore
internal import RuntimeEnvironment

/// What all logs of one engine share.
struct TierParts: Sendable {
    let broker: BrokerID
    let settings: TieredSettings
    let environment: RuntimeEnvironment
    let store: any ObjectStore
    let metadata: TierMetadata
    let reader: RemoteReader
    let uploader: SegmentUploader
    let attempts = LiveAttempts()
    let copyGate: TransferGate
    let fetchGate: TransferGate
    /// Uploads at one time, over all partitions.
    let copySlots: Gate
    /// Asks a leader for the exclusive end of its tier; nil unless new followers begin there.
    let leaderTierEnd: TieredEngine.LeaderTierEnd?
    let worker: any Worker
    let meters: Meters
    let logger: Logger

    init(
        broker: BrokerID, store: any ObjectStore, metadata: any MetadataStore, environment: RuntimeEnvironment,
        settings: TieredSettings, leaderTierEnd: TieredEngine.LeaderTierEnd?, meters: Meters, logger: Logger
    ) {
        self.meters = meters
        self.leaderTierEnd = leaderTierEnd
        self.broker = broker
        self.settings = settings
        self.environment = environment
        self.store = store
        self.metadata = TierMetadata(store: metadata)
        self.logger = logger
        copyGate = TransferGate(settings.copyLimit, clock: environment.clock)
        fetchGate = TransferGate(settings.fetchLimit, clock: environment.clock)
        reader = RemoteReader(store: store, settings: settings)
        uploader = SegmentUploader(
            metadata: self.metadata, store: store, settings: settings, environment: environment, broker: broker,
            memories: PartMemories(keptMax: settings.copyConcurrency))
        copySlots = Gate(width: settings.copyConcurrency)
        worker = environment.workers.makeWorker(named: "tier-copy-\(broker)")
    }
}
