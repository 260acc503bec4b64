//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogEngine
import LogModel
import RuntimeEnvironment
import SharedStorage
import SimulationKit
import Synchronization
import Testing

/// The WAL's medium fails by itself: what was acknowledged is still there, nothing more is.
@Suite struct WALMediumTests {
    @Test(arguments: [DiskOperation.Kind.write, .synchronize])
    func aMediumThatFailsEndsTheLogAndItsRecoveryBringsWhatWasAcknowledged(_ kind: DiskOperation.Kind) async throws {
        let world = World(simulatedDisks: 5)
        let engine = try await world.started(1)
        let survivor = try await world.started(2)
        let log = try await world.open(engine, leader: 1, epoch: 1)
        for index in 0..<10 { try await log.write(numbers(from: index)) }
        let disk = try #require(world.disk(of: 1) as? SimulatedDisk)
        disk.setFault { $0.kind == kind ? .inputOutput : nil }
        let receipt = try log.append(numbers(from: 10), acks: .all, epoch: nil)
        do {
            try await receipt.durable.wait()
            Issue.record("acknowledged on a medium that failed")
        } catch { #expect(error.code == .storageFailure) }
        #expect(throws: LogError.self) { _ = try log.append(numbers(from: 11), acks: .all, epoch: nil) }
        // The object store is another medium: but what this broker knows is worth nothing any more, it uploads no more either.
        await #expect(throws: LogError.self) { try await engine.uploadAll() }
        #expect(world.objects.keys.isEmpty)
        world.kill(engine, broker: 1)

        (world.disk(of: 1) as? SimulatedDisk)?.setFault(nil)
        try await survivor.brokerDied(BrokerID(1), epoch: BrokerEpoch(1), assigned: true)
        let moved = try await world.open(survivor, leader: 2, epoch: 2)
        let found = try await moved.readNumbers()
        #expect(found == Array(0..<10) || found == Array(0...10))
        await survivor.shutdown()
    }

    @Test func aFullMediumIsSaidToBeFull() async throws {
        let world = World(simulatedDisks: 6)
        let disk = try #require(world.disk(of: 1) as? SimulatedDisk)
        disk.setFault { $0.kind == .reserve || $0.kind == .truncate ? .noSpace : nil }
        do {
            _ = try await world.started(1)
            Issue.record("a ring without room")
        } catch let error as LogError {
            #expect(error.code == .diskFull && error.message.contains(World.walPath(1)))
        }
    }

    /// A move's and a dead broker's recoverer has to reach the medium: where it cannot, it says so and tries again.
    @Test func aMediumThatCannotBeReadIsNotTakenForEmpty() async throws {
        let world = World(simulatedDisks: 7)
        let engine = try await world.started(1)
        let survivor = try await world.started(2)
        let log = try await world.open(engine, leader: 1, epoch: 1)
        for index in 0..<10 { try await log.write(numbers(from: index)) }
        world.kill(engine, broker: 1)
        let disk = try #require(world.disk(of: 1) as? SimulatedDisk)
        disk.setFault { $0.kind == .read || $0.kind == .open ? .inputOutput : nil }
        await #expect(throws: LogError.self) { try await survivor.brokerDied(BrokerID(1), epoch: BrokerEpoch(1), assigned: true) }
        disk.setFault(nil)
        try await survivor.brokerDied(BrokerID(1), epoch: BrokerEpoch(1), assigned: true)
        #expect(try await world.open(survivor, leader: 2, epoch: 2).readNumbers() == Array(0..<10))
        await survivor.shutdown()
    }
}
