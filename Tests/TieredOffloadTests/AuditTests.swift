//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import ClusterMetadata
import Foundation
import LogEngine
import LogModel
import NIOCore
import ObjectStore
import RuntimeEnvironment
import SimulationKit
import Synchronization
import Testing
import TieredOffload

@Suite struct AuditTests {
    /// Wherever the broker dies, what it has put is named: nothing is an orphan, nothing finished is missing.
    @Test(arguments: Fuse.Last.allCases) func aCrashAtAnyStepLeavesNoOrphanAndNoLoss(last: Fuse.Last) async throws {
        for changes in 1... {
            let bench = TierBench(seed: UInt64(changes))
            let storage = bench.storage(1)
            let fuse = Fuse(after: changes, last: last)
            let first = try await bench.start(over: storage, metadata: FusedMetadataStore(base: bench.metadata, fuse: fuse))
            fuse.install(in: bench.store)
            for _ in 0..<2 { try await first.fill(batches: 5) }
            try? await first.engine.settle()
            let burnt = fuse.isBurnt
            await first.engine.shutdown()
            bench.store.setFault(nil)

            let left = bench.store.keys
            #expect(try await bench.audit(repairs: true).findings.isEmpty, "\(changes) changes")
            #expect(bench.store.keys == left)
            let second = try await bench.start(over: storage, epoch: 2)
            try await second.engine.settle()
            let report = try await bench.audit()
            #expect(report.findings.isEmpty && report.objects == report.committed && report.announced == 0)
            await second.engine.shutdown()
            if !burnt { break }
        }
    }

    @Test func anUnknownObjectIsRemovedOnceItIsOldEnough() async throws {
        let bench = TierBench()
        let broker = try await bench.start()
        try await broker.fill(batches: 5)
        try await broker.engine.settle()
        let kept = bench.store.keys
        let key = try #require(kept.first { $0.hasSuffix(".log") }).replacing("-", with: "-0")
        try await bench.store.put(key, ByteBuffer(string: "late"))
        #expect(try await bench.audit(repairs: true, grace: .seconds(60)).tooYoung == 1)
        bench.world.clock.advance(by: .seconds(61))
        #expect(try await bench.audit(grace: .seconds(60)).findings.map(\.key) == [key])
        #expect(try await bench.audit(repairs: true, grace: .seconds(60)).findings.map(\.isRemoved) == [true])
        #expect(bench.store.keys == kept)
        await broker.engine.shutdown()
    }

    /// Found by the cluster simulation: after the last topic's deletion the metadata name no object by which they know the store for theirs.
    @Test func anObjectThatComesLateIsRemovedThoughNoOtherIsKnown() async throws {
        let bench = TierBench()
        let broker = try await bench.start()
        try await broker.fill(batches: 5)
        try await broker.engine.settle()
        let late = try #require(bench.store.keys.first { $0.hasSuffix(".log") })
        try await broker.engine.delete(bench.partition, ownsSharedData: true)
        await broker.engine.shutdown()

        try await bench.store.put(late, ByteBuffer(string: "late"))
        let foreign = TierKey.objects + "other-\(TopicID(high: 1, low: 1))/0/00000000000000000000-1.log"
        try await bench.store.put(foreign, ByteBuffer(string: "another cluster's"))
        bench.world.clock.advance(by: .seconds(61))
        let report = try await bench.audit(repairs: true, grace: .seconds(60))
        #expect(report.findings.filter(\.isRemoved).map(\.key) == [late] && report.refusal != nil)
        #expect(bench.store.keys == [foreign])

        func remembered() async throws -> Int { try await bench.metadata.list(prefix: TierKey.metadata).values.count }
        let now = Timestamp(bench.world.clock.wallMilliseconds())
        try await TierAudit.forgetDeletions(in: bench.metadata, before: Timestamp(now.rawValue - 62_000))
        #expect(try await remembered() == 1)
        try await TierAudit.forgetDeletions(in: bench.metadata, before: now)
        #expect(try await remembered() == 0)
    }

