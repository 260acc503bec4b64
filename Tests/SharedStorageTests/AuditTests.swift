//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogEngine
import LogModel
import NIOCore
import ObjectStore
import RuntimeEnvironment
import SharedStorage
import Testing

@Suite struct AuditTests {
    @Test func whatBrokersLeaveBehindAgreesWithTheirMetadata() async throws {
        let world = World()
        let engine = try await world.started(1)
        let logs = [try await world.open(engine, 0, leader: 1, epoch: 1), try await world.open(engine, 1, leader: 1, epoch: 1)]
        for round in 0..<4 {
            for log in logs { try await log.write(numbers(from: round * 10, count: 10)) }
            try await engine.uploadAll()
        }
        var report = try await world.audit()
        #expect(report.findings.isEmpty && report.committed == 4 && report.objects == 4)
        try await engine.settle()
        report = try await world.audit()
        #expect(report.findings.isEmpty && report.objects == report.committed && report.tooYoung == 0)
        #expect(report.bytes == world.objects.totalBytes)
        await engine.shutdown()
    }

    @Test(arguments: ["put refused", "put done, answer lost", "commit lost", "commit answered late", "prepare answered late"])
    func whatACrashLeavesIsAnnouncedAndNoOrphan(_ point: String) async throws {
        let world = World()
        let engine = try await world.started(1)
        let log = try await world.open(engine, leader: 1, epoch: 1)
        try await log.write(numbers(from: 0, count: 10))
        try await engine.uploadAll()
        try await log.write(numbers(from: 10, count: 10))
        world.trip(point)
        await #expect(throws: LogError.self) { try await engine.settle() }
        world.kill(engine, broker: 1)
        world.trip(nil)

        // Between PUT and commit: the object is there, the metadata know it, nothing may be removed.
        let before = world.objects.keys
        #expect(try await world.audit(repairs: true).findings.isEmpty)
        #expect(world.objects.keys == before)

        let next = try await world.started(1, epoch: 2)
        let reopened = try await world.open(next, leader: 1, epoch: 2)
        try await next.settle()
        #expect(try await reopened.readNumbers() == Array(0..<20))
        let report = try await world.audit()
        #expect(report.findings.isEmpty && report.objects == report.committed)
        await next.shutdown()
    }

    @Test func aLiveObjectWALIsNoOrphanAndADeadOnesRestIs() async throws {
        let world = World(walsInObjects: true)
        let engine = try await world.started(1)
        let survivor = try await world.started(2)
        let log = try await world.open(engine, leader: 1, epoch: 1)
        try await log.write(numbers(from: 0, count: 10))
        #expect(world.objects.keys.count == 1)
        #expect(try await world.audit(repairs: true).findings.isEmpty)
        world.kill(engine, broker: 1)
        #expect(try await world.audit(repairs: true).findings.isEmpty)
        try await survivor.brokerDied(BrokerID(1), epoch: BrokerEpoch(1), assigned: true)
        let moved = try await world.open(survivor, leader: 2, epoch: 2)
        #expect(try await moved.readNumbers() == Array(0..<10))
        // The fence outlives the recovery, for a writer that may yet wake, and goes with the grace.
        let report = try await world.audit(repairs: true)
        #expect(report.findings.map(\.key) == ["shared-wal/1/1/0000000000000001"] && report.findings.allSatisfy(\.isRemoved))
        #expect(try await world.audit().findings.isEmpty)
        await survivor.shutdown()
    }

    @Test func aPutThatArrivesAfterEverybodyGaveItUpIsAnOrphanAndRemoved() async throws {
        let world = World()
        let engine = try await world.started(1)
        let log = try await world.open(engine, leader: 1, epoch: 1)
        try await log.write(numbers(from: 0, count: 10))
        try await engine.settle()
        let kept = world.objects.keys
        try await world.objects.put("shared/7f/1-1-ffff.nine", ByteBuffer(string: "late"))

        let young = try await world.audit(repairs: true, grace: .seconds(4_000_000_000))
        #expect(young.findings.isEmpty && young.tooYoung == 1)
        let found = try await world.audit()
        #expect(found.findings.map(\.kind) == [.orphan] && found.findings.map(\.bytes) == [4])
        #expect(found.findings.map(\.isRemoved) == [false] && world.objects.keys.count == kept.count + 1)
        let repaired = try await world.audit(repairs: true)
        #expect(repaired.findings.map(\.isRemoved) == [true] && repaired.refusal == nil)
        #expect(world.objects.keys == kept)
        #expect(try await world.audit().findings.isEmpty)
        #expect(try await log.readNumbers() == Array(0..<10))
        await engine.shutdown()
    }

