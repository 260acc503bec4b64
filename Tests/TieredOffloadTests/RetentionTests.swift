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

@Suite struct RetentionTests {
    private func segmentBytes(_ broker: TierBench.Broker) -> Int64 {
        broker.tailLog.sealedSegments(below: Offset(.max))[0].sizeInBytes
    }

    @Test func localRetentionByBytesKeepsTheLatestOnTheVolume() async throws {
        let bench = TierBench()
        var configuration = LogConfiguration.test
        configuration.localRetentionBytes = nil
        let broker = try await bench.start(configuration: configuration)
        for _ in 0..<5 { try await broker.fill(batches: 4) }
        try await broker.engine.settle()
        #expect(broker.log.offsets.localStart == .zero, "as total: everything stays")
        #expect(broker.log.offsets.latestTiered == Offset(99))
        configuration.localRetentionBytes = segmentBytes(broker) * 2 + 1
        try await bench.apply(broker, leader: 1, epoch: 2, replicas: [1], configuration: configuration)
        try await broker.engine.settle()
        // Kafka deletes while what remains is still at least the bound.
        #expect(broker.log.offsets.localStart == Offset(40))
        #expect(broker.tailLog.isManaged)
        await broker.engine.shutdown()
    }

    @Test func objectsPutAfterTheDeletionAreFoundLater() async throws {
        let bench = TierBench()
        let broker = try await bench.start()
        for _ in 0..<3 { try await broker.fill(batches: 5) }
        try await broker.engine.settle()
        let late = try #require(bench.store.keys.first { $0.hasSuffix(".log") })
        try await broker.engine.delete(bench.partition, ownsSharedData: true)
        #expect(bench.store.keys.isEmpty)
        try await bench.store.put(late, [ByteBuffer(string: "carried out late")], condition: .always)
        try await eventually("the late object is gone") {
            bench.world.clock.advance(by: .seconds(61))
            return bench.store.keys.isEmpty
        }
        await broker.engine.shutdown()
    }

    @Test func whatOnlyTheTailHoldsIsAmongTheLogs() async throws {
        let bench = TierBench()
        let broker = try await bench.start()
        // As if found on the volume: moved away, or deleted, while the broker was down.
        let left = PartitionID(topicID: TopicID(high: 8, low: 8), topic: "left", partition: 3)
        _ = try await broker.tail.apply(
            PartitionAssignment(
                partition: left, leader: broker.id, leaderEpoch: LeaderEpoch(1), partitionEpoch: 1, replicas: [broker.id],
                inSyncReplicas: [broker.id]), configuration: .test)
        #expect(Set(broker.engine.logs.map(\.assignment.partition)) == [bench.partition, left])
        #expect(broker.engine.log(for: left) == nil)
        await broker.engine.shutdown()
    }

    @Test func localRetentionByTimeFreesTheOldest() async throws {
        let bench = TierBench()
        var configuration = LogConfiguration.test
        configuration.localRetentionBytes = nil
        configuration.localRetentionTime = .milliseconds(bench.world.clock.wallMilliseconds() - TierBench.time(of: 50))
        let broker = try await bench.start(configuration: configuration)
        for _ in 0..<5 { try await broker.fill(batches: 4) }
        try await broker.engine.settle()
        // 0 ..< 40 end before the bound, 40 ..< 60 do not.
        #expect(broker.log.offsets.localStart == Offset(40))
        await broker.engine.shutdown()
    }

    @Test func totalRetentionByBytesCountsBothTiers() async throws {
        let bench = TierBench()
        var configuration = LogConfiguration.test
        let broker = try await bench.start(configuration: configuration)
        for _ in 0..<5 { try await broker.fill(batches: 4) }
        let segment = segmentBytes(broker)
        configuration.localRetentionBytes = segment * 2
        configuration.retentionBytes = segment * 3
        try await bench.apply(broker, leader: 1, epoch: 2, replicas: [1], configuration: configuration)
        try await broker.engine.settle()
        #expect(broker.log.offsets.logStart == Offset(40))
        #expect(broker.log.offsets.localStart == Offset(60))
        #expect(broker.log.sizeInBytes == segment * 3)
        #expect(try await bench.records().map(\.baseOffset.rawValue) == [40, 60, 80])
        try await bench.expectNoOrphans()
        #expect(await failure { _ = try await broker.readAll(from: Offset(39)) } == .offsetOutOfRange)
        await broker.engine.shutdown()
    }

    @Test func totalRetentionByTimeDeletesFromBothTiers() async throws {
        let bench = TierBench()
        var configuration = LogConfiguration.test
        configuration.localRetentionBytes = nil
        configuration.retentionTime = .milliseconds(bench.world.clock.wallMilliseconds() - TierBench.time(of: 30))
        let broker = try await bench.start(configuration: configuration)
        for _ in 0..<3 { try await broker.fill(batches: 4) }
        try await broker.engine.settle()
        #expect(broker.log.offsets.logStart == Offset(20))
        #expect(broker.tailLog.sealedSegments(below: Offset(.max)).map(\.baseOffset.rawValue) == [20, 40])
        #expect(try await bench.records().map(\.baseOffset.rawValue) == [20, 40])
        try await bench.expectNoOrphans()
        await broker.engine.shutdown()
    }

    @Test func deletedRecordsFreeWholeSegmentsOfTheTier() async throws {
        let bench = TierBench()
        let broker = try await bench.start()
        for _ in 0..<3 { try await broker.fill(batches: 4) }
        try await broker.engine.settle()
        #expect(try await broker.log.deleteRecords(before: Offset(43)) == Offset(43))
        try await broker.engine.settle()
        #expect(try await bench.records().map(\.baseOffset.rawValue) == [40])
        #expect(await failure { _ = try await broker.readAll(from: Offset(42)) } == .offsetOutOfRange)
        #expect(try await broker.readAll().readableBytes > 0)
        await broker.engine.shutdown()
    }

    @Test func aDeletedTopicLeavesNothing() async throws {
        let bench = TierBench()
        let broker = try await bench.start()
        for _ in 0..<3 { try await broker.fill(batches: 4) }
        try await broker.engine.settle()
        try await broker.engine.delete(bench.partition, ownsSharedData: true)
        #expect(bench.store.keys.isEmpty)
        // That it was there is remembered a while.
        #expect(try await bench.metadata.list(prefix: TierKey.metadata).values.map(\.key) == [TierKey.claim(bench.partition)])
        #expect(broker.engine.logs.isEmpty)
        await broker.engine.shutdown()
    }

    @Test func aFollowersShareOfADeletionKeepsTheObjects() async throws {
        let bench = TierBench()
        let broker = try await bench.start()
        try await broker.fill(batches: 4)
        try await broker.engine.settle()
        try await broker.engine.delete(bench.partition, ownsSharedData: false)
        #expect(bench.store.keys.count == 3)
        await broker.engine.shutdown()
    }
}
