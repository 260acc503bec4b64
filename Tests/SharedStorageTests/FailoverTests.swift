//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogEngine
import LogModel
import ObjectStore
import SharedStorage
import Synchronization
import Testing

@Suite struct FailoverTests {
    @Test func aSurvivorReplaysADeadBrokersWAL() async throws {
        let world = World()
        let dead = try await world.started(1)
        let survivor = try await world.started(2)
        let logs = [try await world.open(dead, 0, leader: 1, epoch: 1), try await world.open(dead, 1, leader: 1, epoch: 1)]
        for index in 0..<40 {
            for log in logs { try await log.write(numbers(from: index, producer: 3, sequence: Int32(index))) }
            if index == 20 { try await dead.settle() }
        }
        dead.fence()

        // The new leader is told before the recovery begins, and waits for it.
        async let opened = world.open(survivor, 0, leader: 2, epoch: 2)
        try await survivor.brokerDied(BrokerID(1), epoch: BrokerEpoch(1), assigned: true)
        let log = try await opened
        #expect(try await log.readNumbers() == Array(0..<40))
        let repeated = try log.append(numbers(from: 38, producer: 3, sequence: 38), acks: .all, epoch: nil)
        #expect(repeated.isDuplicate)
        try await log.write(numbers(from: 40, producer: 3, sequence: 40))

        try await survivor.brokerDied(BrokerID(1), epoch: BrokerEpoch(1), assigned: true)
        let other = try await world.open(survivor, 1, leader: 2, epoch: 2)
        #expect(try await other.readNumbers() == Array(0..<40))
        await survivor.shutdown()
    }

    @Test func aZombieAcknowledgesNothingAfterItsLeaseEnded() async throws {
        let world = World()
        let lease = Mutex(true)
        let zombie = try await world.started(1) { lease.withLock { $0 } }
        let survivor = try await world.started(2)
        let log = try await world.open(zombie, leader: 1, epoch: 1)
        for index in 0..<10 { try await log.write(numbers(from: index)) }
        lease.withLock { $0 = false }
        let late = try log.append(numbers(from: 666), acks: .all, epoch: nil)
        try await survivor.brokerDied(BrokerID(1), epoch: BrokerEpoch(1), assigned: true)
        let moved = try await world.open(survivor, leader: 2, epoch: 2)
        try await moved.write(numbers(from: 10))
        #expect(late.durable.outcome == nil)
        #expect(log.offsets.highWatermark == Offset(10))

        // Nor can it commit what it has: its upload finds the ownership changed, and the engine stops writing.
        await #expect(throws: LogError.self) { try await zombie.settle() }
        await #expect(throws: LogError.self) { try await late.durable.wait() }
        #expect(throws: LogError.self) { _ = try log.append(numbers(from: 667), acks: .all, epoch: nil) }
        let values = try await moved.readNumbers()
        #expect(values.prefix(10) == Array(0..<10)[...])
        // The unacknowledged record may or may not have been in the WAL when it was read; nothing else is there.
        #expect(values.dropFirst(10) == [10] || values.dropFirst(10) == [666, 10])
        await survivor.shutdown()
    }

    @Test func aBrokerThatComesBackTakesItsRecoveryOver() async throws {
        let world = World()
        let dead = try await world.started(1)
        let survivor = try await world.started(2)
        let log = try await world.open(dead, leader: 1, epoch: 1)
        for index in 0..<10 { try await log.write(numbers(from: index)) }
        dead.fence()
        // The survivor cannot put, and the broker comes back meanwhile.
        world.objects.setTrap { request, _ in request == .put ? .init(.unreachable, "no route") : nil }
        await #expect(throws: LogError.self) { try await survivor.brokerDied(BrokerID(1), epoch: BrokerEpoch(1), assigned: true) }
        world.objects.setTrap(nil)
        let back = try await world.started(1, epoch: 2)
        let again = try await world.open(back, leader: 1, epoch: 2)
        #expect(try await again.readNumbers() == Array(0..<10))
        try await again.write(numbers(from: 10))
        // Late news of the first death does not touch the second run.
        try await survivor.brokerDied(BrokerID(1), epoch: BrokerEpoch(1), assigned: true)
        try await again.write(numbers(from: 11))
        #expect(try await again.readNumbers() == Array(0..<12))
        await back.shutdown()
        await survivor.shutdown()
    }
}