    @Test func lossAndDamageAreNamedByPartitionAndOffsetsAndLeftAlone() async throws {
        let world = World()
        let engine = try await world.started(1)
        let log = try await world.open(engine, leader: 1, epoch: 1)
        let other = try await world.open(engine, 1, leader: 1, epoch: 1)
        try await log.write(numbers(from: 0, count: 10))
        try await engine.uploadAll()
        let first = try #require(world.objects.keys.first)
        try await other.write(numbers(from: 0, count: 7))
        try await engine.uploadAll()
        let second = try #require(world.objects.keys.first { $0 != first })
        world.objects.change(second) { $0.writeInteger(UInt8(1)) }
        try await world.objects.delete([first])

        let report = try await world.audit(repairs: true)
        let missing = try #require(report.findings.first { $0.kind == .missing })
        #expect(missing.key == first)
        #expect(missing.holds == [HeldOffsets(topic: "orders", partition: 0, startOffset: 0, endOffset: 10)])
        let different = try #require(report.findings.first { $0.kind == .sizeMismatch })
        #expect(different.key == second && different.bytes == different.expectedBytes.map { $0 + 1 })
        #expect(different.holds == [HeldOffsets(topic: "orders", partition: 1, startOffset: 0, endOffset: 7)])
        #expect(report.findings.count == 2 && report.findings.allSatisfy { !$0.isRemoved })
        #expect(world.objects.keys == [second])
        await engine.shutdown()
    }

    @Test func anotherClustersMetadataRemoveNothing() async throws {
        let world = World()
        let engine = try await world.started(1)
        let log = try await world.open(engine, leader: 1, epoch: 1)
        try await log.write(numbers(from: 0, count: 10))
        try await engine.settle()
        let elsewhere = World()
        let audit = ObjectAudit(
            world.objects, mode: "shared", prefixes: SharedAudit.prefixes, graceMilliseconds: 0, nowMilliseconds: 1_000)
        let report = try await audit.run(repairs: true) {
            try await SharedAudit.expectations(in: elsewhere.metadata, clock: elsewhere.environment.clock)
        }
        #expect(report.findings.map(\.kind) == [.orphan] && report.refusal != nil)
        #expect(world.objects.keys.count == 1)
        await engine.shutdown()
    }

    /// Uploads, compactions and deletions go on while it looks.
    @Test func anAuditBesideARunningBrokerFindsNothing() async throws {
        let world = World()
        let engine = try await world.started(1)
        let log = try await world.open(engine, leader: 1, epoch: 1)
        let writing = Task {
            for round in 0..<40 {
                try await log.write(numbers(from: round * 5, count: 5))
                try await engine.settle()
                if round % 8 == 7 { _ = try await log.deleteRecords(before: Offset(Int64(round) * 5)) }
            }
        }
        var audits = 0
        while !writing.isCancelled, log.offsets.logEnd < Offset(200) {
            let report = try await world.audit(repairs: true)
            #expect(report.findings.isEmpty, "\(report.findings)")
            audits += 1
        }
        try await writing.value
        #expect(audits > 0)
        #expect(try await log.readNumbers() == Array(195..<200))
        await engine.shutdown()
    }
}

extension World {
    func audit(repairs: Bool = false, grace: Duration = .zero) async throws -> ObjectAuditReport {
        let audit = ObjectAudit(
            objects, mode: "shared", prefixes: SharedAudit.prefixes, graceMilliseconds: grace.inMilliseconds,
            nowMilliseconds: environment.clock.wallMilliseconds())
        return try await audit.run(repairs: repairs) {
            try await SharedAudit.expectations(in: metadata, clock: environment.clock)
        }
    }
}
