//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import ClusterMetadata
import LogEngine
import LogModel
import ObjectStore
import RuntimeEnvironment
import SharedStorage
import Synchronization
import Testing

/// A stream that cannot be brought from a dead run's log yet is offline by itself.
@Suite struct OfflineStreamTests {
    private static var settings: SharedStorageSettings {
        var settings = SharedStorageSettings.small
        settings.openTimeout = .milliseconds(150)
        return settings
    }

    /// Partition 0 has moved from broker 1 to broker 2, both now dead, and its tail is still in the first one's log. Partition 1 was broker 2's.
    private static func twoDeaths(_ world: World) async throws {
        let first = try await world.started(1, settings: settings)
        let second = try await world.started(2, settings: settings)
        var log = try await world.open(first, 0, leader: 1, epoch: 1)
        for index in 0..<10 { try await log.write(numbers(from: index, producer: 4, sequence: Int32(index))) }
        world.objects.setTrap { request, key in
            request == .put && key.hasPrefix("shared/") ? .init(.unreachable, "no route") : nil
        }
        _ = try await first.apply(world.assignment(0, leader: 1, epoch: 1, movingTo: 2), configuration: LogConfiguration())
        log = try await world.open(second, 0, leader: 2, epoch: 2)
        for index in 10..<20 { try await log.write(numbers(from: index, producer: 4, sequence: Int32(index))) }
        let other = try await world.open(second, 1, leader: 2, epoch: 1)
        for index in 0..<15 { try await other.write(numbers(from: index)) }
        world.kill(first, broker: 1)
        world.kill(second, broker: 2)
        world.objects.setTrap(nil)
    }

    private static func isOffline(_ engine: SharedStorageEngine, _ assignment: PartitionAssignment) async -> Bool {
        do {
            _ = try await engine.apply(assignment, configuration: LogConfiguration())
            return false
        } catch { return error.code == .notAvailable }
    }

    @Test(arguments: [false, true]) func itDoesNotKeepItsBrokerFromStarting(walsInObjects: Bool) async throws {
        let world = World(walsInObjects: walsInObjects)
        try await Self.twoDeaths(world)
        let second = try await world.started(2, epoch: 2, settings: Self.settings)
        let other = try await world.open(second, 1, leader: 2, epoch: 2)
        #expect(try await other.readNumbers() == Array(0..<15))
        try await other.write(numbers(from: 15))
        let assignment = world.assignment(0, leader: 2, epoch: 3)
        #expect(await Self.isOffline(second, assignment))
        #expect(try await world.metadata.list(prefix: "/shared/wal-left/").values.map(\.key) == ["/shared/wal-left/2/1"])
        #expect(try await world.audit(grace: .seconds(4_000_000_000)).findings.isEmpty)

        let third = try await world.started(3, settings: Self.settings)
        try await third.brokerDied(BrokerID(1), epoch: BrokerEpoch(1), assigned: true)
        try await eventually("the partition is there again") { await !Self.isOffline(second, assignment) }
        let log = try #require(second.log(for: world.partition(0)))
        #expect(try await log.readNumbers() == Array(0..<20))
        #expect(try log.append(numbers(from: 19, producer: 4, sequence: 19), acks: .all, epoch: nil).isDuplicate)
        try await log.write(numbers(from: 20, producer: 4, sequence: 20))
        try await eventually("nothing is left") { try await world.metadata.list(prefix: "/shared/wal-left/").values.isEmpty }
        if !walsInObjects {
            try await eventually("the former ring is removed") {
                try world.disk(of: 2).list("broker-2").map(\.name) == ["wal-2-2.wal", "wal-2.lock"]
            }
        }
        await second.shutdown()
        await third.shutdown()
    }

