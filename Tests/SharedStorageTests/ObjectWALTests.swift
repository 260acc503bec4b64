//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogEngine
import LogModel
import NIOCore
import ObjectStore
import RuntimeEnvironment
import SharedStorage
import SimulationKit
import Synchronization
import Testing

@Suite struct ObjectWALTests {
    @Test func appendsLieInObjectsUntilTheyAreCommittedAndThenNoMore() async throws {
        let world = World(walsInObjects: true)
        let engine = try await world.started(1)
        let log = try await world.open(engine, leader: 1, epoch: 1)
        for index in 0..<10 { try await log.write(numbers(from: index)) }
        #expect(world.walObjects.count == 10 && world.objects.keys.count == 10)
        #expect(try await engine.footprint().entries[.wal]?.count == 10)
        let copies = try await log.physicalCopies(of: Offset(4))
        #expect(copies.map(\.medium) == [.wal] && copies.allSatisfy { $0.crc32c != nil && $0.problem == nil })
        try await engine.settle()
        #expect(world.walObjects.isEmpty)
        #expect(try await engine.footprint().entries[.wal]?.recordBytes ?? 0 == 0)
        #expect(try await log.readNumbers() == Array(0..<10))
        await engine.shutdown()
        #expect(world.walObjects.isEmpty)
    }

    @Test func whatComesTogetherGoesUpTogether() async throws {
        let world = World(walsInObjects: true)
        var settings = SharedStorageSettings.small
        settings.walObjectLinger = .seconds(3_600)
        settings.walObjectBatchBytes = 20_000
        let engine = try await world.started(1, settings: settings)
        let logs = [try await world.open(engine, 0, leader: 1, epoch: 1), try await world.open(engine, 1, leader: 1, epoch: 1)]
        // Nothing was put for long: the first does not wait.
        try await logs[0].write(numbers(from: 0))
        #expect(world.walObjects.count == 1)
        var receipts: [AppendReceipt] = []
        for index in 0..<19 {
            receipts.append(try logs[index % 2].append(numbers(from: index, size: 1_000), acks: .all, epoch: nil))
        }
        // Neither time nor size.
        #expect(world.objects.count("put") == 1)
        receipts.append(try logs[1].append(numbers(from: 19, size: 4_000), acks: .all, epoch: nil))
        for receipt in receipts.prefix(18) { try await receipt.durable.wait() }
        #expect(world.walObjects.count == 2)
        // A close does not wait for the linger.
        _ = try await engine.apply(world.assignment(0, leader: 1, epoch: 1, movingTo: 2), configuration: LogConfiguration())
        try await receipts[19].durable.wait()
        await engine.shutdown()
    }

    @Test func aSurvivorRecoversABrokerWithoutADisk() async throws {
        let world = World(walsInObjects: true)
        let dead = try await world.started(1)
        let survivor = try await world.started(2)
        let logs = [try await world.open(dead, 0, leader: 1, epoch: 1), try await world.open(dead, 1, leader: 1, epoch: 1)]
        for index in 0..<40 {
            for log in logs { try await log.write(numbers(from: index, producer: 3, sequence: Int32(index))) }
            if index == 20 { try await dead.uploadAll() }
        }
        world.kill(dead, broker: 1)
        try await survivor.brokerDied(BrokerID(1), epoch: BrokerEpoch(1), assigned: true)
        for number in Int32(0)..<2 {
            let log = try await world.open(survivor, number, leader: 2, epoch: 2)
            #expect(try await log.readNumbers() == Array(0..<40))
            #expect(try log.append(numbers(from: 39, producer: 3, sequence: 39), acks: .all, epoch: nil).isDuplicate)
            try await log.write(numbers(from: 40, producer: 3, sequence: 40))
        }
        // Again: nothing is left to do.
        try await survivor.brokerDied(BrokerID(1), epoch: BrokerEpoch(1), assigned: true)
        #expect(world.walObjects.filter { $0.hasPrefix("shared-wal/1/") }.count == 1)
        await survivor.shutdown()
    }

    @Test func aPutWhoseAnswerIsLostIsAcknowledgedOnce() async throws {
        let world = World(walsInObjects: true)
        let engine = try await world.started(1)
        let log = try await world.open(engine, leader: 1, epoch: 1)
        let losses = Mutex(3)
        world.objects.setLateTrap { request, key in
            guard request == .put, key.hasPrefix("shared-wal/") else { return nil }
            return losses.withLock { losses in
                losses -= 1
                return losses >= 0 ? ObjectStoreError(.timedOut, "no answer") : nil
            }
        }
        for index in 0..<10 { try await log.write(numbers(from: index)) }
        #expect(world.walObjects.count == 10)
        #expect(losses.withLock { $0 } < 0)
        let next = try await world.restart(engine, broker: 1, epoch: 2)
        #expect(try await world.open(next, leader: 1, epoch: 2).readNumbers() == Array(0..<10))
        await next.shutdown()
    }

