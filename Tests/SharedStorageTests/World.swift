//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import ClusterMetadata
import Foundation
import LogEngine
import LogModel
import Metering
import NIOCore
import ObjectStore
import RuntimeEnvironment
import SharedStorage
import SimulationKit
import Synchronization
import Testing

/// Several brokers' engines in one process: a disk of WALs, one object store, one metadata store, one registry of leaders.
final class World: Sendable {
    /// Cut when the process that an engine stands for dies: nothing of it arrives anywhere after that.
    final class Lifeline: Sendable {
        private let cut = Mutex(false)
        var isCut: Bool { cut.withLock { $0 } }
        func sever() { cut.withLock { $0 = true } }
    }

    let environment = RuntimeEnvironment(clock: SystemClock(), randomness: SystemRandomSource(), workers: ThreadWorkerPool())
    let objects = MemoryObjectStore()
    let metadata: TrippingMetadataStore
    let registry = MemoryRegistry()
    /// Of all brokers together.
    let meters = Meters()
    let topic = TopicID(high: 7, low: 9)
    /// Brokers without disks: their WALs lie in the object store.
    let walsAreInObjects: Bool
    private let directory: String?
    private let disks: Mutex<[Int32: any Disk]>
    private let lifelines = Mutex<[ObjectIdentifier: Lifeline]>([:])

    /// - Parameter simulatedDisks: A disk per broker that can lose power, made from the seed; nil for a real directory.
    init(simulatedDisks seed: UInt64? = nil, walsInObjects: Bool = false) {
        walsAreInObjects = walsInObjects
        metadata = TrippingMetadataStore(InMemoryMetadataStore(clock: environment.clock))
        if let seed {
            directory = nil
            disks = Mutex(Dictionary(uniqueKeysWithValues: (1...4).map { (Int32($0), SimulatedDisk(seed: seed &+ UInt64($0))) }))
        } else {
            let directory = NSTemporaryDirectory() + "ninefold-shared-\(UUID().uuidString)"
            self.directory = directory
            let disk = PosixDisk(root: directory)
            disks = Mutex(Dictionary(uniqueKeysWithValues: (1...4).map { (Int32($0), disk) }))
        }
    }

    deinit {
        if let directory { try? FileManager.default.removeItem(atPath: directory) }
    }

    /// What the names of a broker's rings begin with.
    static func walPath(_ broker: Int32) -> String { "broker-\(broker)/wal" }
    static func ringPath(_ broker: Int32, epoch: Int64) -> String { "\(walPath(broker))-\(broker)-\(epoch).wal" }
    /// Brokers whose volumes other brokers cannot reach.
    let unreachable = Mutex<Set<Int32>>([])
    func disk(of broker: Int32) -> any Disk { disks.withLock { $0[broker]! } }

    func engine(
        _ broker: Int32, epoch: Int64 = 1, settings: SharedStorageSettings = .small,
        walInObjects: Bool? = nil, lease: @escaping @Sendable () -> Bool = { true }
    ) -> SharedStorageEngine {
        let lifeline = Lifeline()
        let engine = SharedStorageEngine(
            brokerID: BrokerID(broker), brokerEpoch: BrokerEpoch(epoch),
            volume: walInObjects ?? walsAreInObjects
                ? nil : .init(disk: disk(of: broker), path: Self.walPath(broker)),
            volumeOf: { [weak self] broker in
                guard let self, !self.unreachable.withLock({ $0.contains(broker.rawValue) }) else { return nil }
                return .init(disk: self.disk(of: broker.rawValue), path: Self.walPath(broker.rawValue))
            },
            store: MortalObjectStore(base: objects, lifeline: lifeline),
            metadataStore: MortalMetadataStore(base: metadata, lifeline: lifeline), environment: environment, meters: meters,
            settings: settings, leaseHolds: lease, registry: registry)
        lifelines.withLock { $0[ObjectIdentifier(engine)] = lifeline }
        return engine
    }

    func lifeline(of engine: SharedStorageEngine) -> Lifeline? { lifelines.withLock { $0[ObjectIdentifier(engine)] } }

    /// Ends the engine as the death of its process does.
    func kill(_ engine: SharedStorageEngine, broker: Int32, _ crash: SimulatedDisk.Crash = .processKill) {
        lifelines.withLock { $0[ObjectIdentifier(engine)] }?.sever()
        disks.withLock { disks in
            if let disk = disks[broker] as? SimulatedDisk { disks[broker] = disk.crash(crash) }
        }
        engine.fence()
    }

    func started(
        _ broker: Int32, epoch: Int64 = 1, settings: SharedStorageSettings = .small,
        walInObjects: Bool? = nil, lease: @escaping @Sendable () -> Bool = { true }
    ) async throws -> SharedStorageEngine {
        let engine = engine(broker, epoch: epoch, settings: settings, walInObjects: walInObjects, lease: lease)
        try await engine.start()
        return engine
    }

    func partition(_ number: Int32 = 0) -> PartitionID { PartitionID(topicID: topic, topic: "orders", partition: number) }

