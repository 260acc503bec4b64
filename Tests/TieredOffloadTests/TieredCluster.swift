//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import ClusterMetadata
import LogEngine
import LogModel
import Logging
import Metering
import NIOCore
import ObjectStore
import ReplicatedLog
import RuntimeEnvironment
import SimulationKit
import Synchronization
import TieredOffload

/// The partition's record, changed by compare-and-set.
private final class Membership: InSyncReplicaStore {
    let record: Mutex<PartitionAssignment>
    let onChange = Mutex<(@Sendable (PartitionAssignment) -> Void)?>(nil)

    init(_ assignment: PartitionAssignment) { record = Mutex(assignment) }

    func propose(_ proposal: InSyncReplicaProposal) async throws -> InSyncReplicaDecision {
        let accepted = record.withLock { record -> PartitionAssignment? in
            guard record.leader == proposal.leader, record.leaderEpoch == proposal.leaderEpoch,
                record.partitionEpoch == proposal.partitionEpoch
            else { return nil }
            record.inSyncReplicas = proposal.inSyncReplicas
            record.partitionEpoch += 1
            return record
        }
        guard let accepted else { return .superseded }
        onChange.withLock { $0 }?(accepted)
        return .accepted(accepted)
    }
}

/// Carries fetches between the engines of one process, through the tiered logs as a broker's frontend does.
private final class DirectFetcher: ReplicaFetcher {
    struct Unreachable: Error {}

    let broker: BrokerID
    let engines: @Sendable (BrokerID) -> TieredEngine?
    let fetchedBytes = Counter()

    init(broker: BrokerID, engines: @escaping @Sendable (BrokerID) -> TieredEngine?) {
        self.broker = broker
        self.engines = engines
    }

    func fetch(
        from leader: BrokerID, lane: Int, requests: [ReplicaFetchRequest], maxWait: Duration, minBytes: Int, maxBytes: Int
    ) async throws -> [PartitionID: ReplicaFetchResponse] {
        let deadline = ContinuousClock.now + maxWait
        while true {
            guard let engine = engines(leader), engines(broker) != nil else { throw Unreachable() }
            var responses: [PartitionID: ReplicaFetchResponse] = [:]
            var isWorthwhile = false
            for request in requests {
                let response = await answer(request, engine)
                fetchedBytes.add(Int64(response.records.readableBytes))
                isWorthwhile =
                    isWorthwhile || response.records.readableBytes >= minBytes || response.failure != nil
                    || response.divergingEpoch != nil
                responses[request.partition] = response
            }
            if isWorthwhile || ContinuousClock.now > deadline { return responses }
            try await Task.sleep(for: .milliseconds(1))
        }
    }

    private func answer(_ request: ReplicaFetchRequest, _ engine: TieredEngine) async -> ReplicaFetchResponse {
        guard let log = engine.log(for: request.partition) else { return ReplicaFetchResponse(failure: .notLeader) }
        do {
            let result = try await log.read(
                from: request.fetchOffset, maxBytes: request.maxBytes, minOneBatch: true, bound: .logEnd,
                reader: .replica(
                    broker, brokerEpoch: BrokerEpoch(1), lastFetchedEpoch: request.lastFetchedEpoch, logStart: request.logStart),
                currentLeaderEpoch: request.currentLeaderEpoch)
            return ReplicaFetchResponse(
                records: try result.records.contiguous(), highWatermark: result.offsets.highWatermark,
                logStart: result.offsets.logStart, divergingEpoch: result.divergingEpoch)
        } catch let error as LogError {
            return ReplicaFetchResponse(failure: error.code)
        } catch {
            return ReplicaFetchResponse(failure: .storageFailure)
        }
    }

    func offsets(of partition: PartitionID, from leader: BrokerID, leaderEpoch: LeaderEpoch) async throws -> LeaderOffsets {
        guard let log = engines(leader)?.log(for: partition) else { throw Unreachable() }
        let offsets = log.offsets
        return LeaderOffsets(
            logStart: offsets.logStart, localStart: offsets.localStart, logEnd: offsets.logEnd,
            epochBeforeLocalStart: offsets.localStart > .zero ? log.leaderEpoch(at: offsets.localStart - 1) ?? .none : .none)
    }

    func endOffset(
        forEpoch epoch: LeaderEpoch, of partition: PartitionID, from leader: BrokerID, leaderEpoch: LeaderEpoch
    ) async throws -> EpochEndOffset? {
        guard let log = engines(leader)?.log(for: partition) else { throw Unreachable() }
        return try log.endOffset(forEpoch: epoch)
    }
}

/// Brokers in one process, replicated tails below tiered logs, one partition.
final class TieredCluster: Sendable {
    private struct Broker: Sendable {
        var engine: TieredEngine
        var fetcher: DirectFetcher
    }

    let store: SimulatedObjectStore
    let metadata = InMemoryMetadataStore(clock: RuntimeEnvironment.system.clock)
    let partition: PartitionID
    let configuration: LogConfiguration
    private let membership: Membership
    private let brokers = Mutex<[BrokerID: Broker]>([:])

    init(brokers ids: [Int32] = [1, 2, 3], configuration: LogConfiguration = .smallSegments) async throws {
        store = SimulatedObjectStore(clock: RuntimeEnvironment.system.clock)
        self.configuration = configuration
        partition = PartitionID(topicID: TopicID(high: 11, low: 12), topic: "moved", partition: 0)
        let replicas = ids.map { BrokerID($0) }
        membership = Membership(
            PartitionAssignment(
                partition: partition, leader: replicas[0], leaderEpoch: LeaderEpoch(0), partitionEpoch: 0, replicas: replicas,
                inSyncReplicas: replicas))
        for id in ids { try await start(id) }
        membership.onChange.withLock { onChange in
            onChange = { [weak self] change in Task { [weak self] in try await self?.tell(change) } }
        }
        try await change { _ in }
    }

