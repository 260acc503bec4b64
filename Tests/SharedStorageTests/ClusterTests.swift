//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import ClusterMetadata
import LogEngine
import LogModel
import ObjectStore
import RuntimeEnvironment
import SharedStorage
import SimulationKit
import Synchronization
import Testing

/// Three brokers and three partitions through moves, deaths, power cuts, failing stores, as a seed has it.
@Suite struct ClusterTests {
    @Test(arguments: 1...8)
    func whateverHappensNothingAcknowledgedIsLostOrDoubled(_ seed: UInt64) async throws {
        try await run(seed, walsInObjects: false)
    }

    @Test(arguments: 101...108)
    func norWithWALsInTheObjectStore(_ seed: UInt64) async throws { try await run(seed, walsInObjects: true) }

    private func run(_ seed: UInt64, walsInObjects: Bool) async throws {
        let cluster = try await Cluster(seed: seed, walsInObjects: walsInObjects)
        do {
            for _ in 0..<50 { try await cluster.step() }
            try await cluster.settle()
        } catch {
            Issue.record("seed \(seed), after \(cluster.history.suffix(12)): \(error)")
        }
        await cluster.stop()
    }
}

private final class Cluster {
    private struct Partition {
        var leader: Int32
        var epoch: Int32 = 1
        var partitionEpoch: Int64 = 1
        /// Sent and acknowledged: their number.
        var acknowledged = 0
    }

    private let world: World
    private var random: RandomSourceGenerator
    private var engines: [Int32: SharedStorageEngine] = [:]
    private var brokerEpochs: [Int32: Int64] = [1: 1, 2: 1, 3: 1]
    private var leases: [Int32: World.Lifeline] = [:]
    private var partitions: [Partition] = []
    private let settings: SharedStorageSettings
    private(set) var history: [String] = []

    init(seed: UInt64, walsInObjects: Bool) async throws {
        world = World(simulatedDisks: seed, walsInObjects: walsInObjects)
        random = RandomSourceGenerator(SeededRandomSource(seed: seed))
        var settings = SharedStorageSettings.small
        settings.walCapacityBytes = 512 << 10
        settings.walGroupBytesMax = 32 << 10
        settings.uploadThresholdBytes = Int64(random.next(upperBound: UInt64(60_000))) + 5_000
        settings.streamObjectSplitBytes = 20_000
        settings.logCacheBytes = 30_000
        settings.maintenanceInterval = .milliseconds(40)
        settings.mergeFanIn = 3
        settings.destroyedObjectGrace = .milliseconds(100)
        settings.closesByUploading = seed % 2 == 0
        self.settings = settings
        for broker in 1...3 { engines[Int32(broker)] = try await start(Int32(broker)) }
        for number in 0..<3 {
            partitions.append(Partition(leader: Int32(number + 1)))
            _ = try await log(number)
        }
    }

    /// The broker's next run, with a lease of its own.
    private func start(_ broker: Int32) async throws -> SharedStorageEngine {
        let lease = World.Lifeline()
        leases[broker] = lease
        let engine = world.engine(broker, epoch: brokerEpochs[broker]!, settings: settings) { !lease.isCut }
        do { try await engine.start() } catch {
            brokerEpochs[broker]! += 1
            throw error
        }
        return engine
    }

    private func chance(_ percent: UInt64) -> Bool { random.next(upperBound: UInt64(100)) < percent }
    private func pick<Element>(_ elements: [Element]) -> Element { elements[Int(random.next(upperBound: UInt64(elements.count)))] }

    private func assignment(_ number: Int, movingTo target: Int32? = nil) -> PartitionAssignment {
        let partition = partitions[number]
        return world.assignment(
            Int32(number), leader: partition.leader, epoch: partition.epoch, partitionEpoch: partition.partitionEpoch,
            movingTo: target)
    }