    /// `leader` alone; the partition epoch is the leader epoch unless told.
    func assignment(
        _ number: Int32 = 0, leader: Int32, epoch: Int32, partitionEpoch: Int64? = nil, movingTo target: Int32? = nil
    ) -> PartitionAssignment {
        PartitionAssignment(
            partition: partition(number), leader: BrokerID(leader), leaderEpoch: LeaderEpoch(epoch),
            partitionEpoch: partitionEpoch ?? Int64(epoch) * 10 + (target == nil ? 0 : 1),
            replicas: [BrokerID(leader)] + (target.map { [BrokerID($0)] } ?? []),
            inSyncReplicas: [BrokerID(leader)], addingReplicas: target.map { [BrokerID($0)] } ?? [],
            removingReplicas: target == nil ? [] : [BrokerID(leader)])
    }

    func open(
        _ engine: SharedStorageEngine, _ number: Int32 = 0, leader: Int32, epoch: Int32,
        configuration: LogConfiguration = LogConfiguration()
    ) async throws -> any PartitionLog {
        try #require(try await engine.apply(assignment(number, leader: leader, epoch: epoch), configuration: configuration))
    }
}

extension SharedStorageSettings {
    /// A small ring, and nothing that happens by itself within a test's time.
    static var small: SharedStorageSettings {
        var settings = SharedStorageSettings()
        settings.walCapacityBytes = 4 << 20
        settings.uploadInterval = .seconds(3_600)
        settings.maintenanceInterval = .seconds(3_600)
        settings.openTimeout = .seconds(10)
        settings.tailTimeout = .seconds(10)
        settings.walObjectLinger = .milliseconds(1)
        return settings
    }
}

/// One batch of `count` records whose values are the numbers from `first` on, padded to `size` bytes.
func numbers(
    from first: Int, count: Int = 1, size: Int = 0, timestamp: Int64 = SystemClock().wallMilliseconds(), producer: Int64 = -1,
    sequence: Int32 = -1
) -> RecordBatches {
    let records = (first..<first + count).map { number in
        var text = String(number)
        if text.utf8.count < size { text += String(repeating: " ", count: size - text.utf8.count) }
        return Record(timestamp: Timestamp(timestamp), key: nil, value: ByteBuffer(string: text))
    }
    let batch = RecordBatchBuilder.batch(
        of: records, producerID: producer, producerEpoch: producer >= 0 ? 0 : -1, baseSequence: sequence)
    return try! RecordBatches(verifying: batch)
}

extension PartitionLog {
    @discardableResult
    func write(_ batches: RecordBatches) async throws -> Range<Offset> {
        let receipt = try append(batches, acks: .all, epoch: nil)
        try await receipt.durable.wait()
        return receipt.range
    }

    func read(from offset: Offset, maxBytes: Int = 1 << 20) async throws -> [Record] {
        let result = try await read(
            from: offset, maxBytes: maxBytes, minOneBatch: true, bound: .highWatermark, reader: .consumer, currentLeaderEpoch: nil)
        let batches = try RecordBatches(verifying: result.records.contiguous())
        return try batches.entries.flatMap { try batches.records(of: $0) }
    }

    /// Every record from the log start to the high watermark, by rising offset; fails where offsets are not dense.
    func readAll(maxBytes: Int = 1 << 20) async throws -> [Record] {
        var records: [Record] = []
        var next = offsets.logStart
        while next < offsets.highWatermark {
            let some = try await read(from: next, maxBytes: maxBytes).filter { $0.offset >= next }
            try #require(!some.isEmpty, "nothing at \(next) of \(offsets)")
            for record in some {
                try #require(record.offset == next, "offset \(record.offset) where \(next) was due")
                next = next + 1
            }
            records += some
        }
        return records
    }

    func readNumbers(maxBytes: Int = 1 << 20) async throws -> [Int] {
        try await readAll(maxBytes: maxBytes).map {
            try #require(Int(String(buffer: $0.value!).trimmingCharacters(in: .whitespaces)))
        }
    }
}

/// Leaders by partition: what `BrokerNode` makes of the partition record.
final class MemoryRegistry: OwnershipRegistry {
    private let handovers = Mutex<[(partition: PartitionID, target: BrokerID)]>([])
    private let refusal = Mutex<LogError?>(nil)

    var completed: [(partition: PartitionID, target: BrokerID)] { handovers.withLock { $0 } }
    private let handoverHook = Mutex<(@Sendable () -> Void)?>(nil)
    func onHandover(_ hook: @escaping @Sendable () -> Void) { handoverHook.withLock { $0 = hook } }
    func refuse(_ error: LogError?) { refusal.withLock { $0 = error } }

    func completeHandover(_ assignment: PartitionAssignment, from source: BrokerID, to target: BrokerID) async throws(LogError) {
        if let refusal = refusal.withLock({ $0 }) { throw refusal }
        handoverHook.withLock { $0 }?()
        handovers.withLock { $0.append((assignment.partition, target)) }
    }
}

/// Returns once `condition` holds; it must come about.
func eventually(_ comment: Comment, _ condition: () async throws -> Bool) async throws {
    for _ in 0..<4_000 {
        if try await condition() { return }
        try await Task.sleep(for: .milliseconds(5))
    }
    Issue.record(comment)
}
