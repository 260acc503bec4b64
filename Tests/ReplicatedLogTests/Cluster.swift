//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogEngine
import LogModel
import Logging
import Metering
import NIOCore
import ReplicatedLog
import RuntimeEnvironment
import SimulationKit
import Synchronization

/// The partition records of a cluster, changed as the metadata store changes them: by compare-and-set.
final class Records: InSyncReplicaStore {
    private let records = Mutex<[PartitionID: PartitionAssignment]>([:])
    /// Called with each change, so that the brokers hear of it.
    let onChange = Mutex<(@Sendable (PartitionAssignment) -> Void)?>(nil)
    /// Proposals fail without an answer while set; `true`: having been carried out.
    let losesAnswers = Mutex<Bool?>(nil)

    struct Unavailable: Error {}

    func put(_ assignment: PartitionAssignment) { records.withLock { $0[assignment.partition] = assignment } }
    subscript(partition: PartitionID) -> PartitionAssignment? { records.withLock { $0[partition] } }

    func propose(_ proposal: InSyncReplicaProposal) async throws -> InSyncReplicaDecision {
        let loses = losesAnswers.withLock { $0 }
        if loses == false { throw Unavailable() }
        let (decision, changed) = records.withLock { records -> (InSyncReplicaDecision, PartitionAssignment?) in
            guard var record = records[proposal.partition], record.leader == proposal.leader,
                record.leaderEpoch == proposal.leaderEpoch, record.partitionEpoch == proposal.partitionEpoch
            else { return (.superseded, nil) }
            record.inSyncReplicas = proposal.inSyncReplicas
            record.partitionEpoch += 1
            records[proposal.partition] = record
            return (.accepted(record), record)
        }
        if let changed { onChange.withLock { $0 }?(changed) }
        if loses == true { throw Unavailable() }
        return decision
    }
}

/// Carries fetches between the engines of one process.
final class DirectFetcher: ReplicaFetcher {
    struct Unreachable: Error {}

    let engines = Mutex<[BrokerID: any LogEngine]>([:])
    private let cut = Mutex<Set<BrokerID>>([])
    let broker: BrokerID

    init(broker: BrokerID) { self.broker = broker }

    /// Nobody reaches, or is reached by, a broker that is cut off.
    func setCut(_ brokers: Set<BrokerID>) { cut.withLock { $0 = brokers } }

    private func engine(_ leader: BrokerID) throws -> any LogEngine {
        guard cut.withLock({ !$0.contains(leader) && !$0.contains(broker) }), let engine = engines.withLock({ $0[leader] }) else {
            throw Unreachable()
        }
        return engine
    }

    func fetch(
        from leader: BrokerID, lane: Int, requests: [ReplicaFetchRequest], maxWait: Duration, minBytes: Int, maxBytes: Int
    ) async throws -> [PartitionID: ReplicaFetchResponse] {
        let deadline = ContinuousClock.now + maxWait
        while true {
            let engine = try engine(leader)
            var responses: [PartitionID: ReplicaFetchResponse] = [:]
            var isWorthwhile = false
            var rest = maxBytes
            for request in requests {
                let response = await answer(request, engine, maxBytes: min(request.maxBytes, rest))
                rest = max(0, rest - response.records.readableBytes)
                isWorthwhile =
                    isWorthwhile || response.records.readableBytes >= minBytes || response.failure != nil
                    || response.divergingEpoch != nil
                responses[request.partition] = response
            }
            if isWorthwhile || ContinuousClock.now > deadline { return responses }
            try await Task.sleep(for: .milliseconds(1))
        }
    }

