//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogEngine
import LogModel
import ObjectStore
import RuntimeEnvironment
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
        if case .success? = late.durable.outcome { Issue.record("a zombie acknowledged") }
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

@Suite struct ManyDeathsTests {
    /// Three of four brokers die at once, their partitions intertwined by moves whose tails nobody has uploaded. The fourth recovers
    /// all of them side by side: each waits only for the parts that come before its own.
    @Test(arguments: [false, true]) func severalDeadBrokersAreRecoveredSideBySide(walsInObjects: Bool) async throws {
        let world = World(walsInObjects: walsInObjects)
        var dead: [SharedStorageEngine] = []
        for broker in Int32(1)...3 { dead.append(try await world.started(broker)) }
        let survivor = try await world.started(4)
        world.objects.setTrap { request, key in
            request == .put && key.hasPrefix("shared/") ? .init(.unreachable, "no route") : nil
        }
        for number in Int32(0)..<3 {
            // Each partition goes round all three, beginning with another one.
            for turn in Int32(0)..<3 {
                let owner = (number + turn) % 3 + 1
                let log = try await world.open(dead[Int(owner) - 1], number, leader: owner, epoch: turn + 1)
                for index in 0..<10 {
                    let value = Int(turn) * 10 + index
                    try await log.write(numbers(from: value, producer: Int64(number), sequence: Int32(value)))
                }
                guard turn < 2 else { continue }
                _ = try await dead[Int(owner) - 1].apply(
                    world.assignment(number, leader: owner, epoch: turn + 1, movingTo: owner % 3 + 1),
                    configuration: LogConfiguration())
            }
        }
        for (index, engine) in dead.enumerated() { world.kill(engine, broker: Int32(index + 1)) }
        world.objects.setTrap(nil)
        async let one: Void = survivor.brokerDied(BrokerID(1), epoch: BrokerEpoch(1), assigned: true)
        async let two: Void = survivor.brokerDied(BrokerID(2), epoch: BrokerEpoch(1), assigned: true)
        async let three: Void = survivor.brokerDied(BrokerID(3), epoch: BrokerEpoch(1), assigned: true)
        _ = try await (one, two, three)
        for number in Int32(0)..<3 {
            let log = try await world.open(survivor, number, leader: 4, epoch: 4)
            #expect(try await log.readNumbers() == Array(0..<30))
            #expect(try log.append(numbers(from: 29, producer: Int64(number), sequence: 29), acks: .all, epoch: nil).isDuplicate)
        }
        try await survivor.settle()
        #expect(try await world.audit(grace: .seconds(4_000_000_000)).findings.isEmpty)
        await survivor.shutdown()
    }
}

@Suite struct TailTests {
    /// The former owner dies with the tail in its WAL only; the new one has gone on meanwhile.
    @Test(arguments: [false, true])
    func aDeadFormerOwnersTailIsReplayed(_ newOwnerDiesToo: Bool) async throws {
        let world = World()
        let first = try await world.started(1)
        let second = try await world.started(2)
        let third = try await world.started(3)
        let log = try await world.open(first, leader: 1, epoch: 1)
        for index in 0..<10 { try await log.write(numbers(from: index, producer: 8, sequence: Int32(index))) }
        world.objects.setTrap { request, _ in request == .put ? .init(.unreachable, "no route") : nil }
        _ = try await first.apply(world.assignment(leader: 1, epoch: 1, movingTo: 2), configuration: LogConfiguration())
        let moved = try await world.open(second, leader: 2, epoch: 2)
        for index in 10..<20 { try await moved.write(numbers(from: index, producer: 8, sequence: Int32(index))) }
        first.fence()
        if newOwnerDiesToo { second.fence() }
        world.objects.setTrap(nil)
        if newOwnerDiesToo {
            // Both at once, each by another survivor's hand or the same's: the later part waits for the earlier.
            async let later: Void = third.brokerDied(BrokerID(2), epoch: BrokerEpoch(1), assigned: true)
            async let earlier: Void = third.brokerDied(BrokerID(1), epoch: BrokerEpoch(1), assigned: true)
            _ = try await (later, earlier)
        } else {
            try await third.brokerDied(BrokerID(1), epoch: BrokerEpoch(1), assigned: true)
            #expect(try await moved.readNumbers() == Array(0..<20))
            _ = try await second.apply(world.assignment(leader: 2, epoch: 2, movingTo: 3), configuration: LogConfiguration())
        }
        let last = try await world.open(third, leader: 3, epoch: 3)
        #expect(try await last.readNumbers() == Array(0..<20))
        #expect(try last.append(numbers(from: 19, producer: 8, sequence: 19), acks: .all, epoch: nil).isDuplicate)
        try await last.write(numbers(from: 20, producer: 8, sequence: 20))
        #expect(last.leaderEpoch(at: Offset(9)) == LeaderEpoch(1))
        #expect(last.leaderEpoch(at: Offset(10)) == LeaderEpoch(2))
        #expect(last.leaderEpoch(at: Offset(20)) == LeaderEpoch(3))
        try await third.settle()
        #expect(try await last.readNumbers() == Array(0..<21))
        await second.shutdown()
        await third.shutdown()
    }

    @Test func aPartitionThatComesBackGoesOnAfterTheOthersPart() async throws {
        let world = World()
        let first = try await world.started(1)
        let second = try await world.started(2)
        let survivor = try await world.started(3)
        world.objects.setTrap { request, _ in request == .put ? .init(.unreachable, "no route") : nil }
        var log = try await world.open(first, leader: 1, epoch: 1)
        for index in 0..<10 { try await log.write(numbers(from: index)) }
        _ = try await first.apply(world.assignment(leader: 1, epoch: 1, movingTo: 2), configuration: LogConfiguration())
        log = try await world.open(second, leader: 2, epoch: 2)
        for index in 10..<20 { try await log.write(numbers(from: index)) }
        _ = try await second.apply(world.assignment(leader: 2, epoch: 2, movingTo: 1), configuration: LogConfiguration())
        log = try await world.open(first, leader: 1, epoch: 3)
        for index in 20..<30 { try await log.write(numbers(from: index)) }
        // The first broker's WAL holds two stretches of the stream, with the second's between.
        first.fence()
        world.objects.setTrap(nil)
        try await survivor.brokerDied(BrokerID(1), epoch: BrokerEpoch(1), assigned: true)
        log = try await world.open(survivor, leader: 3, epoch: 4)
        #expect(try await log.readNumbers() == Array(0..<30))
        await second.shutdown()
        await survivor.shutdown()
    }
}
