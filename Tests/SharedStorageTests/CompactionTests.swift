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

@Suite struct CompactionTests {
    @Test func settlingGivesEachStreamObjectsOfItsOwnAndKeepsItsBytes() async throws {
        let world = World()
        let engine = try await world.started(1)
        var logs: [any PartitionLog] = []
        for number in 0..<5 { logs.append(try await world.open(engine, Int32(number), leader: 1, epoch: 1)) }
        for round in 0..<6 {
            for index in 0..<10 {
                for log in logs { try await log.write(numbers(from: round * 10 + index, size: 300)) }
            }
            try await engine.uploadAll()
        }
        #expect(world.objects.keys.count == 6)
        let before = try await engine.objectFootprint()
        try await engine.settle()
        #expect(world.objects.keys.count == 5)
        for log in logs { #expect(try await log.readNumbers() == Array(0..<60)) }
        #expect(try await world.hasNoOrphans)
        let after = try await engine.objectFootprint()
        #expect(after.entries[.garbage] == nil)
        #expect(after.entries[.object]?.recordBytes == before.entries[.object]?.recordBytes)
        #expect(after.entries[.object]?.recordBytes == logs.reduce(0) { $0 + $1.sizeInBytes } * 3)
        await engine.shutdown()

        // And a broker that has nothing cached reads the same.
        let other = try await world.started(2)
        for number in 0..<5 {
            let log = try await world.open(other, Int32(number), leader: 2, epoch: 2)
            #expect(try await log.readNumbers() == Array(0..<60))
        }
        await other.shutdown()
    }

    @Test func aReaderInTheMiddleOfACompactionFindsTheNewObject() async throws {
        let world = World()
        var settings = SharedStorageSettings.small
        settings.logCacheBytes = 0
        settings.blockCacheBytes = 0
        settings.indexCacheBytes = 0
        let engine = try await world.started(1, settings: settings)
        let log = try await world.open(engine, 0, leader: 1, epoch: 1)
        let other = try await world.open(engine, 1, leader: 1, epoch: 1)
        for index in 0..<40 {
            try await log.write(numbers(from: index))
            try await other.write(numbers(from: index))
            if index % 10 == 9 { try await engine.uploadAll() }
        }
        let reader = Task {
            for _ in 0..<30 {
                guard try await log.readNumbers(maxBytes: 200) == Array(0..<40) else { return false }
            }
            return true
        }
        try await engine.settle()
        #expect(try await reader.value)
        await engine.shutdown()
    }

    @Test func damageStopsACompactionBeforeAnythingIsLetGo() async throws {
        let world = World()
        let engine = try await world.started(1)
        let logs = [try await world.open(engine, 0, leader: 1, epoch: 1), try await world.open(engine, 1, leader: 1, epoch: 1)]
        for index in 0..<10 { for log in logs { try await log.write(numbers(from: index, size: 200)) } }
        try await engine.uploadAll()
        let key = try #require(world.objects.keys.first)
        world.objects.change(key) { $0.setInteger($0.getInteger(at: 900, as: UInt8.self)! ^ 4, at: 900) }
        await #expect(throws: LogError.self) { try await engine.settle() }
        #expect(world.objects.keys.contains(key))
        world.objects.change(key) { $0.setInteger($0.getInteger(at: 900, as: UInt8.self)! ^ 4, at: 900) }
        try await engine.settle()
        for log in logs { #expect(try await log.readNumbers() == Array(0..<10)) }
        await engine.shutdown()
    }

    @Test func retentionAndDeletionFreeObjects() async throws {
        let world = World()
        let engine = try await world.started(1)
        var configuration = LogConfiguration()
        configuration.retentionTime = nil
        configuration.retentionBytes = 5_000
        let log = try await world.open(engine, 0, leader: 1, epoch: 1, configuration: configuration)
        for round in 0..<10 {
            for index in 0..<10 { try await log.write(numbers(from: round * 10 + index, size: 150)) }
            try await engine.uploadAll()
        }
        try await engine.settle()
        #expect(log.offsets.logStart > .zero)
        #expect(log.sizeInBytes >= 5_000 && log.sizeInBytes < 12_000)
        let rest = try await log.readNumbers()
        #expect(rest == Array(Int(log.offsets.logStart.rawValue)..<100))
        #expect(try await log.deleteRecords(before: Offset(100)) == Offset(100))
        try await engine.settle()
        #expect(world.objects.keys.isEmpty)

        try await log.write(numbers(from: 100))
        try await engine.settle()
        #expect(world.objects.keys.count == 1)
        try await engine.delete(world.partition(), ownsSharedData: true)
        try await engine.settle()
        #expect(world.objects.keys.isEmpty)
        #expect(try await world.metadata.list(prefix: "/shared/streams/").values.isEmpty)
        #expect(try await world.metadata.list(prefix: "/shared/ranges/").values.isEmpty)
        await engine.shutdown()
    }
}
