//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import ClusterMetadata
import LogEngine
import LogEngineTesting
import LogModel
import Logging
import Metering
import ObjectStore
import ReplicatedLog
import RuntimeEnvironment
import SimulationKit
import Synchronization
import Testing
import TieredOffload

/// One replica: there is nobody to ask.
private struct NobodyElse: InSyncReplicaStore, ReplicaFetcher {
    struct Alone: Error {}
    func propose(_ proposal: InSyncReplicaProposal) async throws -> InSyncReplicaDecision { throw Alone() }
    func fetch(
        from leader: BrokerID, lane: Int, requests: [ReplicaFetchRequest], maxWait: Duration, minBytes: Int, maxBytes: Int
    ) async throws -> [PartitionID: ReplicaFetchResponse] { throw Alone() }
    func offsets(of partition: PartitionID, from leader: BrokerID, leaderEpoch: LeaderEpoch) async throws -> LeaderOffsets {
        throw Alone()
    }
    func endOffset(
        forEpoch epoch: LeaderEpoch, of partition: PartitionID, from leader: BrokerID, leaderEpoch: LeaderEpoch
    ) async throws -> EpochEndOffset? { throw Alone() }
}

/// Gives every partition segments of a few kilobytes and no local retention, so that the cases' records go up while they are written and
/// their reads come down.
private struct EagerlyTiered: LogEngine {
    let engine: TieredEngine

    var name: String { engine.name }
    func start() async throws(LogError) { try await engine.start() }
    func apply(_ assignment: PartitionAssignment, configuration: LogConfiguration) async throws(LogError) -> (any PartitionLog)? {
        var configuration = configuration
        configuration.segmentBytes = min(configuration.segmentBytes, 8_192)
        configuration.indexIntervalBytes = min(configuration.indexIntervalBytes, 512)
        configuration.localRetentionBytes = 0
        return try await engine.apply(assignment, configuration: configuration)
    }
    func log(for partition: PartitionID) -> (any PartitionLog)? { engine.log(for: partition) }
    var logs: [any PartitionLog] { engine.logs }
    func delete(_ partition: PartitionID, ownsSharedData: Bool) async throws(LogError) {
        try await engine.delete(partition, ownsSharedData: ownsSharedData)
    }
    func brokerDied(_ broker: BrokerID, epoch: BrokerEpoch, assigned: Bool) async throws(LogError) {}
    func footprint() async throws(LogError) -> Footprint { try await engine.footprint() }
    func settle() async throws(LogError) { try await engine.settle() }
    func shutdown() async { await engine.shutdown() }
}

private final class TieredUnderTest: EngineUnderTest {
    let brokerID = BrokerID(1)
    let environment = RuntimeEnvironment.system
    private let disk = Mutex(SimulatedDisk(seed: 1))
    private let store = SimulatedObjectStore(clock: RuntimeEnvironment.system.clock)
    private let metadata = InMemoryMetadataStore(clock: RuntimeEnvironment.system.clock)
    private let isEager: Bool

    init(isEager: Bool) { self.isEager = isEager }

    func makeEngine() async throws -> any LogEngine {
        var settings = ReplicatedLogSettings()
        settings.clusterID = "conformance"
        settings.startMayBeRemote = true
        let tail = ReplicatedLogEngine(
            brokerID: brokerID, volumes: [Volume(specification: "test", disk: disk.withLock { $0 })], environment: environment,
            meters: Meters(), membership: NobodyElse(), fetcher: NobodyElse(), brokerEpoch: { BrokerEpoch(1) }, settings: settings)
        var tiered = TieredSettings()
        tiered.chunkBytes = 4_096
        tiered.readAheadBytes = 16_384
        tiered.settlePatience = .milliseconds(100)
        let engine = TieredEngine(
            brokerID: brokerID, tail: tail, store: store, metadata: metadata, environment: environment, settings: tiered,
            logger: Logger(label: "tier-test", factory: { _ in SwiftLogNoOpLogHandler() }))
        return isEager ? EagerlyTiered(engine: engine) : engine
    }

    func kill(_ engine: any LogEngine) async throws {
        disk.withLock { $0 = $0.crash(.processKill) }
        await engine.shutdown()
    }
}

/// The suite that every engine passes, over Kafka's files: as configured by the cases, and with everything going up at once.
@Suite struct ConformanceTests {
    private static let traits = {
        var traits = EngineTraits()
        traits.enforcesMinInSyncReplicas = true
        traits.physicalCopies = 0
        return traits
    }()

    @Test(arguments: LogEngineConformance.cases(for: traits))
    func conforms(_ promise: ConformanceCase) async throws {
        try await promise.run(traits: Self.traits) { TieredUnderTest(isEager: false) }
    }

    /// What is asked of the volume alone is not asked where the records are elsewhere.
    @Test(arguments: LogEngineConformance.cases(for: traits).filter { !$0.name.contains("footprint") })
    func conformsWithEverythingInTheTier(_ promise: ConformanceCase) async throws {
        try await promise.run(traits: Self.traits) { TieredUnderTest(isEager: true) }
    }
}
