//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import InMemoryLog
internal import LogEngine
internal import LogModel
internal import Logging
internal import Metering
internal import ObjectStore
internal import ReplicatedLog
internal import RuntimeEnvironment
internal import SharedStorage
internal import TieredOffload

/// Makes the engines of a broker from its settings: the one place that knows them all.
struct EngineAssembly {
    let configuration: BrokerConfiguration
    let surroundings: NodeSurroundings
    let meters: Meters
    let logger: Logger
    let store: any MetadataStore
    let cache: MetadataCache
    let registration: BrokerRegistration
    let objectStore: (any ObjectStore)?
    let transport: any PeerTransport
    /// Places in `log.dirs` that cannot be used.
    let unusableDirectories: Set<Int>

    private var environment: RuntimeEnvironment { surroundings.environment }

    func build() async throws -> (EngineRegistry, WALVolumes) {
        var registry = EngineRegistry()
        let volumes = WALVolumes(store: store, openVolume: surroundings.openVolume, meters: meters)
        let modes = configuration.enabledModes
        if modes.contains("memory") {
            registry.register(InMemoryEngine(brokerID: configuration.nodeID, environment: environment), placement: .singleOwner)
        }
        if modes.contains("isr") {
            registry.register(try replicated("isr", registry.replicated), placement: .replicated)
        }
        if let objectStore {
            if modes.contains("tiered") { registry.register(try tiered(objectStore, registry.replicated), placement: .replicated) }
            if modes.contains("shared") { registry.register(try await shared(objectStore, volumes), placement: .singleOwner) }
        }
        return (registry, volumes)
    }

    /// One for each of `log.dirs`, in the place of those that cannot be used too.
    private func volumes() throws -> (volumes: [Volume], unusable: [Int: DiskError]) {
        var unusable: [Int: DiskError] = [:]
        let volumes = try configuration.logDirectories.enumerated().map { number, specification in
            if !unusableDirectories.contains(number) {
                do { return try volume(specification) } catch let error as VolumeError where configuration.logDirectories.count > 1
                {
                    // A text that names no volume is an error of whoever wrote it.
                    if surroundings.marksDirectories { _ = try Volume.Kind(parsing: specification) }
                    DataDirectory.report(unusable: error, logger)
                }
            }
            let failure = DiskError(
                code: .inputOutput, operation: "open", path: BrokerConfiguration.plainDirectory(specification), errno: 0)
            unusable[number] = failure
            return Volume(specification: specification, disk: DeadDisk(failure))
        }
        return (volumes, unusable)
    }

    private func volume(_ specification: String) throws -> Volume {
        let request = VolumeRequest(
            specification: specification, classify: Self.writeClass(ofPath:),
            onUnhealthy: { [logger] copy, failure in
                logger.error(
                    "A copy of the volume failed and is left out; restore it", metadata: ["copy": "\(copy)", "error": "\(failure)"])
            })
        return try surroundings.openVolume(request, meters)
    }

    private static func writeClass(ofPath path: String) -> WriteClass {
        if path.hasSuffix(".log") { return .hotLog }
        for suffix in ["index", ".snapshot"] where path.hasSuffix(suffix) { return .index }
        return .metadata
    }

    /// Below each of `log.dirs`; "" for the directory itself, which is then laid out as Kafka's.
    static func directory(ofReplicatedLogsFor mode: String) -> String { mode == "isr" ? "" : mode }

    private func replicated(_ name: String, _ siblings: ReplicatedEngines) throws -> ReplicatedLogEngine {
        var settings = ReplicatedLogSettings()
        settings.name = name
        settings.directory = Self.directory(ofReplicatedLogsFor: name)
        settings.clusterID = cache.current.cluster?.clusterID
        settings.startMayBeRemote = name == "tiered"
        settings.replicaLagTimeMax = configuration.replicaLagTimeMax
        settings.replicaFetchWaitMax = configuration.replicaFetchWaitMax
        settings.replicaFetchMaxBytes = configuration.replicaFetchMaxBytes
        settings.replicaFetchResponseMaxBytes = configuration.replicaFetchResponseMaxBytes
        settings.retentionCheckInterval = configuration.retentionCheckInterval
        settings.producerIDExpiration = configuration.producerIDExpiration
        settings.producerIDExpirationCheckInterval = configuration.producerIDExpirationCheckInterval
        let engines = configuration.enabledModes.intersection(["isr", "tiered"]).count
        settings.tailCacheBytesMax = configuration.tailCacheBytes / max(1, engines)
        // Room for whatever requests may hold and one more, so that it is requests that wait, not appends that are refused.
        settings.queuedBytesMax = configuration.queuedMaxRequestBytes + configuration.socketRequestMaxBytes
        settings.throttles = siblings.throttles
        let registration = registration
        let (volumes, unusable) = try volumes()
        let engine = ReplicatedLogEngine(
            brokerID: configuration.nodeID, volumes: volumes, environment: environment, meters: meters,
            membership: PartitionMembership(store: PartitionStateStore(store: store)), fetcher: fetcher,
            brokerEpoch: { registration.epoch }, settings: settings, logger: logger)
        siblings.add(engine)
        for (number, failure) in unusable { siblings.failed(number, failure) }
        return engine
    }

