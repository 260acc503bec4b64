//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import ClusterMetadata
import LogEngine
import LogModel
import LogSegments
import NIOCore
import ObjectStore
import RuntimeEnvironment
import SimulationKit
import Synchronization
import Testing
import TieredOffload

/// A broker dies at every step in turn; its next run finds all readable, and leaves nothing behind.
@Suite struct CrashTests {
    @Test(arguments: Fuse.Last.allCases) func copyingSurvivesACrashAtEveryStep(last: Fuse.Last) async throws {
        var steps = 0
        for changes in 1... {
            let bench = TierBench(seed: UInt64(changes))
            let storage = bench.storage(1)
            let fuse = Fuse(after: changes, last: last)
            let first = try await bench.start(over: storage, metadata: FusedMetadataStore(base: bench.metadata, fuse: fuse))
            fuse.install(in: bench.store)
            for _ in 0..<2 { try await first.fill(batches: 5) }
            let content = first.tailLog.content.state.withLock { $0.everything }
            try? await first.engine.settle()
            let burnt = fuse.isBurnt
            await first.engine.shutdown()

            bench.store.setFault(nil)
            let second = try await bench.start(over: storage, epoch: 2)
            try await second.engine.settle()
            #expect(
                try await second.readAll() == content, "\(changes) changes")
            #expect(second.log.offsets.localStart == Offset(50))
            try await bench.expectNoOrphans()
            await second.engine.shutdown()
            steps = changes
            if !burnt { break }
        }
        // A claim, and for each segment two records and three objects, were each the last.
        #expect(steps >= 11)
    }

    @Test(arguments: Fuse.Last.allCases) func deletingSurvivesACrashAtEveryStep(last: Fuse.Last) async throws {
        var steps = 0
        for changes in 1... {
            let bench = TierBench(seed: UInt64(changes))
            let storage = bench.storage(1)
            let filled = try await bench.start(over: storage)
            for _ in 0..<3 { try await filled.fill(batches: 5) }
            try await filled.engine.settle()
            let kept = try await filled.readAll(from: Offset(60))
            await filled.engine.shutdown()

            let fuse = Fuse(after: changes, last: last)
            let first = try await bench.start(
                over: storage, epoch: 2, metadata: FusedMetadataStore(base: bench.metadata, fuse: fuse))
            fuse.install(in: bench.store)
            #expect(try await first.log.deleteRecords(before: Offset(60)) == Offset(60))
            try? await first.engine.settle()
            let burnt = fuse.isBurnt
            await first.engine.shutdown()

            bench.store.setFault(nil)
            let second = try await bench.start(over: storage, epoch: 3)
            try await second.engine.settle()
            #expect(second.log.offsets.logStart == Offset(60))
            #expect(try await second.readAll() == kept, "\(changes) changes")
            #expect(try await bench.records().map(\.baseOffset) == [Offset(50)])
            try await bench.expectNoOrphans()
            await second.engine.shutdown()
            steps = changes
            if !burnt { break }
        }
        #expect(steps >= 6)
    }

    @Test func aStoreThatFailsKeepsEverythingLocalAndAppendsGoOn() async throws {
        let bench = TierBench()
        let broker = try await bench.start()
        bench.store.setFault { $0.kind == .put ? .fail(.slowDown) : nil }
        for _ in 0..<3 { try await broker.fill(batches: 5) }
        let before = try await broker.readAll()
        #expect(await failure { try await broker.engine.settle() } == .notAvailable)
        #expect(broker.log.offsets.localStart == .zero)
        #expect(broker.log.offsets.latestTiered == nil)
        #expect(try await broker.readAll() == before)
        // Nothing of the failed attempt stays.
        try await eventually("the attempts are taken back") { try await bench.records().isEmpty && bench.store.keys.isEmpty }
        bench.store.setFault(nil)
        try await broker.engine.settle()
        #expect(broker.log.offsets.localStart == Offset(75))
        #expect(try await broker.readAll() == before)
        try await bench.expectNoOrphans()
        await broker.engine.shutdown()
    }

    @Test func aStoreThatStallsHoldsUpNobody() async throws {
        let bench = TierBench()
        let broker = try await bench.start()
        bench.store.setFault { $0.kind == .put ? .delay(.seconds(3_600)) : nil }
        try await broker.fill(batches: 5)
        let settling = Task { try await broker.engine.settle() }
        try await eventually("the upload has begun") { try await bench.records().first?.state == .copyStarted }
        try await broker.fill(batches: 5, seals: false)
        #expect(try await broker.readAll().readableBytes > 0)
        #expect(broker.log.offsets.localStart == .zero)
        bench.store.setFault(nil)
        try await bench.world.clock.autoAdvancing { try await settling.value }
        #expect(broker.log.offsets.localStart == Offset(25))
        await broker.engine.shutdown()
    }

    @Test func metadataThatDoNotAnswerKeepEverythingLocal() async throws {
        let bench = TierBench()
        let fuse = Fuse(after: 1, last: .isLost)
        let storage = bench.storage(1)
        let broker = try await bench.start(over: storage, metadata: FusedMetadataStore(base: bench.metadata, fuse: fuse))
        try await broker.fill(batches: 5)
        #expect(await failure { try await broker.engine.settle() } == .notAvailable)
        #expect(broker.log.offsets.localStart == .zero)
        #expect(bench.store.keys.isEmpty)
        await broker.engine.shutdown()
    }
}