    func start(_ id: Int32) async throws {
        let broker = BrokerID(id)
        let fetcher = DirectFetcher(broker: broker) { [weak self] id in self?.brokers.withLock { $0[id]?.engine } }
        var settings = ReplicatedLogSettings()
        settings.startMayBeRemote = true
        settings.replicaFetchBackoff = .milliseconds(5)
        settings.replicaFetchMaxBytes = 4_096
        let tail = ReplicatedLogEngine(
            brokerID: broker, volumes: [Volume(specification: "simulated", disk: SimulatedDisk(seed: UInt64(id)))],
            environment: .system,
            meters: Meters(), membership: membership, fetcher: fetcher, brokerEpoch: { BrokerEpoch(1) }, settings: settings,
            logger: Logger(label: "tail", factory: { _ in SwiftLogNoOpLogHandler() }))
        var tiered = TieredSettings()
        tiered.taskInterval = .milliseconds(20)
        tiered.chunkBytes = 4_096
        tiered.readAheadBytes = 16_384
        tiered.orphanGrace = .milliseconds(50)
        let engine = TieredEngine(
            brokerID: broker, tail: tail, store: store, metadata: metadata, environment: .system, settings: tiered,
            logger: Logger(label: "tier", factory: { _ in SwiftLogNoOpLogHandler() }))
        tail.setTierBootstrap { [weak engine] log, start in
            let lineage = LeaderLineage(
                start: start.leader.localStart, epoch: start.leader.epochBeforeLocalStart, logStart: start.leader.logStart,
                endOffset: start.endOffset)
            return try await engine?.rebuildFollower(log.partition, from: lineage, ifStill: start.position) != nil
        }
        try await engine.start()
        brokers.withLock { $0[broker] = Broker(engine: engine, fetcher: fetcher) }
    }

    /// Nobody reaches it from now on; its engine ends behind that.
    func stop(_ id: Int32) async {
        let broker = brokers.withLock { $0.removeValue(forKey: BrokerID(id)) }
        await broker?.engine.shutdown()
    }

    func engine(_ id: Int32) -> TieredEngine { brokers.withLock { $0[BrokerID(id)]!.engine } }
    func log(_ id: Int32) -> any PartitionLog { engine(id).log(for: partition)! }
    func fetchedBytes(_ id: Int32) -> Int64 { brokers.withLock { $0[BrokerID(id)]!.fetcher.fetchedBytes.value } }
    var assignment: PartitionAssignment { membership.record.withLock { $0 } }

    func change(_ body: (inout PartitionAssignment) -> Void) async throws {
        let changed = membership.record.withLock { record in
            body(&record)
            record.partitionEpoch += 1
            return record
        }
        try await tell(changed)
    }

    private func tell(_ assignment: PartitionAssignment) async throws {
        let engines = brokers.withLock { $0.sorted { $0.key < $1.key }.map(\.value.engine) }
        for engine in engines { try await engine.apply(assignment, configuration: configuration) }
    }

    func elect(_ id: Int32, inSync: [Int32]) async throws {
        try await change { record in
            record.leader = BrokerID(id)
            record.leaderEpoch = record.leaderEpoch.next
            record.inSyncReplicas = inSync.map { BrokerID($0) }
        }
    }

    func shutdown() async { for id in brokers.withLock({ Array($0.keys) }) { await stop(id.rawValue) } }

    /// Appends batches of three records that all in-sync replicas have on return.
    func append(_ batches: Int, to id: Int32, _ text: String) async throws {
        var receipts: [AppendReceipt] = []
        for number in 0..<batches {
            let records = (0..<3).map { part in
                Record(
                    timestamp: Timestamp(1_000), key: nil,
                    value: ByteBuffer(string: "\(text)-\(number)-\(part)-" + String(repeating: "x", count: 120)))
            }
            receipts.append(
                try log(id).append(try RecordBatches(verifying: RecordBatchBuilder.batch(of: records)), acks: .all, epoch: nil))
        }
        for receipt in receipts { try await receipt.durable.wait() }
    }

    /// The values a consumer reads at `id`, and whether their offsets run from 0 without gap.
    func values(_ id: Int32) async throws -> (texts: [String], isDense: Bool) {
        var texts: [String] = []
        var isDense = true
        var next = log(id).offsets.logStart
        while next < log(id).offsets.highWatermark {
            let result = try await log(id).read(
                from: next, maxBytes: 5_000, minOneBatch: true, bound: .highWatermark, reader: .consumer, currentLeaderEpoch: nil)
            let batches = try RecordBatches(verifying: try result.records.contiguous(), allowsPartialTail: true)
            for entry in batches.entries {
                for record in try batches.records(of: entry) where record.offset >= next {
                    isDense = isDense && record.offset == Offset(Int64(texts.count))
                    texts.append(String(String(buffer: record.value!).prefix { $0 != "x" }))
                }
            }
            guard let last = batches.entries.last else { break }
            next = last.header.endOffset
        }
        return (texts, isDense)
    }
}

extension LogConfiguration {
    /// Segments of some ten batches; on the volume only the active one and about one more.
    static var smallSegments: LogConfiguration {
        var configuration = LogConfiguration()
        configuration.retentionTime = nil
        configuration.segmentBytes = 8_192
        configuration.indexIntervalBytes = 1_024
        configuration.localRetentionBytes = 8_192
        configuration.fileDeleteDelay = .zero
        return configuration
    }
}