    private var fetcher: NetworkReplicaFetcher {
        NetworkReplicaFetcher(brokerID: configuration.nodeID, brokerEpoch: registration.epoch, cache: cache, transport: transport)
    }

    private func tiered(_ objectStore: any ObjectStore, _ engines: ReplicatedEngines) throws -> TieredEngine {
        var settings = TieredSettings()
        settings.taskInterval = configuration.remoteLogTaskInterval
        settings.copyLimit = configuration.remoteCopyLimit
        settings.fetchLimit = configuration.remoteFetchLimit
        settings.chunkCompression = configuration.remoteChunkCompression
        settings.chunkCacheBytes = configuration.chunkCacheBytes
        settings.indexCacheBytes = Int(configuration.memory.indexes)
        if let problem = settings.problem { throw ConfigurationError(problem) }
        let tail = try replicated("tiered", engines)
        let fetcher = fetcher
        var leaderTierEnd: TieredEngine.LeaderTierEnd?
        if configuration.followerFetchesFromTierEnd {
            leaderTierEnd = { @Sendable partition, leader, epoch in
                guard let last = try await fetcher.lastTiered(of: partition, from: leader, leaderEpoch: epoch) else { return nil }
                return LeaderLineage(start: last.offset + 1, epoch: last.leaderEpoch, logStart: nil) { asked in
                    try await fetcher.endOffset(forEpoch: asked, of: partition, from: leader, leaderEpoch: epoch)
                }
            }
        }
        let engine = TieredEngine(
            brokerID: configuration.nodeID, tail: tail, store: objectStore, metadata: store, environment: environment,
            settings: settings, leaderTierEnd: leaderTierEnd, meters: meters, logger: logger)
        tail.setTierBootstrap { [weak engine] log, start in
            let lineage = LeaderLineage(
                start: start.leader.localStart, epoch: start.leader.epochBeforeLocalStart, logStart: start.leader.logStart,
                endOffset: start.endOffset)
            return try await engine?.rebuildFollower(log.partition, from: lineage, ifStill: start.position) != nil
        }
        return engine
    }

    private func shared(_ objectStore: any ObjectStore, _ volumes: WALVolumes) async throws -> SharedStorageEngine {
        var settings = SharedStorageSettings()
        settings.walCapacityBytes = configuration.walCapacityBytes
        settings.uploadThresholdBytes = configuration.walUploadThresholdBytes
        settings.uploadInterval = configuration.walUploadInterval
        settings.streamObjectSplitBytes = Int(configuration.streamObjectSplitBytes)
        settings.blockBytes = Int(configuration.objectBlockBytes)
        settings.logCacheBytes = configuration.logCacheBytes
        settings.blockCacheBytes = Int(configuration.blockCacheBytes)
        settings.indexCacheBytes = Int(configuration.memory.indexes)
        settings.closesByUploading = configuration.closesByUploading
        settings.producerIDExpiration = configuration.producerIDExpiration
        settings.destroyedObjectGrace = configuration.objectDeleteRetention
        settings.maintenanceInterval = configuration.objectMaintenanceInterval
        settings.mergeFanIn = configuration.objectMergeFanIn
        settings.preparedObjectTTL = configuration.objectPreparedTTL
        if let problem = settings.problem { throw ConfigurationError(problem) }
        let directory = BrokerConfiguration.plainDirectory(configuration.logDirectory)
        let specification =
            configuration.walVolume
            ?? (configuration.logDirectory.hasPrefix("replicated:")
                ? configuration.logDirectory.dropLast(directory.count) + "\(directory)-wal" : "\(directory)/wal")
        settings.walObjectBatchBytes = configuration.walObjectBatchBytes
        settings.walObjectLinger = configuration.walObjectLinger
        let own = try await volumes.openOwn(
            configuration.nodeID, specification: configuration.walIsInObjects ? nil : specification)
        let registration = registration
        return SharedStorageEngine(
            brokerID: configuration.nodeID, brokerEpoch: registration.epoch, volume: own, volumeOf: { await volumes.reach($0) },
            store: objectStore, metadataStore: store, environment: environment, meters: meters, settings: settings,
            leaseHolds: { !registration.isFenced }, registry: PartitionOwnership(store: PartitionStateStore(store: store)),
            logger: logger)
    }
}

extension SharedStorageEngine: ObjectFootprintProviding {}
extension TieredEngine: ObjectFootprintProviding {}
