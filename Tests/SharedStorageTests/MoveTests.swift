//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogEngine
import LogModel
import ObjectStore
import SharedStorage
import Synchronization
import Testing

@Suite struct MoveTests {
    @Test func theNextOwnerGoesOnWhereTheLastOneClosed() async throws {
        let world = World()
        let first = try await world.started(1)
        let second = try await world.started(2)
        let log = try await world.open(first, leader: 1, epoch: 1)
        for index in 0..<30 { try await log.write(numbers(from: index, producer: 5, sequence: Int32(index))) }

        let left = try await first.apply(world.assignment(leader: 1, epoch: 1, movingTo: 2), configuration: LogConfiguration())
        #expect(left == nil)
        #expect(world.registry.completed.map(\.target) == [BrokerID(2)])
        #expect(throws: LogError.self) { _ = try log.append(numbers(from: 99), acks: .all, epoch: nil) }

        let moved = try await world.open(second, leader: 2, epoch: 2)
        #expect(moved.offsets.logEnd == Offset(30))
        let repeated = try moved.append(numbers(from: 29, producer: 5, sequence: 29), acks: .all, epoch: nil)
        #expect(repeated.isDuplicate)
        for index in 30..<40 { try await moved.write(numbers(from: index, producer: 5, sequence: Int32(index))) }
        #expect(try await moved.readNumbers() == Array(0..<40))
        #expect(moved.leaderEpoch(at: Offset(29)) == LeaderEpoch(1))
        #expect(moved.leaderEpoch(at: Offset(30)) == LeaderEpoch(2))
        await first.shutdown()
        await second.shutdown()
    }

    @Test func aMoveThatUploadsFirstLeavesNoTailBehind() async throws {
        for closesByUploading in [false, true] {
            let world = World()
            var settings = SharedStorageSettings.small
            settings.closesByUploading = closesByUploading
            let first = try await world.started(1, settings: settings)
            let second = try await world.started(2, settings: settings)
            let log = try await world.open(first, leader: 1, epoch: 1)
            for index in 0..<10 { try await log.write(numbers(from: index)) }
            let tailAtHandover = Mutex<Bool?>(nil)
            world.registry.onHandover {
                tailAtHandover.withLock { $0 = world.objects.keys.isEmpty }
            }
            _ = try await first.apply(world.assignment(leader: 1, epoch: 1, movingTo: 2), configuration: LogConfiguration())
            // With the other strategy the upload follows behind the hand-over.
            #expect(tailAtHandover.withLock { $0 } == !closesByUploading)
            let moved = try await world.open(second, leader: 2, epoch: 2)
            #expect(try await moved.readNumbers() == Array(0..<10))
            await first.shutdown()
            await second.shutdown()
        }
    }

    @Test func aMoveThatCannotUploadFirstUploadsBehind() async throws {
        let world = World()
        var settings = SharedStorageSettings.small
        settings.closesByUploading = true
        let first = try await world.started(1, settings: settings)
        let second = try await world.started(2, settings: settings)
        let log = try await world.open(first, leader: 1, epoch: 1)
        for index in 0..<10 { try await log.write(numbers(from: index)) }
        world.objects.setTrap { request, _ in request == .put ? .init(.slowDown, "503") : nil }
        _ = try await first.apply(world.assignment(leader: 1, epoch: 1, movingTo: 2), configuration: LogConfiguration())
        let moved = try await world.open(second, leader: 2, epoch: 2)
        try await moved.write(numbers(from: 10))
        world.objects.setTrap(nil)
        #expect(try await moved.readNumbers() == Array(0...10))
        await first.shutdown()
        await second.shutdown()
    }

    @Test(arguments: [(false, false), (true, false), (false, true), (true, true)])
    func aMoveBetweenThreeBrokersUnderLoadLosesNothing(closesByUploading: Bool, walsInObjects: Bool) async throws {
        let world = World(walsInObjects: walsInObjects)
        var settings = SharedStorageSettings.small
        settings.closesByUploading = closesByUploading
        var engines: [SharedStorageEngine] = []
        for broker in 1...3 { engines.append(try await world.started(Int32(broker), settings: settings)) }
        let current = Mutex<any PartitionLog>(try await world.open(engines[0], leader: 1, epoch: 1))
        let done = Mutex(false)
        let writer = Task {
            var sent = 0
            while !done.withLock({ $0 }) || sent < 200 {
                do {
                    let log = current.withLock { $0 }
                    try await log.write(numbers(from: sent, count: 1, size: 200, producer: 1, sequence: Int32(sent)))
                    sent += 1
                } catch let error as LogError where error.code == .notLeader {
                    await Task.yield()
                }
            }
            return sent
        }
        for step in 0..<12 {
            let from = Int32(step % 3 + 1)
            let to = Int32((step + 1) % 3 + 1)
            let epoch = Int32(step + 1)
            let left = try await engines[Int(from) - 1].apply(
                world.assignment(leader: from, epoch: epoch, movingTo: to), configuration: LogConfiguration())
            #expect(left == nil)
            let log = try await world.open(engines[Int(to) - 1], leader: to, epoch: epoch + 1)
            current.withLock { $0 = log }
            try await Task.sleep(for: .milliseconds(5))
        }
        done.withLock { $0 = true }
        let sent = try await writer.value
        let log = current.withLock { $0 }
        #expect(try await log.readNumbers() == Array(0..<sent))
        for engine in engines { try await engine.settle() }
        #expect(try await log.readNumbers() == Array(0..<sent))
        for engine in engines { await engine.shutdown() }
    }

