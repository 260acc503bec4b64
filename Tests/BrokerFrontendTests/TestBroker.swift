//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import BrokerFrontend
import ClusterMetadata
import Foundation
import InMemoryLog
import KafkaProtocol
import LogEngine
import LogModel
import Logging
import Metering
import NIOCore
import RuntimeEnvironment
import SimulationKit
import Synchronization

let quietLogger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// What brokers of a test share: metadata, time, and (as a shared store would) the bytes of logs.
struct TestCluster: Sendable {
    let clock = SimulatedClock()
    let workers = SimulatedWorkers(seed: 1)
    let randomness = SeededRandomSource(seed: 1)
    let store: InMemoryMetadataStore
    let operations: MetadataOperations
    let bytes = InMemoryStore()

    init(placement: ReplicaPlacement = .singleOwner) async throws {
        store = InMemoryMetadataStore(clock: clock)
        operations = MetadataOperations(store: store, randomness: randomness, placement: { _ in placement })
        _ = try await operations.openCluster()
    }

    var environment: RuntimeEnvironment { RuntimeEnvironment(clock: clock, randomness: randomness, workers: workers) }

    func broker(_ id: Int32 = 0, settings: [String: String] = [:]) async throws -> TestBroker {
        let record = BrokerRecord(id: BrokerID(id), epoch: BrokerEpoch(1), host: "localhost", port: 9092 + Int(id))
        _ = try await store.commit(
            Transaction(operations: [.put(MetadataKey.broker(record.id), Array(try JSONEncoder().encode(record)))]))
        return try await TestBroker(id: record.id, cluster: self, settings: settings)
    }

    /// Takes the broker's registration away, as the end of its lease does.
    func deregister(_ id: BrokerID) async throws {
        _ = try await store.commit(Transaction(operations: [.delete(MetadataKey.broker(id))]))
    }

    /// Makes another broker lead a partition.
    func move(_ topic: String, _ partition: Int32, to broker: BrokerID) async throws {
        try await operations.reassign(topic: topic, partition: partition, to: [broker])
        guard let record = try await store.get(MetadataKey.topic(topic)) else { return }
        let id = try JSONDecoder().decode(TopicRecord.self, from: Data(record.value)).id
        let key = MetadataKey.partition(id, partition)
        guard let stored = try await store.get(key) else { return }
        var next = try JSONDecoder().decode(PartitionRecord.self, from: Data(stored.value))
        next.leader = broker
        next.replicas = [broker]
        next.inSyncReplicas = [broker]
        next.addingReplicas = []
        next.removingReplicas = []
        next.leaderEpoch = next.leaderEpoch.next
        next.partitionEpoch += 1
        _ = try await store.commit(Transaction(operations: [.put(key, Array(try JSONEncoder().encode(next)))]))
    }
}

/// A frontend over in-memory logs that follow the metadata.
final class TestBroker: LogProvider, Sendable {
    let id: BrokerID
    let cluster: TestCluster
    let metadata: MetadataCache
    let engine: InMemoryEngine
    let meters = Meters()
    let configuration: FrontendConfiguration
    private let box = FrontendBox()
    private let held = Mutex<[PartitionID: HeldLog]>([:])
    private let follower: Task<Void, Never>

    var frontend: Frontend { box.frontend }

