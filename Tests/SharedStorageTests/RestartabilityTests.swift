//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import ClusterMetadata
import LogEngine
import LogModel
import ObjectStore
import SharedStorage
import Synchronization
import Testing

extension World {
    /// Lets `count` puts and transactions of the engine's through, loses the next (its answer only, if `late`), and lets the rest through.
    func loseOperation(after count: Int, late: Bool) {
        let left = Mutex(count)
        let armed = Mutex(false)
        let isDue: @Sendable () -> Bool = {
            left.withLock { left in
                left -= 1
                return left == -1
            }
        }
        let put: @Sendable (MemoryObjectStore.Request, String) -> ObjectStoreError? = { request, _ in
            request == .put && isDue() ? .init(.timedOut, "no answer") : nil
        }
        if late { objects.setLateTrap(put) } else { objects.setTrap(put) }
        metadata.setTrap { moment, _ in
            switch moment {
            case .before:
                let due = isDue()
                armed.withLock { $0 = due && late }
                return due && !late ? .init(.unavailable, "no answer") : nil
            case .after: return armed.withLock { $0 } ? .init(.unavailable, "no answer") : nil
            }
        }
    }

    func loseNothing() {
        objects.setTrap(nil)
        objects.setLateTrap(nil)
        metadata.setTrap(nil)
    }
}

/// Every step of a move and of a recovery fails once; doing it again gets there, and nothing is lost or doubled.
@Suite struct RestartabilityTests {
    @Test(arguments: 0..<14, [false, true])
    func aRecoveryMayStopAnywhereAndBeginAgain(_ step: Int, _ late: Bool) async throws {
        let world = World()
        var settings = SharedStorageSettings.small
        settings.streamObjectSplitBytes = 2_000
        let dead = try await world.started(1, settings: settings)
        let survivor = try await world.started(2, settings: settings)
        let logs = [try await world.open(dead, 0, leader: 1, epoch: 1), try await world.open(dead, 1, leader: 1, epoch: 1)]
        for index in 0..<30 {
            try await logs[0].write(numbers(from: index, size: 200, producer: 3, sequence: Int32(index)))
            if index % 3 == 0 { try await logs[1].write(numbers(from: index / 3)) }
            if index == 10 { try await dead.uploadAll() }
        }
        dead.fence()
        world.loseOperation(after: step, late: late)
        for _ in 0..<3 {
            do {
                try await survivor.brokerDied(BrokerID(1), epoch: BrokerEpoch(1), assigned: true)
                break
            } catch { #expect(error.code == .notAvailable) }
        }
        world.loseNothing()
        let log = try await world.open(survivor, 0, leader: 2, epoch: 2)
        #expect(try await log.readNumbers() == Array(0..<30))
        #expect(try log.append(numbers(from: 29, size: 200, producer: 3, sequence: 29), acks: .all, epoch: nil).isDuplicate)
        try await log.write(numbers(from: 30, producer: 3, sequence: 30))
        #expect(try await world.open(survivor, 1, leader: 2, epoch: 2).readNumbers() == Array(0..<10))
        try await survivor.settle()
        #expect(try await log.readNumbers() == Array(0..<31))
        await survivor.shutdown()
    }

    @Test(arguments: 0..<10, [false, true])
    func aMoveMayStopAnywhereAndBeginAgain(_ step: Int, _ late: Bool) async throws {
        let world = World()
        let first = try await world.started(1)
        let second = try await world.started(2)
        let log = try await world.open(first, leader: 1, epoch: 1)
        for index in 0..<20 { try await log.write(numbers(from: index, producer: 3, sequence: Int32(index))) }
        world.loseOperation(after: step, late: late)
        let move = world.assignment(leader: 1, epoch: 1, movingTo: 2)
        for _ in 0..<3 {
            do {
                _ = try await first.apply(move, configuration: LogConfiguration())
                break
            } catch { #expect(error.code == .notAvailable) }
        }
        var moved: (any PartitionLog)?
        for _ in 0..<3 where moved == nil {
            moved = try? await second.apply(world.assignment(leader: 2, epoch: 2), configuration: LogConfiguration())
        }
        let there = try #require(moved)
        try await there.write(numbers(from: 20, producer: 3, sequence: 20))
        #expect(try await there.readNumbers() == Array(0..<21))
        world.loseNothing()
        try await first.settle()
        try await second.settle()
        #expect(try await there.readNumbers() == Array(0..<21))
        #expect(try await world.hasNoOrphans)
        await first.shutdown()
        await second.shutdown()
    }
}

extension RestartabilityTests {
    @Test(arguments: 0..<12, [false, true])
    func aCompactionMayStopAnywhereAndBeginAgain(_ step: Int, _ late: Bool) async throws {
        let world = World()
        var settings = SharedStorageSettings.small
        settings.logCacheBytes = 0
        let engine = try await world.started(1, settings: settings)
        let logs = [try await world.open(engine, 0, leader: 1, epoch: 1), try await world.open(engine, 1, leader: 1, epoch: 1)]
        for index in 0..<20 {
            for log in logs { try await log.write(numbers(from: index)) }
            if index % 5 == 0 { try await engine.uploadAll() }
        }
        world.loseOperation(after: step, late: late)
        for _ in 0..<3 {
            do {
                try await engine.settle()
                break
            } catch { #expect(error.code == .notAvailable) }
            for log in logs { #expect(try await log.readNumbers() == Array(0..<20)) }
        }
        world.loseNothing()
        for log in logs { _ = try await log.deleteRecords(before: Offset(5)) }
        try await engine.settle()
        for log in logs { #expect(try await log.readNumbers() == Array(5..<20)) }
        #expect(try await world.hasNoOrphans)
        await engine.shutdown()
    }
}
