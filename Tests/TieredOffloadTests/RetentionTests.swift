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

    /// The first leader's one segment 0 ..< 50; the second had 0 ..< 25 of it when it was elected, and wrote 25 ..< 75 itself.
    private func uncleanElection(_ bench: TierBench, _ configuration: LogConfiguration) async throws -> TierBench.Broker {
        let first = try await bench.start(1, leader: 1, replicas: [1, 2])
        let second = try await bench.start(2, leader: 1, replicas: [1, 2])
        try await first.fill(batches: 5, seals: false)
        try await first.copyAll(to: second)
        try second.tailLog.content.seal()
        try await first.fill(batches: 5)
        try await first.fill(batches: 5)
        try await first.engine.settle()
        await first.engine.shutdown()
        try await bench.apply(second, leader: 2, epoch: 2, replicas: [2], configuration: configuration)
        try await second.fill(batches: 10)
        try await second.engine.settle()
        return second
    }

    @Test func whatAnUncleanElectionLeftIsDeletedAndNotCounted() async throws {
        let bench = TierBench()
        let second = try await uncleanElection(bench, .test)
        // 50 ..< 75 of the first leader is nobody's; of its 0 ..< 50 one half still is the log's.
        let records = try await bench.records()
        #expect(records.map { [$0.baseOffset.rawValue, $0.endOffset.rawValue] }.sorted { $0[0] < $1[0] } == [[0, 50], [25, 75]])
        try await bench.expectNoOrphans()
        let half = try #require(records.first { $0.baseOffset == .zero }).sizeInBytes / 2
        let own = try #require(records.first { $0.baseOffset == Offset(25) }).sizeInBytes
        #expect(second.log.sizeInBytes == half + own)
        #expect(second.log.offsets.latestTiered == Offset(74))
        // Nothing is deleted while half of one segment and a whole one are allowed.
        var configuration = LogConfiguration.test
        configuration.retentionBytes = half + own
        try await bench.apply(second, leader: 2, epoch: 2, replicas: [2], configuration: configuration)
        try await second.engine.settle()
        #expect(second.log.offsets.logStart == .zero)
        configuration.retentionBytes = own
        try await bench.apply(second, leader: 2, epoch: 2, replicas: [2], configuration: configuration)
        try await second.engine.settle()
        #expect(second.log.offsets.logStart == Offset(25))
        #expect(try await bench.records().map(\.baseOffset.rawValue) == [25])
        await second.engine.shutdown()
    }

    @Test func aSegmentThatLeavesTheLogTakesNothingBeyondWithIt() async throws {
        let bench = TierBench()
        var configuration = LogConfiguration.test
        // 0 ..< 50 is over, 25 ..< 75 is not.
        configuration.retentionTime = .milliseconds(bench.world.clock.wallMilliseconds() - TierBench.time(of: 60))
        let second = try await uncleanElection(bench, configuration)
        #expect(second.log.offsets.logStart == Offset(25))
        #expect(try await bench.records().map(\.baseOffset.rawValue) == [25])
        #expect(try await second.readAll().readableBytes > 0)
        await second.engine.shutdown()
    }

    @Test func timesAreLookedUpInTheLogsOwnRecords() async throws {
        let bench = TierBench()
        let second = try await uncleanElection(bench, .test)
        #expect(second.log.offsets.localStart == Offset(75))
        let found = try #require(try await second.log.offset(forTimestamp: Timestamp(TierBench.time(of: 30))))
        #expect(found.offset == Offset(30) && found.leaderEpoch == LeaderEpoch(2))
        let largest = try #require(try await second.log.offsetOfMaxTimestamp())
        #expect(largest.offset == Offset(74) && largest.leaderEpoch == LeaderEpoch(2))
        await second.engine.shutdown()
    }

    @Test func whatIsNotUploadedYetIsNotDeleted() async throws {
        let bench = TierBench()
        var configuration = LogConfiguration.test
        configuration.localRetentionBytes = nil
        let broker = try await bench.start(configuration: configuration)
        for _ in 0..<3 { try await broker.fill(batches: 4) }
        try await broker.engine.settle()
        // As if the first had never gone up; and its upload fails now.
        let first = try #require(try await bench.records().first { $0.baseOffset == .zero })
        _ = try await bench.metadata.commit(
            Transaction(conditions: [], operations: [.delete(TierKey.segment(first.id, at: .zero, of: bench.partition))]))
        bench.store.setFault { $0.kind == .put ? .fail(.unreachable) : nil }
        configuration.retentionTime = .milliseconds(bench.world.clock.wallMilliseconds() - TierBench.time(of: 30))
        try await bench.apply(broker, leader: 1, epoch: 2, replicas: [1], configuration: configuration)
        #expect(await failure { try await broker.engine.settle() } == .notAvailable)
        #expect(broker.log.offsets.logStart == .zero)
        bench.store.setFault(nil)
        try await broker.engine.settle()
        #expect(broker.log.offsets.logStart == Offset(20))
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
