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

@Suite struct LeadershipTests {
    @Test func theNextLeaderReadsWhatTheLastOneUploaded() async throws {
        let bench = TierBench()
        let first = try await bench.start(1, leader: 1, replicas: [1, 2])
        let second = try await bench.start(2, leader: 1, replicas: [1, 2])
        for _ in 0..<3 { try await first.fill(batches: 5) }
        try await first.copyAll(to: second)
        try second.tailLog.content.seal()
        let before = try await first.readAll()
        try await first.engine.settle()
        // The follower learns from the metadata what it may free.
        try await eventually("the follower frees its copy") { second.log.offsets.localStart == Offset(75) }
        #expect(second.log.offsets.latestTiered == Offset(74))

        try await bench.apply(second, leader: 2, epoch: 2, replicas: [1, 2])
        try await bench.apply(first, leader: 2, epoch: 2, replicas: [1, 2])
        #expect(try await second.readAll() == before)
        try await second.fill(batches: 5)
        try await second.engine.settle()
        #expect(try await bench.records().map(\.leaderEpoch) == [1, 1, 1, 2].map { LeaderEpoch($0) })
        let after = try await second.readAll()
        #expect(after.getSlice(at: 0, length: before.readableBytes) == before)
        try await bench.expectNoOrphans()
        await first.engine.shutdown()
        await second.engine.shutdown()
    }

    @Test func otherSegmentBoundsAreCoveredWithoutGapAndWithoutASecondCopy() async throws {
        let bench = TierBench()
        let first = try await bench.start(1, leader: 1, replicas: [1, 2])
        let second = try await bench.start(2, leader: 1, replicas: [1, 2])
        try await first.fill(batches: 6)
        try await first.fill(batches: 6, seals: false)
        let before = try await first.readAll()
        // The follower rolled elsewhere: 0 ..< 60 is one segment of its own.
        try await first.copyAll(to: second)
        try second.tailLog.content.seal()
        try await first.engine.settle()
        #expect(second.log.offsets.localStart == .zero)
        try await bench.apply(second, leader: 2, epoch: 2, replicas: [1, 2])
        try await second.engine.settle()
        #expect(try await bench.records().map(\.endOffset.rawValue).sorted() == [30, 60])
        #expect(second.log.offsets.localStart == Offset(60))
        #expect(try await second.readAll() == before)
        try await second.engine.settle()
        #expect(try await bench.records().count == 2)
        await first.engine.shutdown()
        await second.engine.shutdown()
    }

    @Test func aDeposedLeaderCommitsNothing() async throws {
        let bench = TierBench()
        let first = try await bench.start(1, leader: 1, replicas: [1, 2])
        let second = try await bench.start(2, leader: 1, replicas: [1, 2])
        try await first.fill(batches: 5)
        try await first.copyAll(to: second)
        try second.tailLog.content.seal()
        // The first leader's upload hangs while the second takes over.
        bench.store.setFault { $0.key.hasSuffix(".manifest") ? .delay(.seconds(1_000)) : nil }
        let hanging = Task { try await first.engine.settle() }
        try await eventually("the upload hangs at its last object") { bench.store.keys.contains { $0.hasSuffix(".indexes") } }
        bench.store.setFault(nil)
        try await bench.apply(second, leader: 2, epoch: 2, replicas: [1, 2])
        try await second.engine.settle()
        // The attempt may still be going on, so it is left alone for a while.
        #expect(try await bench.records().map(\.state.rawValue).sorted() == ["copyFinished", "copyStarted"])
        let outcome = try await bench.world.clock.autoAdvancing { await hanging.result }
        #expect(throws: LogError.self) { try outcome.get() }
        #expect(first.log.offsets.latestTiered == Offset(24), "the other's copy is known, its own is not finished")
        bench.world.clock.advance(by: .seconds(120))
        try await second.engine.settle()
        try await bench.expectNoOrphans()
        #expect(try await bench.records().map(\.broker) == [BrokerID(2)])
        await first.engine.shutdown()
        await second.engine.shutdown()
    }

    @Test func theLogStartsWhereTheTierDoesAfterAChangeOfLeader() async throws {
        let bench = TierBench()
        let first = try await bench.start(1, leader: 1, replicas: [1, 2])
        let second = try await bench.start(2, leader: 1, replicas: [1, 2])
        for _ in 0..<3 { try await first.fill(batches: 5) }
        try await first.copyAll(to: second)
        try second.tailLog.content.seal()
        try await first.engine.settle()
        try await eventually("the follower frees its copy") { second.log.offsets.localStart == Offset(75) }
        _ = try await first.log.deleteRecords(before: Offset(25))
        try await first.engine.settle()
        try await eventually("the follower knows of the deletion") { try await bench.records().count == 2 }
        // Nobody has told the second the new log start when the first dies.
        #expect(second.log.offsets.logStart == .zero)
        await first.engine.shutdown()
        try await bench.apply(second, leader: 2, epoch: 2, replicas: [2])
        try await second.engine.settle()
        #expect(second.log.offsets.logStart == Offset(25))
        #expect(try await second.readAll().readableBytes > 0)
        await second.engine.shutdown()
    }