    init(id: BrokerID, cluster: TestCluster, settings: [String: String]) async throws {
        self.id = id
        self.cluster = cluster
        metadata = MetadataCache(store: cluster.store, clock: cluster.clock, logger: quietLogger)
        let engine = InMemoryEngine(brokerID: id, environment: cluster.environment, store: cluster.bytes)
        self.engine = engine
        var file = [
            "storage.mode": "memory", "offsets.topic.num.partitions": "2", "offsets.topic.replication.factor": "1",
            "group.initial.rebalance.delay.ms": "0", "num.partitions": "2",
        ]
        file.merge(settings) { $1 }
        let configuration = try FrontendConfiguration(file: file)
        self.configuration = configuration
        let box = box
        let (updates, continuation) = AsyncStream.makeStream(of: MetadataUpdate.self)
        metadata.onChange { continuation.yield($0) }
        follower = Task {
            for await update in updates {
                for partition in update.changedPartitions {
                    guard let topic = update.new.topic(partition.topicID),
                        let record = update.new.partition(partition.topicID, partition.partition)
                    else {
                        try? await engine.delete(partition, ownsSharedData: true)
                        box.frontend.partitionChanged(partition, log: nil)
                        continue
                    }
                    let assignment = PartitionAssignment(
                        partition: partition, leader: record.leader, leaderEpoch: record.leaderEpoch,
                        partitionEpoch: record.partitionEpoch, replicas: record.replicas, inSyncReplicas: record.inSyncReplicas)
                    let settings = try? TopicConfigs.logConfiguration(topic: topic, brokerDefaults: configuration.file)
                    let log = try? await engine.apply(assignment, configuration: settings ?? LogConfiguration())
                    box.frontend.partitionChanged(partition, log: log)
                }
            }
        }
        box.frontend = Frontend(
            brokerID: id, configuration: configuration, logs: self, metadata: metadata, operations: cluster.operations,
            environment: cluster.environment, meters: meters, logger: quietLogger)
        try await metadata.start()
    }

    func log(for partition: PartitionID) -> (any PartitionLog)? {
        held.withLock { $0[partition] } ?? engine.log(for: partition)
    }

    /// From now on the partition's appends wait for the test.
    func hold(_ partition: PartitionID) -> HeldLog? {
        guard let log = engine.log(for: partition) else { return nil }
        let held = HeldLog(log)
        self.held.withLock { $0[partition] = held }
        frontend.partitionChanged(partition, log: held)
        return held
    }

    func logDirectories() async -> [LogDirectory] {
        [LogDirectory(path: "memory:\(id)", logs: engine.logs, totalBytes: 1000, usableBytes: 900)]
    }

    func moveReplica(of partition: PartitionID, to path: String) async -> ErrorCode { .logDirNotFound }

    /// Stops without a word to the cluster; the bytes stay in the cluster's store.
    func stop() async {
        follower.cancel()
        await metadata.stop()
        await frontend.shutdown()
        await engine.shutdown()
    }

    // MARK: Asking

    static let connection = ConnectionInfo(id: 1, peer: "127.0.0.1:50000", listener: "PLAINTEXT")

    /// What becomes of a frame, as the network sees it.
    func outcome(ofFrame frame: ByteBuffer) async throws -> FinalOutcome {
        try await outcome(of: RequestFrame(parsing: frame))
    }

    func outcome(of request: RequestFrame) async -> FinalOutcome {
        switch frontend.dispatch(request, from: Self.connection) {
        case .respond(let frame): .respond(frame)
        case .respondLater(let work): await work()
        case .noResponse: .noResponse
        case .closeConnection(let reason): .closeConnection(reason: reason)
        }
    }

    func frame<Request: KafkaRequest>(_ request: Request, version: Int16) throws -> ByteBuffer {
        try LogSlices(try encodeRequest(request, version: version, correlationID: 7, clientID: "tester")).contiguous()
    }

    func ask<Request: KafkaRequest>(_ request: Request, version: Int16) async throws -> Request.Response {
        switch try await outcome(ofFrame: try frame(request, version: version)) {
        case .respond(let frame):
            let bytes = try LogSlices(frame.slices).contiguous()
            let (correlationID, response) = try decodeResponse(to: Request.self, version: version, frame: bytes)
            guard correlationID == 7 else { throw TestFailure("the answer's correlation id is \(correlationID)") }
            return response
        case .noResponse: throw TestFailure("\(Request.name) was not answered")
        case .closeConnection(let reason): throw TestFailure("\(Request.name) closed the connection: \(reason)")
        }
    }

    // MARK: Steps that many tests take