    /// The partition's log at its leader, opened again as often as it takes.
    private func log(_ number: Int) async throws -> any PartitionLog {
        try await persist("open \(number)") {
            try #require(
                try await self.engines[self.partitions[number].leader]!.apply(
                    self.assignment(number), configuration: LogConfiguration()))
        }
    }

    private func persist<Value>(_ what: String, _ body: () async throws -> Value) async throws -> Value {
        var last: (any Error)?
        for _ in 0..<60 {
            do { return try await body() } catch let error as LogError {
                guard error.code == .notAvailable || error.code == .overloaded || error.code == .storageFailure else { throw error }
                last = error
                try await Task.sleep(for: .milliseconds(3))
            }
        }
        throw last!
    }

    func step() async throws {
        let number = Int(random.next(upperBound: UInt64(partitions.count)))
        if chance(20) { setFaults() } else { clearFaults() }
        switch random.next(upperBound: UInt64(100)) {
        case ..<45: try await write(number)
        case ..<65: try await move(number)
        case ..<75: try await die(pick([1, 2, 3]))
        case ..<80: try await outlive(pick([1, 2, 3]))
        case ..<90: try await check(number)
        default:
            history.append("upload")
            try? await engines[pick([1, 2, 3])]!.uploadAll()
        }
    }

    private func setFaults() {
        history.append("faults")
        let seed = random.next()
        let source = SeededRandomSource(seed: seed)
        world.objects.setTrap { _, _ in source.next(below: 3) == 0 ? .init(.slowDown, "slow down") : nil }
        world.objects.setLateTrap { _, _ in source.next(below: 5) == 0 ? .init(.timedOut, "no answer") : nil }
        world.metadata.setTrap { _, _ in source.next(below: 6) == 0 ? .init(.unavailable, "no answer") : nil }
    }

    private func clearFaults() { world.loseNothing() }

    private func write(_ number: Int) async throws {
        history.append("write \(number)")
        for _ in 0..<Int(random.next(upperBound: UInt64(30))) {
            let next = partitions[number].acknowledged
            let size = Int(random.next(upperBound: UInt64(2_000)))
            try await persist("write") {
                // As an idempotent producer does: the same batch again until it is acknowledged.
                let range = try await self.log(number).write(
                    numbers(from: next, size: size, producer: Int64(number), sequence: Int32(next)))
                #expect(range.lowerBound == Offset(Int64(next)))
            }
            partitions[number].acknowledged += 1
        }
    }

    private func move(_ number: Int) async throws {
        let source = partitions[number].leader
        let target = pick([1, 2, 3].filter { $0 != source })
        history.append("move \(number) \(source)>\(target)")
        // Some of it is unacknowledged while the move goes on.
        if chance(20) {
            // Cancelled on the way: the partition stays, and is served.
            world.registry.refuse(LogError(.fencedLeaderEpoch, "cancelled"))
            partitions[number].partitionEpoch += 1
            _ = try? await engines[source]!.apply(assignment(number, movingTo: target), configuration: LogConfiguration())
            world.registry.refuse(nil)
            partitions[number].partitionEpoch += 1
            _ = try await log(number)
        }
        let late = try? engines[source]!.log(for: world.partition(Int32(number)))?.append(
            numbers(
                from: partitions[number].acknowledged, producer: Int64(number), sequence: Int32(partitions[number].acknowledged)),
            acks: .all, epoch: nil)
        partitions[number].partitionEpoch += 1
        try await persist("move") {
            _ = try await self.engines[source]!.apply(self.assignment(number, movingTo: target), configuration: LogConfiguration())
        }
        partitions[number].leader = target
        partitions[number].epoch += 1
        partitions[number].partitionEpoch += 1
        if let late, (try? await late.durable.wait()) != nil { partitions[number].acknowledged += 1 }
        _ = try await log(number)
    }

    private func die(_ broker: Int32) async throws {
        let power = chance(50)
        history.append("die \(broker)\(power ? " power" : "")")
        let led = partitions.indices.filter { partitions[$0].leader == broker }
        let late = led.compactMap { number in
            (try? engines[broker]!.log(for: world.partition(Int32(number)))?.append(
                numbers(
                    from: partitions[number].acknowledged, producer: Int64(number), sequence: Int32(partitions[number].acknowledged)
                ),
                acks: .all, epoch: nil)).map { (number, $0) }
        }
        if chance(50) { await Task.yield() }
        world.kill(engines[broker]!, broker: broker, power ? .powerCut : .processKill)
        for (number, receipt) in late where (try? await receipt.durable.wait()) != nil { partitions[number].acknowledged += 1 }
        let deadEpoch = brokerEpochs[broker]!
        brokerEpochs[broker]! += 1
        let survivors = [1, 2, 3].filter { $0 != broker }
        if chance(70) {
            let hand = pick(survivors)
            for number in led {
                partitions[number].leader = pick(survivors)
                partitions[number].epoch += 1
                partitions[number].partitionEpoch += 1
            }
            try await persist("recovery") {
                try await self.engines[hand]!.brokerDied(BrokerID(broker), epoch: BrokerEpoch(deadEpoch), assigned: true)
            }
        } else {
            // It comes back before anybody has noticed, and keeps what it led.
            history.append("back")
        }
        engines[broker] = try await persist("restart") {
            try await self.start(broker)
        }
        for number in led { _ = try await log(number) }
    }

    /// The broker loses its lease and does not know it: what it goes on to append is acknowledged to nobody, what it uploads is refused.
    private func outlive(_ broker: Int32) async throws {
        history.append("outlive \(broker)")
        clearFaults()
        let led = partitions.indices.filter { partitions[$0].leader == broker }
        let zombie = engines[broker]!
        let logs = led.compactMap { zombie.log(for: world.partition(Int32($0))) }
        leases[broker]!.sever()
        func appendLate() -> [AppendReceipt] {
            zip(led, logs).compactMap { number, log in
                let next = partitions[number].acknowledged
                return try? log.append(
                    numbers(from: next, producer: Int64(number), sequence: Int32(next)), acks: .all, epoch: nil)
            }
        }
        var late = appendLate()
        let survivors = [1, 2, 3].filter { $0 != broker }
        let hand = pick(survivors)
        for number in led {
            partitions[number].leader = pick(survivors)
            partitions[number].epoch += 1
            partitions[number].partitionEpoch += 1
        }
        async let zombieUpload: Void? = try? zombie.uploadAll()
        let deadEpoch = brokerEpochs[broker]!
        try await persist("recovery") {
            try await self.engines[hand]!.brokerDied(BrokerID(broker), epoch: BrokerEpoch(deadEpoch), assigned: true)
        }
        late += appendLate()
        for number in led { _ = try await log(number) }
        _ = await zombieUpload
        world.kill(zombie, broker: broker)
        // A repetition of what was durable before may well be answered.
        for receipt in late where !receipt.isDuplicate {
            await #expect(throws: LogError.self) { try await receipt.durable.wait() }
        }
        brokerEpochs[broker]! += 1
        engines[broker] = try await persist("restart") { try await self.start(broker) }
    }

    private func check(_ number: Int) async throws {
        history.append("check \(number)")
        clearFaults()
        let log = try await log(number)
        let found = try await persist("read") { try await log.readNumbers(maxBytes: 20_000) }
        // What was sent without an answer may be there, once.
        let acknowledged = partitions[number].acknowledged
        #expect(found.count == acknowledged || found.count == acknowledged + 1)
        #expect(found == Array(0..<found.count))
        let start = max(0, found.count - 3)
        let tail = try await log.read(from: Offset(Int64(start)))
        #expect(tail.last.map { $0.offset.rawValue + 1 } == (found.isEmpty ? nil : Int64(found.count)))
    }

    func settle() async throws {
        clearFaults()
        for number in partitions.indices { try await check(number) }
        // What one broker leaves waiting for another's is done the next time round; maintenance goes on meanwhile.
        try await eventually("everything settles") {
            for (_, engine) in self.engines.sorted(by: { $0.key < $1.key }) {
                try await self.persist("settle") { try await engine.settle() }
            }
            let footprint = try await self.engines[1]!.objectFootprint()
            var bytes: Int64 = 0
            for number in self.partitions.indices { bytes += try await self.log(number).sizeInBytes }
            return try await self.world.hasNoOrphans && footprint.entries[.garbage] == nil
                && footprint.entries[.object]?.recordBytes ?? 0 == 3 * bytes
        }
        for number in partitions.indices { try await check(number) }
    }

    func stop() async {
        clearFaults()
        for (_, engine) in engines.sorted(by: { $0.key < $1.key }) { await engine.shutdown() }
    }
}
