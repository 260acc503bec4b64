//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import InMemoryLog
internal import KafkaNetwork
internal import LogEngine
internal import Logging
internal import Metering
internal import ObjectStore
internal import RuntimeEnvironment
internal import SharedStorage

/// Makes the engines of a broker from its settings: the one place that knows them all.
struct EngineAssembly {
    let configuration: BrokerConfiguration
    let environment: RuntimeEnvironment
    let meters: Meters
    let logger: Logger
    let store: any MetadataStore
    let cache: MetadataCache
    let registration: BrokerRegistration
    let objectStore: (any ObjectStore)?
    let transport: TCPPeerTransport

    func build() async throws -> (EngineRegistry, WALVolumes) {
        var registry = EngineRegistry()
        let volumes = WALVolumes(store: store, meters: meters)
        registry.register(InMemoryEngine(brokerID: configuration.nodeID, environment: environment), placement: .singleOwner)
        if let objectStore {
            registry.register(try await shared(objectStore, volumes), placement: .singleOwner)
        }
        return (registry, volumes)
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
        settings.destroyedObjectGrace = configuration.objectDeleteRetention
        if let problem = settings.problem { throw ConfigurationError(problem) }
        let directory = BrokerConfiguration.plainDirectory(configuration.logDirectory)
        let specification =
            configuration.walVolume
            ?? (configuration.logDirectory.hasPrefix("replicated:")
                ? configuration.logDirectory.dropLast(directory.count) + "\(directory)-wal" : "\(directory)/wal")
        let own = try await volumes.openOwn(configuration.nodeID, specification: specification)
        let registration = registration
        return SharedStorageEngine(
            brokerID: configuration.nodeID, brokerEpoch: registration.epoch, volume: own, volumeOf: { volumes.volume(of: $0) },
            store: objectStore, metadataStore: store, environment: environment, meters: meters, settings: settings,
            leaseHolds: { !registration.isFenced }, registry: PartitionOwnership(store: PartitionStateStore(store: store)))
    }
}

extension SharedStorageEngine: ObjectFootprintProviding {}
