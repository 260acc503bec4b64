//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogEngine
import LogModel
import ObjectStore
import SharedStorage
import Testing

@Suite struct AppendAndReadTests {
    @Test func appendedBatchesAreReadFromTheCache() async throws {
        let world = World()
        let engine = try await world.started(1)
        let log = try await world.open(engine, leader: 1, epoch: 1)
        #expect(try await log.write(numbers(from: 0, count: 3)) == Offset(0)..<Offset(3))
        #expect(try await log.write(numbers(from: 3, count: 2)) == Offset(3)..<Offset(5))
        #expect(try await log.readNumbers() == [0, 1, 2, 3, 4])
        #expect(world.objects.keys.isEmpty)
        await engine.shutdown()
    }

    @Test func readsCrossFromObjectsToTheCache() async throws {
        let world = World()
        var settings = SharedStorageSettings.small
        settings.logCacheBytes = 0
        settings.blockBytes = 2_000
        let engine = try await world.started(1, settings: settings)
        let log = try await world.open(engine, leader: 1, epoch: 1)
        for index in 0..<50 { try await log.write(numbers(from: index * 4, count: 4, size: 100)) }
        try await engine.settle()
        for index in 50..<60 { try await log.write(numbers(from: index * 4, count: 4, size: 100)) }
        #expect(try await log.readNumbers() == Array(0..<240))
        #expect(try await log.readNumbers(maxBytes: 700) == Array(0..<240))
        let middle = try await log.read(from: Offset(198))
        #expect(middle.contains { $0.offset == Offset(201) }, "one answer holds both sides of the boundary")
        await engine.shutdown()
    }

    @Test func aRestartedBrokerReplaysItsOwnWAL() async throws {
        let world = World()
        let first = try await world.started(1)
        var log = try await world.open(first, leader: 1, epoch: 1)
        for index in 0..<20 { try await log.write(numbers(from: index, producer: 77, sequence: Int32(index))) }
        first.fence()

        let second = try await world.started(1, epoch: 2)
        log = try await world.open(second, leader: 1, epoch: 2)
        #expect(log.offsets.highWatermark == Offset(20))
        #expect(try await log.readNumbers() == Array(0..<20))
        let repeated = try log.append(numbers(from: 19, producer: 77, sequence: 19), acks: .all, epoch: nil)
        #expect(repeated.isDuplicate)
        #expect(repeated.range == Offset(19)..<Offset(20))
        try await log.write(numbers(from: 20, producer: 77, sequence: 20))
        #expect(try await log.readNumbers() == Array(0..<21))
        #expect(log.leaderEpoch(at: Offset(0)) == LeaderEpoch(1))
        #expect(log.leaderEpoch(at: Offset(20)) == LeaderEpoch(2))
        await second.shutdown()
    }

    @Test func aCleanStopLeavesNothingToReplay() async throws {
        let world = World()
        let first = try await world.started(1)
        var log = try await world.open(first, leader: 1, epoch: 1)
        for index in 0..<20 { try await log.write(numbers(from: index)) }
        await first.shutdown()
        #expect(throws: LogError.self) { _ = try log.append(numbers(from: 20), acks: .all, epoch: nil) }

        // Another broker can open it at once, without a look at the first one's WAL.
        let second = try await world.started(2)
        log = try await world.open(second, leader: 2, epoch: 2)
        #expect(try await log.readNumbers() == Array(0..<20))
        await second.shutdown()
    }

    @Test func aFullRingPushesBackUntilUploadsMakeRoom() async throws {
        let world = World()
        var settings = SharedStorageSettings.small
        settings.walCapacityBytes = 256 << 10
        settings.walGroupBytesMax = 32 << 10
        settings.walQueueBytesMax = 64 << 10
        let engine = try await world.started(1, settings: settings)
        let log = try await world.open(engine, leader: 1, epoch: 1)
        world.objects.setTrap { request, _ in request == .put ? .init(.slowDown, "slow down") : nil }
        var accepted = 0
        var receipts: [AppendReceipt] = []
        var refusal: LogError?
        while refusal == nil {
            do {
                receipts.append(try log.append(numbers(from: accepted, size: 8_000), acks: .all, epoch: nil))
                accepted += 1
            } catch { refusal = error }
        }
        #expect(refusal?.code == .overloaded)
        #expect(accepted > 5)
        world.objects.setTrap(nil)
        for receipt in receipts { try await receipt.durable.wait() }
        // Many laps of the ring.
        while accepted < 300 {
            do {
                try await log.write(numbers(from: accepted, size: 8_000))
                accepted += 1
            } catch let error as LogError where error.code == .overloaded {
                try await Task.sleep(for: .milliseconds(1))
            }
        }
        #expect(try await log.readNumbers() == Array(0..<300))
        await engine.shutdown()
    }

    @Test func everyCopyOfABatchIsNamedAndReadBack() async throws {
        let world = World()
        let engine = try await world.started(1)
        let log = try await world.open(engine, leader: 1, epoch: 1)
        try await log.write(numbers(from: 0, count: 3))
        try await log.write(numbers(from: 3, count: 3))
        let hot = try await log.physicalCopies(of: Offset(4))
        #expect(hot.count == 1)
        #expect(hot.first?.medium == .wal)
        #expect(hot.first?.problem == nil)
        try await engine.settle()
        let cold = try await log.physicalCopies(of: Offset(4))
        #expect(cold.map(\.medium) == [.object])
        #expect(cold.first?.crc32c == hot.first?.crc32c)
        #expect(cold.first?.crc32c != nil)
        await engine.shutdown()
    }
}
