//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import ClusterMetadata
import LogEngine
import LogModel
import LogSegments
import Logging
import Metering
import NIOCore
import ObjectStore
import RuntimeEnvironment
import SimulationKit
import Synchronization
import Testing
import TieredOffload

/// Brokers over one metadata store and one object store, with the shorthand of the tests.
final class TierBench: Sendable {
    let world: SimulatedWorld
    let metadata: any MetadataStore
    let partition: PartitionID
    var store: SimulatedObjectStore { world.objectStore }

    init(seed: UInt64 = 1) {
        world = SimulatedWorld(seed: seed)
        metadata = InMemoryMetadataStore(clock: world.clock)
        partition = PartitionID(topicID: TopicID(high: 7, low: seed), topic: "orders", partition: 3)
    }

    /// One run of a broker over what it kept.
    struct Broker {
        let id: BrokerID
        let engine: TieredEngine
        let tail: TailEngine
        let bench: TierBench

        var log: any PartitionLog { engine.log(for: bench.partition)! }
        var tailLog: TailLog { tail.log(for: bench.partition) as! TailLog }
    }

    func storage(_ broker: Int32) -> TailStorage { TailStorage(disk: world.disk(of: broker)) }

    func start(
        _ id: Int32 = 1, over storage: TailStorage? = nil, leader: Int32? = nil, epoch: Int32 = 1, replicas: [Int32]? = nil,
        metadata: (any MetadataStore)? = nil, store: (any ObjectStore)? = nil, settings: TieredSettings = .test,
        configuration: LogConfiguration = .test, inSync: [Int32]? = nil, leaderTierEnd: TieredEngine.LeaderTierEnd? = nil,
        meters: Meters = Meters(), logger: Logger = Logger(label: "tier-test", factory: { _ in SwiftLogNoOpLogHandler() })
    ) async throws -> Broker {
        let tail = TailEngine(broker: BrokerID(id), storage: storage ?? self.storage(id))
        let engine = TieredEngine(
            brokerID: BrokerID(id), tail: tail, store: store ?? self.store, metadata: metadata ?? self.metadata,
            environment: world.environment, settings: settings, leaderTierEnd: leaderTierEnd,
            meters: meters, logger: logger)
        try await engine.start()
        let broker = Broker(id: BrokerID(id), engine: engine, tail: tail, bench: self)
        try await apply(
            broker, leader: leader ?? id, epoch: epoch, replicas: replicas ?? [id], inSync: inSync, configuration: configuration)
        return broker
    }

    func apply(
        _ broker: Broker, leader: Int32, epoch: Int32, replicas: [Int32], inSync: [Int32]? = nil,
        configuration: LogConfiguration = .test
    ) async throws {
        let inSync = inSync.map { $0.map { BrokerID($0) } }
        let replicas = replicas.map { BrokerID($0) }
        try await broker.engine.apply(
            PartitionAssignment(
                partition: partition, leader: BrokerID(leader), leaderEpoch: LeaderEpoch(epoch), partitionEpoch: Int64(epoch),
                replicas: replicas, inSyncReplicas: inSync ?? replicas),
            configuration: configuration)
    }

    /// The records of the tier in the metadata store.
    func records() async throws -> [RemoteSegment] {
        let listed = try await metadata.list(prefix: TierKey.metadata).values
        return try listed.filter { !$0.key.hasSuffix("/leader") }.map { try decodeRecord($0.value) }
    }

    /// Objects and records say the same, and nothing is half done.
    func expectNoOrphans(sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let records = try await records()
        #expect(records.allSatisfy { $0.state == .copyFinished }, sourceLocation: sourceLocation)
        #expect(Set(store.keys) == Set(records.flatMap { TierKey.all($0) }), sourceLocation: sourceLocation)
    }
}

extension TierBench.Broker {
    /// Appends `batches` batches of five records of about `valueBytes`, at times 1000 ms apart by batch, and seals a segment.
    func fill(batches: Int, valueBytes: Int = 100, seals: Bool = true) async throws {
        for _ in 0..<batches {
            let base = log.offsets.logEnd.rawValue
            let records = (0..<5).map { number in
                Record(
                    timestamp: Timestamp(TierBench.time(of: base) + Int64(number)), key: nil,
                    value: ByteBuffer(repeating: UInt8(truncatingIfNeeded: base), count: valueBytes))
            }
            let batch = try RecordBatches(
                verifying: RecordBatchBuilder.batch(of: records, producerID: 9, producerEpoch: 0, baseSequence: Int32(base)))
            _ = try log.append(batch, acks: .all, epoch: nil)
        }
        if seals { try tailLog.content.seal() }
    }

    /// All bytes from `start` on, by as many reads as it takes.
    func readAll(from start: Offset? = nil, maxBytes: Int = 4_000) async throws -> ByteBuffer {
        var all = ByteBuffer()
        var next = start ?? log.offsets.logStart
        while true {
            let result = try await log.read(
                from: next, maxBytes: maxBytes, minOneBatch: true, bound: .highWatermark, reader: .consumer, currentLeaderEpoch: nil
            )
            var bytes = try result.records.contiguous()
            let batches = try RecordBatches(verifying: bytes)
            guard let last = batches.entries.last else { return all }
            #expect(batches.entries[0].header.baseOffset <= next && next < batches.entries[0].header.endOffset)
            next = last.header.endOffset
            all.writeBuffer(&bytes)
        }
    }

    /// What this broker as leader tells a follower.
    func lineage(start: Offset? = nil) -> LeaderLineage {
        let log = log
        let start = start ?? log.offsets.localStart
        return LeaderLineage(start: start, epoch: log.leaderEpoch(at: start - 1) ?? .none, logStart: log.offsets.logStart) {
            try log.endOffset(forEpoch: $0)
        }
    }

    /// What a follower would have fetched.
    func copyAll(to other: TierBench.Broker) async throws {
        let bytes = try await readAll(from: max(log.offsets.localStart, other.log.offsets.logEnd), maxBytes: 1 << 20)
        other.tailLog.content.append(try RecordBatches(verifying: bytes))
    }
}

extension TierBench {
    static func time(of offset: Int64) -> Int64 { 1_000_000 + offset * 200 }
}

extension TieredSettings {
    /// Rounds when the test asks for them.
    static var test: TieredSettings {
        var settings = TieredSettings()
        settings.taskInterval = .seconds(86_400)
        settings.chunkBytes = 4_096
        settings.readAheadBytes = 16_384
        settings.chunkCacheBytes = 1 << 20
        settings.settlePatience = .zero
        settings.orphanGrace = .seconds(60)
        return settings
    }
}

extension LogConfiguration {
    /// Keeps everything in the tier, and nothing sealed on the volume.
    static var test: LogConfiguration {
        var configuration = LogConfiguration()
        configuration.retentionTime = nil
        configuration.localRetentionBytes = 0
        return configuration
    }
}

/// Waits for what another task brings about.
func eventually(_ what: String, _ condition: () async throws -> Bool) async throws {
    let deadline = ContinuousClock.now + .seconds(20)
    while try await !condition() {
        guard ContinuousClock.now < deadline else {
            Issue.record("never: \(what)")
            return
        }
        try await Task.sleep(for: .milliseconds(1))
    }
}

func failure(of body: () async throws -> Void) async -> LogError.Code? {
    do {
        try await body()
        return nil
    } catch { return (error as? LogError)?.code }
}