    @Test func aCancelledMoveLeavesThePartitionWhereItWas() async throws {
        let world = World()
        let engine = try await world.started(1)
        let log = try await world.open(engine, leader: 1, epoch: 1)
        try await log.write(numbers(from: 0, count: 10))
        world.registry.refuse(LogError(.fencedLeaderEpoch, "cancelled"))
        await #expect(throws: LogError.self) {
            try await engine.apply(world.assignment(leader: 1, epoch: 1, movingTo: 2), configuration: LogConfiguration())
        }
        try await log.write(numbers(from: 10, count: 5))
        let again = try #require(
            try await engine.apply(world.assignment(leader: 1, epoch: 1, partitionEpoch: 12), configuration: LogConfiguration()))
        try await again.write(numbers(from: 15, count: 5))
        #expect(try await again.readNumbers() == Array(0..<20))
        try await engine.settle()
        #expect(try await again.readNumbers() == Array(0..<20))
        await engine.shutdown()
    }

    /// Right after a move the records that a time is looked for among are not all in objects.
    @Test func offsetsForTimestampsAreFoundInATailThatIsOnItsWay() async throws {
        let world = World()
        let first = try await world.started(1)
        let second = try await world.started(2)
        let log = try await world.open(first, leader: 1, epoch: 1)
        for index in 0..<5 { try await log.write(numbers(from: index, timestamp: 1_000 + Int64(index))) }
        try await first.uploadAll()
        for index in 5..<10 { try await log.write(numbers(from: index, timestamp: 1_000 + Int64(index))) }
        world.objects.setTrap { request, _ in request == .put ? .init(.slowDown, "slow down") : nil }
        _ = try await first.apply(world.assignment(leader: 1, epoch: 1, movingTo: 2), configuration: LogConfiguration())
        let moved = try await world.open(second, leader: 2, epoch: 2)
        for index in 10..<12 { try await moved.write(numbers(from: index, timestamp: 500 + Int64(index))) }
        // What lies before the tail does not wait.
        #expect(try await moved.offset(forTimestamp: Timestamp(1_003))?.offset == Offset(3))
        async let inTail = moved.offset(forTimestamp: Timestamp(1_007))
        async let newest = moved.offsetOfMaxTimestamp()
        async let nowhere = moved.offset(forTimestamp: Timestamp(2_000))
        try await Task.sleep(for: .milliseconds(20))
        world.objects.setTrap(nil)
        #expect(try await inTail?.offset == Offset(7))
        #expect(try await newest?.offset == Offset(9))
        #expect(try await nowhere == nil)
        await first.shutdown()
        await second.shutdown()
    }

    @Test func readsOfTheTailWaitForItsUpload() async throws {
        let world = World()
        let first = try await world.started(1)
        let second = try await world.started(2)
        let log = try await world.open(first, leader: 1, epoch: 1)
        for index in 0..<10 { try await log.write(numbers(from: index)) }
        let stalled = Mutex(true)
        world.objects.setTrap { request, _ in request == .put && stalled.withLock { $0 } ? .init(.slowDown, "slow down") : nil }
        _ = try await first.apply(world.assignment(leader: 1, epoch: 1, movingTo: 2), configuration: LogConfiguration())
        let moved = try await world.open(second, leader: 2, epoch: 2)
        // Appends and reads of what the new owner has itself do not wait.
        try await moved.write(numbers(from: 10))
        #expect(try await moved.read(from: Offset(10)).count == 1)
        let early = Task { try await moved.readNumbers() }
        stalled.withLock { $0 = false }
        #expect(try await early.value == Array(0..<11))
        await first.shutdown()
        await second.shutdown()
    }
}
