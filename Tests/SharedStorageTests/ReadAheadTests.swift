//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogEngine
import LogModel
import NIOCore
import ObjectStore
import SharedStorage
import Synchronization
import Testing

@Suite struct ReadAheadTests {
    private static let records = 24

    private static var settings: SharedStorageSettings {
        var settings = SharedStorageSettings.small
        settings.blockBytes = 4_096
        settings.readAheadBytes = 4_096
        settings.readAheadBytesMax = 20_000
        return settings
    }

    /// A log of three objects, one batch a block, whose owner has just started and has nothing in memory.
    private static func coldLog(_ world: World, settings: SharedStorageSettings = settings) async throws -> any PartitionLog {
        let first = try await world.started(1, settings: settings)
        var log = try await world.open(first, leader: 1, epoch: 1)
        for index in 0..<records {
            try await log.write(numbers(from: index, size: 4_096))
            if index % 8 == 7 { try await first.settle() }
        }
        await first.shutdown()
        let second = try await world.started(1, epoch: 2, settings: settings)
        log = try await world.open(second, leader: 1, epoch: 1)
        return log
    }

    @Test func aReaderInOrderHasSeveralGetsUnderWayAndEachBlockOnce() async throws {
        let world = World()
        let log = try await Self.coldLog(world)
        let asked = Mutex<[String: Int]>([:])
        let underWay = Mutex((now: 0, most: 0))
        world.objects.setPause { key, range in
            asked.withLock { $0["\(key) \(range!.lowerBound)", default: 0] += 1 }
            underWay.withLock {
                $0.now += 1
                $0.most = max($0.most, $0.now)
            }
            try? await Task.sleep(for: .milliseconds(3))
            underWay.withLock { $0.now -= 1 }
        }
        #expect(try await log.readNumbers(maxBytes: 4_500) == Array(0..<Self.records))
        #expect(underWay.withLock { $0.most } >= 3)
        #expect(asked.withLock { $0.values.allSatisfy { $0 == 1 } })
        // Its blocks, and an index for each object.
        #expect(asked.withLock { $0.count } == Self.records + world.objects.keys.count)
    }

    @Test func readersAtDifferentPlacesAreEachReadAheadOf() async throws {
        let world = World()
        let log = try await Self.coldLog(world)
        let asked = Mutex<[String: Int]>([:])
        let underWay = Mutex((now: 0, most: 0))
        world.objects.setPause { key, range in
            asked.withLock { $0["\(key) \(range!.lowerBound)", default: 0] += 1 }
            underWay.withLock {
                $0.now += 1
                $0.most = max($0.most, $0.now)
            }
            try? await Task.sleep(for: .milliseconds(3))
            underWay.withLock { $0.now -= 1 }
        }
        // In turn, so that only reading ahead has more than one under way.
        let half = Self.records / 2
        for index in 0..<half {
            for start in [0, half] {
                #expect(
                    try await log.read(from: Offset(Int64(start + index)), maxBytes: 4_500).first?.offset
                        == Offset(Int64(start + index)))
            }
        }
        #expect(underWay.withLock { $0.most } >= 3)
        #expect(asked.withLock { $0.values.allSatisfy { $0 == 1 } })
    }

    @Test func theReaderHeardOfLeastRecentlyIsForgotten() {
        var settings = SharedStorageSettings()
        settings.readAheadBytes = 100
        var aheads = ReadAheads()
        let numbers = (0..<ReadAheads.readersMax).map { place in
            let number = aheads.begin(at: Offset(Int64(place) * 1_000), bytes: 50, settings)
            aheads[number]?.end(at: Offset(Int64(place) * 1_000 + 1), missed: nil, settings)
            return number
        }
        #expect(Set(numbers).count == ReadAheads.readersMax)
        // All go on but the second.
        for (place, number) in numbers.enumerated() where place != 1 {
            #expect(aheads.begin(at: Offset(Int64(place) * 1_000 + 1), bytes: 50, settings) == number)
            #expect(aheads[number]?.window == 100)
        }
        let new = aheads.begin(at: Offset(77), bytes: 50, settings)
        #expect(!numbers.contains(new) && aheads[numbers[1]] == nil && aheads[numbers[0]] != nil)
    }

    @Test func whoReadsOnceIsNotReadAheadOf() async throws {
        let world = World()
        let log = try await Self.coldLog(world)
        let before = world.objects.count("get")
        for offset in [20, 3, 11] { #expect(try await log.read(from: Offset(Int64(offset)), maxBytes: 1).count == 1) }
        // A block and an index each.
        #expect(world.objects.count("get") - before == 6)
    }

    @Test func readersOfOneBlockShareItsGet() async throws {
        let world = World()
        let log = try await Self.coldLog(world)
        let before = world.objects.count("get")
        world.objects.setPause { _, _ in try? await Task.sleep(for: .milliseconds(20)) }
        try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<8 { group.addTask { try await log.read(from: Offset(5), maxBytes: 1).count } }
            for try await count in group { #expect(count == 1) }
        }
        #expect(world.objects.count("get") - before == 2)
    }

    @Test func whatFailsAheadOfAReaderIsAskedForAgain() async throws {
        let world = World()
        let log = try await Self.coldLog(world)
        let failures = Mutex(0)
        world.objects.setTrap { request, _ in
            guard request == .get else { return nil }
            return failures.withLock { failures in
                failures += 1
                return failures % 3 == 0 ? ObjectStoreError(.slowDown, "not now") : nil
            }
        }
        var read: [Int64] = []
        var next = Offset(0)
        while read.count < Self.records {
            do {
                for record in try await log.read(from: next, maxBytes: 4_500) {
                    read.append(record.offset.rawValue)
                    next = record.offset + 1
                }
            } catch let error as LogError {
                #expect(error.code == .notAvailable)
            }
        }
        #expect(read == Array(0..<Int64(Self.records)))
    }

    @Test func theWindowGrowsInOrderAndShrinksWhereTheCacheIsTooSmall() {
        var settings = SharedStorageSettings()
        settings.readAheadBytes = 100
        settings.readAheadBytesMax = 800
        var ahead = ReadAhead()
        ahead.begin(at: Offset(0), bytes: 50, settings)
        #expect(ahead.window == 0 && ahead.nextFetch == nil)
        ahead.end(at: Offset(1), missed: Offset(0), settings)
        for (index, window) in [100, 200, 400, 800, 800].enumerated() {
            ahead.begin(at: Offset(Int64(index) + 1), bytes: 50, settings)
            #expect(ahead.window == window)
            ahead.end(at: Offset(Int64(index) + 2), missed: nil, settings)
        }
        #expect(ahead.nextFetch == Offset(6))
        ahead.asked(to: Offset(9), bytes: 849)
        #expect(ahead.nextFetch == Offset(9))
        ahead.asked(to: Offset(10), bytes: 1)
        #expect(ahead.nextFetch == nil)
        // What was on its way is gone before it was read.
        ahead.begin(at: Offset(6), bytes: 50, settings)
        ahead.end(at: Offset(9), missed: Offset(7), settings)
        #expect(ahead.window == 200)
        ahead.begin(at: Offset(2), bytes: 50, settings)
        #expect(ahead.window == 0 && ahead.nextFetch == nil)
    }
}