    @Test func aStoreThatStallsHoldsAppendsBackWithinALimitAndLetsThemGoOn() async throws {
        let world = World(walsInObjects: true)
        var settings = SharedStorageSettings.small
        settings.walGroupBytesMax = 64 << 10
        settings.walQueueBytesMax = 64 << 10
        let engine = try await world.started(1, settings: settings)
        let log = try await world.open(engine, leader: 1, epoch: 1)
        world.objects.setTrap { request, _ in request == .put ? .init(.slowDown, "503") : nil }
        var receipts: [AppendReceipt] = []
        var refusal: LogError?
        while refusal == nil, receipts.count < 1_000 {
            do throws(LogError) {
                receipts.append(try log.append(numbers(from: receipts.count, size: 1_000), acks: .all, epoch: nil))
            } catch { refusal = error }
        }
        #expect(refusal?.code == .overloaded)
        #expect((50..<70).contains(receipts.count))
        #expect(log.offsets.highWatermark == .zero)
        world.objects.setTrap(nil)
        for receipt in receipts { try await receipt.durable.wait() }
        try await log.write(numbers(from: receipts.count, size: 1_000))
        #expect(try await log.readNumbers() == Array(0...receipts.count))
        await engine.shutdown()
    }

    /// The first object is refused for a while, those after it arrive: nothing is acknowledged before its turn.
    @Test func acknowledgementsKeepTheOrderOfObjectsThatOvertakeEachOther() async throws {
        let world = World(walsInObjects: true)
        let engine = try await world.started(1)
        let log = try await world.open(engine, leader: 1, epoch: 1)
        let isOpen = Mutex(false)
        let tried = Mutex<Set<String>>([])
        world.objects.setTrap { request, key in
            guard request == .put else { return nil }
            tried.withLock { _ = $0.insert(key) }
            return key.hasSuffix("/0000000000000000") && !isOpen.withLock { $0 } ? .init(.slowDown, "503") : nil
        }
        var receipts: [AppendReceipt] = []
        for index in 0..<3 {
            receipts.append(try log.append(numbers(from: index), acks: .all, epoch: nil))
            try await eventually("object \(index) is tried") { tried.withLock { $0.count } == index + 1 }
        }
        try await eventually("two overtake the first") { world.walObjects.count == 2 }
        #expect(log.offsets.highWatermark == .zero)
        isOpen.withLock { $0 = true }
        for receipt in receipts { try await receipt.durable.wait() }
        #expect(try await log.readNumbers() == [0, 1, 2])
        await engine.shutdown()
    }

    /// It dies with the first object missing: what came after it was acknowledged to nobody and is dropped.
    /// More objects than are fetched at one time, and some of the requests fail once.
    @Test func aLongLogIsReadInOrderWhateverTheStoreAnswersFirst() async throws {
        let world = World(walsInObjects: true)
        let engine = try await world.started(1)
        let log = try await world.open(engine, leader: 1, epoch: 1)
        for index in 0..<50 { try await log.write(numbers(from: index, size: 100)) }
        #expect(world.walObjects.count == 50)
        world.kill(engine, broker: 1)
        let requests = Mutex(0)
        world.objects.setTrap { request, _ in
            guard request == .get else { return nil }
            return requests.withLock { requests in
                requests += 1
                return requests % 5 == 0 ? .init(.slowDown, "503") : nil
            }
        }
        let next = try await world.started(1, epoch: 2)
        world.objects.setTrap(nil)
        #expect(try await world.open(next, leader: 1, epoch: 2).readNumbers() == Array(0..<50))
        await next.shutdown()
    }