    @Test(arguments: [false, true]) func itDoesNotKeepASurvivorFromTheOthers(walsInObjects: Bool) async throws {
        let world = World(walsInObjects: walsInObjects)
        try await Self.twoDeaths(world)
        world.unreachable.withLock { _ = $0.insert(1) }
        let third = try await world.started(3, settings: Self.settings)
        if !walsInObjects {
            await #expect(throws: LogError.self) {
                try await third.brokerDied(BrokerID(1), epoch: BrokerEpoch(1), assigned: true)
            }
        }
        try await third.brokerDied(BrokerID(2), epoch: BrokerEpoch(1), assigned: true)
        #expect(try await world.open(third, 1, leader: 3, epoch: 2).readNumbers() == Array(0..<15))
        let assignment = world.assignment(0, leader: 3, epoch: 3)
        #expect(await Self.isOffline(third, assignment))
        // The broker that had it comes back, although it is offline, and so does the one whose tail it waits for.
        let second = try await world.started(2, epoch: 2, settings: Self.settings)
        let first = try await world.started(1, epoch: 2, settings: Self.settings)
        try await eventually("the partition is there again") { await !Self.isOffline(third, assignment) }
        let log = try #require(third.log(for: world.partition(0)))
        #expect(try await log.readNumbers() == Array(0..<20))
        try await eventually("nothing is left") { try await world.metadata.list(prefix: "/shared/wal-left/").values.isEmpty }
        for engine in [first, second, third] { await engine.shutdown() }
    }

    /// The one that was to bring the rest dies too: who comes after it does.
    @Test func anothersDutyPassesOnWithItsDeath() async throws {
        let world = World()
        try await Self.twoDeaths(world)
        let third = try await world.started(3, settings: Self.settings)
        try await third.brokerDied(BrokerID(2), epoch: BrokerEpoch(1), assigned: true)
        world.kill(third, broker: 3)
        var settings = Self.settings
        settings.maintenanceInterval = .milliseconds(20)
        let fourth = try await world.started(4, settings: settings)
        try await fourth.brokerDied(BrokerID(3), epoch: BrokerEpoch(1), assigned: true)
        try await fourth.brokerDied(BrokerID(1), epoch: BrokerEpoch(1), assigned: true)
        let assignment = world.assignment(0, leader: 4, epoch: 3)
        try await eventually("the partition is there again") { await !Self.isOffline(fourth, assignment) }
        #expect(fourth.log(for: world.partition(0))?.offsets.logEnd == Offset(20))
        await fourth.shutdown()
    }

    @Test(arguments: [false, true]) func aStoreThatIsSlowedDownDelaysAStartAndDoesNotEndIt(walsInObjects: Bool) async throws {
        let world = World(walsInObjects: walsInObjects)
        let first = try await world.started(1)
        let log = try await world.open(first, leader: 1, epoch: 1)
        for index in 0..<10 { try await log.write(numbers(from: index)) }
        world.kill(first, broker: 1)
        let failures = Mutex(0)
        world.objects.setTrap { request, key in
            guard request == .put, key.hasPrefix("shared/") else { return nil }
            return failures.withLock { failures in
                failures += 1
                return failures <= 3 ? ObjectStoreError(failures == 1 ? .unreachable : .slowDown, "503") : nil
            }
        }
        let next = try await world.started(1, epoch: 2)
        #expect(failures.withLock { $0 } == 4)
        #expect(try await world.open(next, leader: 1, epoch: 2).readNumbers() == Array(0..<10))
        await next.shutdown()
    }

    /// But a run whose lease is lost meanwhile gives up.
    @Test func aStartThatLosesItsLeaseGivesUp() async throws {
        let world = World()
        let first = try await world.started(1)
        let log = try await world.open(first, leader: 1, epoch: 1)
        try await log.write(numbers(from: 0))
        world.kill(first, broker: 1)
        let asked = Mutex(0)
        world.objects.setTrap { request, _ in request == .put ? ObjectStoreError(.slowDown, "503") : nil }
        await #expect(throws: LogError.self) {
            _ = try await world.started(1, epoch: 2) {
                asked.withLock {
                    $0 += 1
                    return $0 < 3
                }
            }
        }
    }
}