    private func answer(_ request: ReplicaFetchRequest, _ engine: any LogEngine, maxBytes: Int) async -> ReplicaFetchResponse {
        guard let log = engine.log(for: request.partition) else { return ReplicaFetchResponse(failure: .notLeader) }
        do {
            let result = try await log.read(
                from: request.fetchOffset, maxBytes: maxBytes, minOneBatch: true, bound: .logEnd,
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
        guard let log = try engine(leader).log(for: partition) else { throw Unreachable() }
        return LeaderOffsets(logStart: log.offsets.logStart, localStart: log.offsets.localStart, logEnd: log.offsets.logEnd)
    }

    func endOffset(
        forEpoch epoch: LeaderEpoch, of partition: PartitionID, from leader: BrokerID, leaderEpoch: LeaderEpoch
    ) async throws -> EpochEndOffset? {
        guard let log = try engine(leader).log(for: partition) else { throw Unreachable() }
        return try log.endOffset(forEpoch: epoch)
    }
}

/// Three brokers in one process, each with a disk in memory.
final class Cluster: Sendable {
    struct Broker: Sendable {
        var engine: ReplicatedLogEngine
        var disk: SimulatedDisk
        var fetcher: DirectFetcher
        var meters: Meters
        var throttles: ReplicationThrottles
    }

    let records = Records()
    let partition: PartitionID
    private let brokers = Mutex<[BrokerID: Broker]>([:])
    private let dead = Mutex<Set<BrokerID>>([])
    let configuration: LogConfiguration
    private let settings: ReplicatedLogSettings

    init(
        configuration: LogConfiguration = .keeping, lagTimeMax: Duration = .seconds(30), brokers ids: [Int32] = [1, 2, 3]
    ) async throws {
        var generator = SystemRandomNumberGenerator()
        partition = PartitionID(topicID: .random(using: &generator), topic: "replicated", partition: 0)
        self.configuration = configuration
        var settings = ReplicatedLogSettings()
        settings.replicaLagTimeMax = lagTimeMax
        settings.replicaFetchBackoff = .milliseconds(5)
        settings.membershipRetryInterval = .milliseconds(5)
        self.settings = settings
        for id in ids { try await start(BrokerID(id), disk: SimulatedDisk(seed: UInt64(id))) }
    }

    subscript(id: Int32) -> Broker { brokers.withLock { $0[BrokerID(id)]! } }
    func log(_ id: Int32) -> any PartitionLog { self[id].engine.log(for: partition)! }

    func start(_ id: BrokerID, disk: SimulatedDisk) async throws {
        let fetcher = DirectFetcher(broker: id)
        let meters = Meters()
        var settings = settings
        settings.throttles = ReplicationThrottles()
        let engine = ReplicatedLogEngine(
            brokerID: id, volumes: [Volume(specification: "simulated", disk: disk)], environment: .system, meters: meters,
            membership: records, fetcher: fetcher, brokerEpoch: { BrokerEpoch(1) }, settings: settings, logger: .silent)
        try await engine.start()
        brokers.withLock {
            $0[id] = Broker(engine: engine, disk: disk, fetcher: fetcher, meters: meters, throttles: settings.throttles)
        }
        dead.withLock { _ = $0.remove(id) }
        introduce()
    }

    private func introduce() {
        let all = brokers.withLock { $0 }
        let dead = dead.withLock { $0 }
        for broker in all.values {
            broker.fetcher.engines.withLock { $0 = all.mapValues(\.engine) }
            broker.fetcher.setCut(dead)
        }
    }

    /// Nobody reaches the broker any more, nor it anybody.
    func isolate(_ id: Int32) {
        dead.withLock { _ = $0.insert(BrokerID(id)) }
        introduce()
    }

    func rejoin(_ id: Int32) {
        dead.withLock { _ = $0.remove(BrokerID(id)) }
        introduce()
    }

    /// Ends the broker without warning; its disk as the crash leaves it is returned.
    func crash(_ id: Int32, _ crash: SimulatedDisk.Crash = .processKill) async -> SimulatedDisk {
        isolate(id)
        let broker = self[id]
        let next = broker.disk.crash(crash)
        await broker.engine.shutdown()
        return next
    }

    /// Makes `assignment` known to all brokers that are up, the leader first.
    func apply(_ change: (inout PartitionAssignment) -> Void) async throws {
        var assignment =
            records[partition]
            ?? PartitionAssignment(
                partition: partition, leader: BrokerID(1), leaderEpoch: LeaderEpoch(0), partitionEpoch: 0,
                replicas: [BrokerID(1), BrokerID(2), BrokerID(3)], inSyncReplicas: [BrokerID(1), BrokerID(2), BrokerID(3)])
        change(&assignment)
        assignment.partitionEpoch += 1
        records.put(assignment)
        try await tell(assignment)
    }

    func tell(_ assignment: PartitionAssignment) async throws {
        let dead = dead.withLock { $0 }
        for (id, broker) in brokers.withLock({ $0 }).sorted(by: { $0.key < $1.key }) where !dead.contains(id) {
            try await broker.engine.apply(assignment, configuration: configuration)
        }
    }

    func elect(_ id: Int32, inSync: [Int32]) async throws {
        try await apply { assignment in
            assignment.leader = BrokerID(id)
            assignment.leaderEpoch = assignment.leaderEpoch.next
            assignment.inSyncReplicas = inSync.map { BrokerID($0) }
        }
    }

    func shutdown() async {
        for broker in brokers.withLock({ $0.values }) { await broker.engine.shutdown() }
    }

    /// All bytes of a replica, from log start to log end.
    func content(_ id: Int32) async throws -> ByteBuffer {
        let log = log(id)
        var all = ByteBuffer()
        var offset = log.offsets.logStart
        while offset < log.offsets.logEnd {
            let result = try await log.read(
                from: offset, maxBytes: 1 << 20, minOneBatch: true, bound: .logEnd, reader: .consumer, currentLeaderEpoch: nil)
            let batches = try RecordBatches(verifying: try result.records.contiguous(), allowsPartialTail: true)
            guard let last = batches.entries.last else { break }
            all.writeImmutableBuffer(batches.buffer)
            offset = last.header.endOffset
        }
        return all
    }
}

extension LogConfiguration {
    static var keeping: LogConfiguration {
        var configuration = LogConfiguration()
        configuration.retentionTime = nil
        return configuration
    }
}

/// Waits until `condition` holds; false after thirty seconds.
func eventually(_ condition: () async throws -> Bool) async rethrows -> Bool {
    let deadline = ContinuousClock.now + .seconds(30)
    while try await !condition() {
        if ContinuousClock.now > deadline { return false }
        try? await Task.sleep(for: .milliseconds(1))
    }
    return true
}

enum Sent {
    static func batch(_ text: String, records: Int = 1) throws -> RecordBatches {
        let records = (0..<records).map { index in
            Record(timestamp: Timestamp(1_000 + Int64(index)), key: nil, value: ByteBuffer(string: "\(text)-\(index)"))
        }
        return try RecordBatches(verifying: RecordBatchBuilder.batch(of: records))
    }
}

extension ReplicatedLogEngine {
    /// A broker by itself that has started, with a log directory on each of the disks.
    static func alone(
        on disks: [SimulatedDisk], settings: ReplicatedLogSettings = ReplicatedLogSettings()
    ) async throws -> ReplicatedLogEngine {
        let engine = ReplicatedLogEngine(
            brokerID: BrokerID(1), volumes: disks.enumerated().map { Volume(specification: "simulated-\($0)", disk: $1) },
            environment: .system, meters: Meters(), membership: Records(), fetcher: DirectFetcher(broker: BrokerID(1)),
            brokerEpoch: { BrokerEpoch(1) }, settings: settings, logger: .silent)
        try await engine.start()
        return engine
    }
}
