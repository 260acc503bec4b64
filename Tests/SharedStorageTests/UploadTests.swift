//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import ClusterMetadata
import LogEngine
import LogModel
import NIOCore
import ObjectStore
import SharedStorage
import Synchronization
import Testing

@Suite struct UploadTests {
    /// The broker dies with its upload stopped before or after each of its transactions, or before or after its PUT.
    @Test(arguments: [
        "prepare lost", "prepare answered late", "put refused", "put done, answer lost", "commit lost", "commit answered late",
    ])
    func aCrashBetweenTheStepsLosesNothing(_ point: String) async throws {
        let world = World()
        let first = try await world.started(1)
        var log = try await world.open(first, leader: 1, epoch: 1)
        for index in 0..<20 { try await log.write(numbers(from: index, producer: 9, sequence: Int32(index))) }
        world.trip(point)
        await #expect(throws: LogError.self) { try await first.settle() }
        first.fence()
        world.trip(nil)

        let second = try await world.started(1, epoch: 2)
        log = try await world.open(second, leader: 1, epoch: 2)
        #expect(try await log.readNumbers() == Array(0..<20))
        for index in 20..<30 { try await log.write(numbers(from: index, producer: 9, sequence: Int32(index))) }
        try await second.settle()
        #expect(try await log.readNumbers() == Array(0..<30))
        // Nothing is left of what was put and never committed.
        #expect(try await world.hasNoOrphans)
        let footprint = try await second.objectFootprint()
        #expect(footprint.entries[.garbage] == nil)
        #expect(footprint.entries[.object]?.recordBytes == log.sizeInBytes * 3)
        await second.shutdown()
    }

    @Test(arguments: [
        "prepare lost", "prepare answered late", "put refused", "put done, answer lost", "commit lost", "commit answered late",
    ])
    func anUploadThatFailsIsTriedAgain(_ point: String) async throws {
        let world = World()
        let engine = try await world.started(1)
        let log = try await world.open(engine, leader: 1, epoch: 1)
        for index in 0..<20 { try await log.write(numbers(from: index)) }
        world.trip(point)
        await #expect(throws: LogError.self) { try await engine.settle() }
        world.trip(nil)
        for index in 20..<30 { try await log.write(numbers(from: index)) }
        try await engine.settle()
        #expect(try await engine.footprint().entries[.wal]?.recordBytes == 0)
        #expect(try await log.readNumbers() == Array(0..<30))
        await engine.shutdown()
    }

    @Test func largeStreamsGetObjectsOfTheirOwn() async throws {
        let world = World()
        var settings = SharedStorageSettings.small
        settings.streamObjectSplitBytes = 20_000
        let engine = try await world.started(1, settings: settings)
        var logs: [any PartitionLog] = []
        for number in 0..<4 { logs.append(try await world.open(engine, Int32(number), leader: 1, epoch: 1)) }
        for index in 0..<30 {
            for (number, log) in logs.enumerated() where number == 0 || index < 3 {
                try await log.write(numbers(from: index, size: 1_000))
            }
        }
        await engine.shutdown()
        #expect(world.objects.keys.count == 2)
        let again = try await world.started(2, settings: settings)
        for number in 0..<4 {
            let log = try await world.open(again, Int32(number), leader: 2, epoch: 2)
            #expect(try await log.readNumbers() == Array(0..<(number == 0 ? 30 : 3)))
        }
        await again.shutdown()
    }

    @Test func uploadsBeginByBytesAndByTime() async throws {
        let world = World()
        var settings = SharedStorageSettings.small
        settings.uploadThresholdBytes = 10_000
        let engine = try await world.started(1, settings: settings)
        let log = try await world.open(engine, leader: 1, epoch: 1)
        for index in 0..<9 { try await log.write(numbers(from: index, size: 1_000)) }
        #expect(world.objects.keys.isEmpty)
        for index in 9..<12 { try await log.write(numbers(from: index, size: 1_000)) }
        try await eventually("an upload by bytes") { !world.objects.keys.isEmpty }
        await engine.shutdown()

        // What is in no object cannot leave memory: where that is short, uploads begin sooner.
        settings = .small
        settings.uploadThresholdBytes = 1 << 40
        settings.logCacheBytes = 40_000
        settings.blockBytes = 4_096
        let short = try await world.started(3, settings: settings)
        let third = try await world.open(short, 2, leader: 3, epoch: 1)
        let held = world.objects.keys.count
        for index in 0..<15 { try await third.write(numbers(from: index, size: 1_000)) }
        #expect(world.objects.keys.count == held)
        for index in 15..<25 { try await third.write(numbers(from: index, size: 1_000)) }
        try await eventually("an upload by memory") { world.objects.keys.count > held }
        await short.shutdown()

        settings = .small
        settings.uploadInterval = .milliseconds(20)
        let timed = try await world.started(2, settings: settings)
        let other = try await world.open(timed, 1, leader: 2, epoch: 1)
        let before = world.objects.keys.count
        try await other.write(numbers(from: 0))
        try await eventually("an upload by time") { world.objects.keys.count > before }
        await timed.shutdown()
    }

    @Test func aDamagedObjectIsNamedAndNotServed() async throws {
        let world = World()
        var settings = SharedStorageSettings.small
        settings.logCacheBytes = 0
        settings.blockCacheBytes = 0
        let engine = try await world.started(1, settings: settings)
        let log = try await world.open(engine, leader: 1, epoch: 1)
        for index in 0..<20 { try await log.write(numbers(from: index, size: 100)) }
        try await engine.settle()
        let key = try #require(world.objects.keys.first)
        world.objects.change(key) { $0.setInteger($0.getInteger(at: 700, as: UInt8.self)! ^ 4, at: 700) }
        do {
            _ = try await log.readNumbers()
            Issue.record("damage was served")
        } catch let error as LogError {
            #expect(error.code == .corruptLog)
            #expect(error.message.contains(key))
        }
        await engine.shutdown()
    }
}

extension World {
    /// Makes one request or transaction of an upload fail, as `point` says.
    func trip(_ point: String?) {
        metadata.setTrap(nil)
        objects.setTrap(nil)
        objects.setLateTrap(nil)
        guard let point else { return }
        let moment: TrippingMetadataStore.Moment = point.hasSuffix("answered late") ? .after : .before
        switch point {
        case "put refused": objects.setTrap { request, _ in request == .put ? .init(.unreachable, "no route") : nil }
        case "put done, answer lost": objects.setLateTrap { request, _ in request == .put ? .init(.timedOut, "no answer") : nil }
        default:
            let prefix = point.hasPrefix("prepare") ? "/shared/prepared/" : "/shared/objects/"
            metadata.setTrap { at, transaction in
                let concerns = transaction.operations.contains {
                    if case .put(let key, _, _) = $0 { key.hasPrefix(prefix) } else { false }
                }
                return at == moment && concerns ? .init(.unavailable, "no answer") : nil
            }
        }
    }

    /// Nothing is announced and not committed, nothing waits for its deletion, and every object in the store is one that the metadata
    /// know.
    var hasNoOrphans: Bool {
        get async throws {
            let left =
                try await metadata.list(prefix: "/shared/prepared/").values + metadata.list(prefix: "/shared/destroyed/").values
            let ledger = try await metadata.list(prefix: "/shared/objects/").values
            let known = Set(ledger.map { $0.key.dropFirst("/shared/objects/".count) + ".nine" }.map(String.init))
            let there = Set(objects.keys.filter { $0.hasPrefix("shared/") }.map { String($0.split(separator: "/").last!) })
            return left.isEmpty && known == there
        }
    }
}