    @Test func aFollowerBeginsFromTheTier() async throws {
        let bench = TierBench()
        let first = try await bench.start(1, leader: 1, replicas: [1])
        try await first.fill(batches: 5)
        try await bench.apply(first, leader: 1, epoch: 4, replicas: [1])
        try await first.fill(batches: 5)
        try await first.fill(batches: 2, seals: false)
        try await first.engine.settle()
        try await bench.apply(first, leader: 1, epoch: 5, replicas: [1, 2])
        let second = try await bench.start(2, leader: 1, epoch: 5, replicas: [1, 2])
        let start = try await second.engine.rebuildFollower(bench.partition, from: first.lineage())
        #expect(start == Offset(50))
        #expect(second.log.offsets.logStart == .zero)
        #expect(
            second.tailLog.epochHistory == [
                EpochStart(epoch: LeaderEpoch(1), startOffset: .zero), EpochStart(epoch: LeaderEpoch(4), startOffset: Offset(25)),
            ])
        #expect(second.tailLog.content.state.withLock { $0.producerSnapshot } == Array("producers to 50".utf8))
        try await first.copyAll(to: second)
        try await bench.apply(second, leader: 2, epoch: 6, replicas: [1, 2])
        #expect(try await second.readAll() == first.tierAndTail(bench))
        await first.engine.shutdown()
        await second.engine.shutdown()
    }

    /// The leader before uploaded a segment of which the log, after an unclean election, has the beginning alone.
    @Test func aFollowerBeginsWhereItsLeadersLogLeavesTheSegment() async throws {
        let bench = TierBench()
        let first = try await bench.start(1, leader: 1, replicas: [1, 2])
        let second = try await bench.start(2, leader: 1, replicas: [1, 2])
        try await first.fill(batches: 5, seals: false)
        try await first.copyAll(to: second)
        try second.tailLog.content.seal()
        try await first.fill(batches: 5)
        try await first.engine.settle()
        await first.engine.shutdown()
        try await bench.apply(second, leader: 2, epoch: 2, replicas: [2, 3], inSync: [2])
        try await second.fill(batches: 2)
        try await second.fill(batches: 1, seals: false)
        try await second.engine.settle()
        #expect(second.log.offsets.latestTiered == Offset(34) && second.log.offsets.localStart == Offset(35))
        let third = try await bench.start(3, leader: 2, epoch: 2, replicas: [2, 3], inSync: [2])

        // At the leader's volume: its own last segment. And as if the volume began earlier: where the first one's segment is left.
        #expect(try await third.engine.rebuildFollower(bench.partition, from: second.lineage()) == Offset(35))
        #expect(
            try await third.engine.rebuildFollower(bench.partition, from: second.lineage(start: Offset(10))) == Offset(25))
        #expect(third.tailLog.epochHistory == [EpochStart(epoch: LeaderEpoch(1), startOffset: .zero)])
        // No snapshot lies there: it is what the batches up to there tell.
        let snapshot = try #require(third.tailLog.content.state.withLock { $0.producerSnapshot })
        let producer = try #require(ProducerSnapshot.decode(ByteBuffer(bytes: snapshot))?[9])
        #expect(producer.batches.last?.lastSequence == 24 && producer.batches.last?.lastOffset == Offset(24))
        await second.engine.shutdown()
        await third.engine.shutdown()
    }

    @Test func aFollowerWaitsForASegmentThatIsNotThere() async throws {
        let bench = TierBench()
        let broker = try await bench.start(2, leader: 1, replicas: [1, 2])
        #expect(
            await failure {
                _ = try await broker.engine.rebuildFollower(
                    bench.partition,
                    from: LeaderLineage(start: Offset(10), epoch: LeaderEpoch(1), logStart: .zero) { _ in nil })
            }
                == .notAvailable)
        await broker.engine.shutdown()
    }
}

extension TierBench.Broker {
    /// What the broker reads as leader at a later epoch.
    func tierAndTail(_ bench: TierBench) async throws -> ByteBuffer {
        try await bench.apply(self, leader: id.rawValue, epoch: 7, replicas: [id.rawValue])
        return try await readAll()
    }
}