    @discardableResult
    func createTopic(_ name: String, partitions: Int32 = 1, configs: [String: String] = [:]) async throws -> TopicRecord {
        let created = try await cluster.operations.createTopic(
            NewTopic(
                name: name, layout: .automatic(partitionCount: partitions, replicationFactor: 1), storageMode: "memory",
                configs: configs))
        _ = await metadata.wait(for: created.revision, timeout: .seconds(60))
        try await opened(name)
        return created.topic
    }

    /// Waits until the engine has the logs that this broker leads.
    func opened(_ topic: String) async throws {
        await eventually {
            let image = metadata.current
            guard let record = image.topic(named: topic) else { return false }
            let partitions = image.partitions(of: record.id)
            return partitions.count == Int(record.partitionCount)
                && partitions.allSatisfy { partition in
                    partition.leader != id
                        || engine.log(for: PartitionID(topicID: record.id, topic: topic, partition: partition.partition))?
                            .assignment.partitionEpoch == partition.partitionEpoch
                }
        }
    }

    func produce(
        _ batch: ByteBuffer, to topic: String, _ partition: Int32 = 0, acks: Int16 = -1, version: Int16 = 9
    ) async throws -> ProduceResponse.PartitionProduceResponse {
        let response = try await ask(Self.produceRequest(batch, to: topic, partition, acks: acks), version: version)
        return response.responses[0].partitionResponses[0]
    }

    static func produceRequest(_ batch: ByteBuffer, to topic: String, _ partition: Int32 = 0, acks: Int16 = -1) -> ProduceRequest {
        ProduceRequest(
            acks: acks, timeoutMs: 1000,
            topicData: [
                ProduceRequest.TopicProduceData(
                    name: topic,
                    partitionData: [ProduceRequest.PartitionProduceData(index: partition, records: LogSlices(batch))])
            ])
    }

    static func fetchRequest(
        _ topic: String, partition: Int32 = 0, offset: Int64 = 0, maxWaitMs: Int32 = 0, minBytes: Int32 = 1,
        maxBytes: Int32 = 1 << 20
    ) -> FetchRequest {
        FetchRequest(
            maxWaitMs: maxWaitMs, minBytes: minBytes, maxBytes: maxBytes,
            topics: [
                FetchRequest.FetchTopic(
                    topic: topic,
                    partitions: [
                        FetchRequest.FetchPartition(partition: partition, fetchOffset: offset, partitionMaxBytes: maxBytes)
                    ])
            ])
    }

    func fetch(_ topic: String, offset: Int64 = 0, version: Int16 = 12) async throws -> FetchResponse.PartitionData {
        try await ask(Self.fetchRequest(topic, offset: offset), version: version).responses[0].partitions[0]
    }
}

private final class FrontendBox: @unchecked Sendable {
    // Set once, before the follower of the metadata starts.
    var frontend: Frontend!
}

struct TestFailure: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}

/// Lets other tasks run until `condition` holds; it must come true without time passing.
func eventually(_ condition: () async throws -> Bool) async rethrows {
    while try await !condition() { await Task.yield() }
}

func batch(
    _ values: [String], timestamp: Int64 = 1_767_225_600_000, producerID: Int64 = -1, producerEpoch: Int16 = -1,
    sequence: Int32 = -1,
    attributes: UInt16 = 0
) -> ByteBuffer {
    RecordBatchBuilder.batch(
        of: values.map { Record(timestamp: Timestamp(timestamp), key: nil, value: ByteBuffer(string: $0)) },
        producerID: producerID, producerEpoch: producerEpoch, baseSequence: sequence, attributes: attributes)
}

func values(_ records: LogSlices?) throws -> [String] {
    guard let records, !records.isEmpty else { return [] }
    let batches = try RecordBatches(verifying: try records.contiguous())
    return try batches.entries.flatMap { try batches.records(of: $0).map { String(buffer: $0.value ?? ByteBuffer()) } }
}