    @Test func aGapAtTheEndIsTheEnd() async throws {
        let world = World(walsInObjects: true)
        let engine = try await world.started(1)
        let log = try await world.open(engine, leader: 1, epoch: 1)
        try await log.write(numbers(from: 0))
        let tried = Mutex<Set<String>>([])
        world.objects.setTrap { request, key in
            guard request == .put else { return nil }
            tried.withLock { _ = $0.insert(key) }
            return key.hasSuffix("/0000000000000001") ? .init(.slowDown, "503") : nil
        }
        for index in 1..<4 {
            _ = try log.append(numbers(from: index), acks: .all, epoch: nil)
            try await eventually("object \(index) is tried") { tried.withLock { $0.count } == index }
        }
        try await eventually("two overtake the one that is missing") { world.walObjects.count == 3 }
        let next = try await world.restart(engine, broker: 1, epoch: 2)
        let reopened = try await world.open(next, leader: 1, epoch: 2)
        #expect(try await reopened.readNumbers() == [0])
        try await reopened.write(numbers(from: 1))
        #expect(try await reopened.readNumbers() == [0, 1])
        #expect(world.walObjects.filter { $0.hasPrefix("shared-wal/1/1/") } == ["shared-wal/1/1/0000000000000001"])
        await next.shutdown()
    }