    @Test func anUploadThatNobodyCompletesIsEndedOnceItIsOldEnough() async throws {
        let bench = TierBench()
        let broker = try await bench.start()
        try await broker.fill(batches: 5)
        try await broker.engine.settle()
        let kept = bench.store.keys
        let dead = bench.store.beginUpload(try #require(kept.first { $0.hasSuffix(".log") }).replacing("-", with: "-0"))
        bench.store.beginUpload("elsewhere/1.log")
        // One that the metadata announce is its broker's to end.
        var announced = try #require(try await bench.records().first)
        announced.state = .copyStarted
        announced.id = String(announced.id.reversed())
        announced.objectKey += "1"
        let key = TierKey.segment(announced.id, at: announced.baseOffset, of: bench.partition)
        _ = try await bench.metadata.commit(
            Transaction(conditions: [], operations: [.put(key, Array(try JSONEncoder().encode(announced)))]))
        let running = bench.store.beginUpload(TierKey.log(announced))

        var report = try await bench.audit(repairs: true, grace: .seconds(60))
        #expect(report.unfinishedUploads == 2 && report.findings.isEmpty)
        bench.world.clock.advance(by: .seconds(61))
        report = try await bench.audit(grace: .seconds(60))
        #expect(report.findings.map(\.kind) == [.unfinishedUpload] && report.findings.map(\.key) == [dead.key])
        #expect(try await bench.store.unfinishedUploads(prefix: TierKey.objects) == [dead, running].sorted { $0.key < $1.key })
        report = try await bench.audit(repairs: true, grace: .seconds(60))
        #expect(report.findings.map(\.isRemoved) == [true])
        #expect(try await bench.store.unfinishedUploads(prefix: "").map(\.key) == ["elsewhere/1.log", running.key])
        #expect(bench.store.keys == kept)
        await broker.engine.shutdown()
    }

    /// The put times out, and is carried out when the attempt has long been given up.
    @Test func aPutThatArrivesLateIsRemovedByTheBrokerItself() async throws {
        let bench = TierBench()
        let broker = try await bench.start()
        try await broker.fill(batches: 5)
        let late = Mutex<String?>(nil)
        bench.store.setFault { operation in
            guard operation.kind == .put, operation.key.hasSuffix(".log") else { return nil }
            late.withLock { $0 = $0 ?? operation.key }
            return .fail(.timedOut)
        }
        #expect(await failure { try await broker.engine.settle() } == .notAvailable)
        bench.store.setFault(nil)
        let key = try #require(late.withLock { $0 })
        try await bench.store.put(key, ByteBuffer(string: "late"))
        try await broker.engine.settle()
        // The segment is there by another attempt; what is late is not yet known not to come.
        #expect(broker.log.offsets.latestTiered == Offset(24) && bench.store.keys.contains(key))
        bench.world.clock.advance(by: .seconds(61))
        try await broker.engine.settle()
        #expect(!bench.store.keys.contains(key))
        try await bench.expectNoOrphans()
        await broker.engine.shutdown()
    }

    @Test(arguments: [".log", ".indexes", ".manifest"]) func aLostObjectIsNamedByItsOffsets(suffix: String) async throws {
        let bench = TierBench()
        let broker = try await bench.start()
        for _ in 0..<2 { try await broker.fill(batches: 5) }
        try await broker.engine.settle()
        let lost = try #require(bench.store.keys.last { $0.hasSuffix(suffix) })
        try await bench.store.delete([lost])
        let report = try await bench.audit(repairs: true)
        #expect(report.findings.map(\.kind) == [.missing] && report.findings.map(\.key) == [lost])
        #expect(
            report.findings.first?.holds == [HeldOffsets(topic: "orders", partition: 3, startOffset: 25, endOffset: 50)])
        await broker.engine.shutdown()
    }

    @Test(arguments: [".log", ".indexes"]) func aCutObjectIsNamed(suffix: String) async throws {
        let bench = TierBench()
        let broker = try await bench.start()
        try await broker.fill(batches: 5)
        try await broker.engine.settle()
        let key = try #require(bench.store.keys.last { $0.hasSuffix(suffix) })
        let whole = try await bench.store.get(key, range: nil)
        try await bench.store.put(key, whole.getSlice(at: whole.readerIndex, length: whole.readableBytes - 1)!)
        let finding = try #require(try await bench.audit().findings.first)
        #expect(finding.kind == .sizeMismatch && finding.expectedBytes == Int64(whole.readableBytes))
        #expect(finding.bytes == Int64(whole.readableBytes) - 1)
        await broker.engine.shutdown()
    }
}

extension TierBench {
    func audit(repairs: Bool = false, grace: Duration = .zero) async throws -> ObjectAuditReport {
        let audit = ObjectAudit(
            store, mode: "tiered", prefixes: TierAudit.prefixes, graceMilliseconds: grace.inMilliseconds,
            nowMilliseconds: world.clock.wallMilliseconds())
        return try await audit.run(repairs: repairs) { try await TierAudit.expectations(in: metadata) }
    }
}