    /// Its lease seems to hold for ever: the fence alone stops it.
    @Test func aZombieFindsTheFenceAndAcknowledgesNothing() async throws {
        let world = World(walsInObjects: true)
        let zombie = try await world.started(1)
        let survivor = try await world.started(2)
        let log = try await world.open(zombie, leader: 1, epoch: 1)
        for index in 0..<10 { try await log.write(numbers(from: index)) }
        try await survivor.brokerDied(BrokerID(1), epoch: BrokerEpoch(1), assigned: true)
        let late = try log.append(numbers(from: 666), acks: .all, epoch: nil)
        do {
            try await late.durable.wait()
            Issue.record("a zombie acknowledged")
        } catch { #expect(error.code == .fenced) }
        #expect(throws: LogError.self) { _ = try log.append(numbers(from: 667), acks: .all, epoch: nil) }
        let moved = try await world.open(survivor, leader: 2, epoch: 2)
        #expect(try await moved.readNumbers() == Array(0..<10))
        await survivor.shutdown()
    }

    enum End: CaseIterable, Sendable { case before, after }

    /// The process dies at its n-th put of any kind, before or after it took effect.
    @Test(arguments: End.allCases) func aCrashAtAnyPutLosesNothingAcknowledged(_ end: End) async throws {
        for fatal in 1...16 {
            let world = World(walsInObjects: true)
            let engine = try await world.started(1)
            let log = try await world.open(engine, leader: 1, epoch: 1)
            let left = Mutex(fatal)
            let trap: @Sendable (MemoryObjectStore.Request, String) -> ObjectStoreError? = { request, _ in
                guard request == .put else { return nil }
                let isFatal = left.withLock { left in
                    left -= 1
                    return left == 0
                }
                if isFatal { world.sever(engine) }
                return isFatal ? ObjectStoreError(.unreachable, "dead") : nil
            }
            if end == .before { world.objects.setTrap(trap) } else { world.objects.setLateTrap(trap) }
            var acknowledged = 0
            for index in 0..<12 {
                if index % 5 == 4 { try? await engine.uploadAll() }
                guard left.withLock({ $0 }) > 0,
                    let receipt = try? log.append(
                        numbers(from: index, producer: 4, sequence: Int32(index)), acks: .all, epoch: nil)
                else { break }
                // The dead acknowledge nothing; nobody waits for them.
                let wait = Task { try await receipt.durable.wait() }
                try await eventually("acknowledged or dead") { receipt.durable.outcome != nil || left.withLock { $0 } <= 0 }
                guard case .success? = receipt.durable.outcome else {
                    wait.cancel()
                    break
                }
                acknowledged = index + 1
            }
            world.objects.setTrap(nil)
            world.objects.setLateTrap(nil)
            let next = try await world.restart(engine, broker: 1, epoch: 2)
            let reopened = try await world.open(next, leader: 1, epoch: 2)
            let found = try await reopened.readNumbers()
            #expect(found.count >= acknowledged && found == Array(0..<found.count), "put \(fatal): \(found), \(acknowledged)")
            try await next.settle()
            #expect(try await world.audit(grace: .seconds(4_000_000_000)).findings.isEmpty)
            await next.shutdown()
        }
    }

    @Test func damageIsNamedAndNotPassedOver() async throws {
        let world = World(walsInObjects: true)
        let engine = try await world.started(1)
        let log = try await world.open(engine, leader: 1, epoch: 1)
        for index in 0..<4 { try await log.write(numbers(from: index, size: 100)) }
        let key = world.walObjects[1]
        world.objects.change(key) { $0.setInteger($0.getInteger(at: 190, as: UInt8.self)! ^ 4, at: 190) }
        world.kill(engine, broker: 1)
        do {
            _ = try await world.started(1, epoch: 2)
            Issue.record("damage was passed over")
        } catch let error as LogError {
            #expect(error.code == .corruptLog && error.message.contains(key))
        }
    }

    /// One bit anywhere, or the end cut off: named, or without any effect (the zeros between records mean nothing).
    @Test(arguments: 1...40) func aFlippedBitIsFoundOrDoesNoHarm(_ seed: UInt64) async throws {
        let world = World(walsInObjects: true)
        var random = RandomSourceGenerator(SeededRandomSource(seed: seed))
        let engine = try await world.started(1)
        let log = try await world.open(engine, leader: 1, epoch: 1)
        for index in 0..<3 { try await log.write(numbers(from: index, size: 50 + 7 * index)) }
        let key = world.walObjects[Int(random.next(upperBound: UInt64(3)))]
        let isCut = random.next(upperBound: UInt64(4)) == 0
        let (at, bit) = (Int(random.next(upperBound: UInt64(220))), UInt8(random.next(upperBound: UInt64(8))))
        world.objects.change(key) { object in
            if isCut {
                object = object.getSlice(at: object.readerIndex, length: object.readableBytes - 1 - at % 100)!
            } else {
                let index = object.readerIndex + at % object.readableBytes
                object.setInteger(object.getInteger(at: index, as: UInt8.self)! ^ (1 << bit), at: index)
            }
        }
        world.kill(engine, broker: 1)
        do {
            let next = try await world.started(1, epoch: 2)
            #expect(!isCut)
            #expect(try await world.open(next, leader: 1, epoch: 2).readNumbers() == [0, 1, 2])
            await next.shutdown()
        } catch let error as LogError {
            #expect(error.code == .corruptLog && error.message.contains(key), "seed \(seed): \(error)")
        }
    }

    @Test func anAcknowledgedObjectThatIsGoneIsMissed() async throws {
        let world = World(walsInObjects: true)
        let engine = try await world.started(1)
        let log = try await world.open(engine, leader: 1, epoch: 1)
        for index in 0..<8 { try await log.write(numbers(from: index)) }
        let key = world.walObjects[1]
        try await world.objects.delete([key])
        world.kill(engine, broker: 1)
        do {
            _ = try await world.started(1, epoch: 2)
            Issue.record("the loss was passed over")
        } catch let error as LogError {
            #expect(error.code == .corruptLog && error.message.contains(key))
        }
    }

    /// A deletion that is cut off leaves some of the objects below the trim: they are neither needed nor in the way.
    @Test func aTrimThatIsCutOffLeavesNoGap() async throws {
        let world = World(walsInObjects: true)
        let engine = try await world.started(1)
        let log = try await world.open(engine, leader: 1, epoch: 1)
        for index in 0..<6 { try await log.write(numbers(from: index)) }
        world.objects.setTrap { request, key in
            request == .delete && key.hasPrefix("shared-wal/") ? .init(.unreachable, "no route") : nil
        }
        try await engine.uploadAll()
        try await log.write(numbers(from: 6))
        try await eventually("the trim is recorded") { try await world.metadata.get("/shared/wal-trims/1") != nil }
        world.objects.setTrap(nil)
        try await world.objects.delete([world.walObjects[2]])
        let next = try await world.restart(engine, broker: 1, epoch: 2)
        #expect(try await world.open(next, leader: 1, epoch: 2).readNumbers() == Array(0..<7))
        await next.shutdown()
    }

    @Test func aBrokerMayGoFromARingToObjectsAndBack() async throws {
        let world = World()
        var written = 0
        var engine = try await world.started(1)
        for (run, isInObjects) in [(1, true), (2, false), (3, true)] {
            let log = try await world.open(engine, leader: 1, epoch: Int32(run))
            for _ in 0..<5 {
                try await log.write(numbers(from: written))
                written += 1
            }
            world.kill(engine, broker: 1)
            engine = try await world.started(1, epoch: Int64(run + 1), walInObjects: isInObjects)
            let reopened = try await world.open(engine, leader: 1, epoch: Int32(run + 1))
            #expect(try await reopened.readNumbers() == Array(0..<written))
        }
        await engine.shutdown()
    }
}

extension World {
    var walObjects: [String] { objects.keys.filter { $0.hasPrefix("shared-wal/") } }

    /// Its process dies and is started anew.
    func restart(_ engine: SharedStorageEngine, broker: Int32, epoch: Int64) async throws -> SharedStorageEngine {
        kill(engine, broker: broker)
        objects.setTrap(nil)
        objects.setLateTrap(nil)
        return try await started(broker, epoch: epoch)
    }

    /// Nothing of it arrives anywhere from now on.
    func sever(_ engine: SharedStorageEngine) { lifeline(of: engine)?.sever() }
}
