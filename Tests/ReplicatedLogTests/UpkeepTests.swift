//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Foundation
import LogEngine
import LogModel
import LogSegments
import Metering
import NIOCore
import ReplicatedLog
import RuntimeEnvironment
import SimulationKit
import Synchronization
import Testing

@Suite struct UpkeepTests {
    /// A cluster of one.
    private func alone(_ configuration: LogConfiguration) async throws -> Cluster {
        let cluster = try await Cluster(configuration: configuration, brokers: [1])
        try await cluster.apply { assignment in
            assignment.replicas = [BrokerID(1)]
            assignment.inSyncReplicas = [BrokerID(1)]
        }
        return cluster
    }

    private func fill(_ cluster: Cluster, _ count: Int) async throws {
        for index in 0..<count {
            try await cluster.log(1).append(
                Sent.batch(String(repeating: "x", count: 200) + "\(index)"), acks: .all, epoch: nil
            ).durable.wait()
        }
    }

    @Test func anAssignmentThatIsLateDoesNotMakeADeletedLogAnew() async throws {
        let disk = SimulatedDisk(seed: 3)
        let engine = try await ReplicatedLogEngine.alone(on: [disk])
        let partition = PartitionID(topicID: TopicID(high: 5, low: 8), topic: "t", partition: 0)
        let assignment = PartitionAssignment(
            partition: partition, leader: BrokerID(1), leaderEpoch: LeaderEpoch(0), partitionEpoch: 1, replicas: [BrokerID(1)],
            inSyncReplicas: [BrokerID(1)])
        // Deleted before it was ever there, while it is being made, and afterwards.
        try await engine.delete(partition, ownsSharedData: false)
        #expect(try await engine.apply(assignment, configuration: .keeping) == nil)
        for high in UInt64(6)..<26 {
            let partition = PartitionID(topicID: TopicID(high: high, low: 8), topic: "t\(high)", partition: 0)
            let assignment = PartitionAssignment(
                partition: partition, leader: BrokerID(1), leaderEpoch: LeaderEpoch(0), partitionEpoch: 1, replicas: [BrokerID(1)],
                inSyncReplicas: [BrokerID(1)])
            async let made = engine.apply(assignment, configuration: .keeping)
            try await engine.delete(partition, ownsSharedData: false)
            _ = try await made
            #expect(try await engine.apply(assignment, configuration: .keeping) == nil)
        }
        #expect(engine.logs.isEmpty)
        try await engine.settle()
        #expect(try disk.list("isr").filter(\.isDirectory).isEmpty)
        await engine.shutdown()
    }

    /// `flush.messages`: what is acknowledged outlives a power cut of the only replica. `flush.ms`: after a while it does.
    @Test(arguments: [true, false]) func whatIsToBeFlushedIsSynced(_ byCount: Bool) async throws {
        var configuration = LogConfiguration.keeping
        configuration.segmentBytes = 1_000
        if byCount { configuration.flushMessages = 1 } else { configuration.flushInterval = .milliseconds(1) }
        let disk = SimulatedDisk(seed: 3)
        let partition = PartitionID(topicID: TopicID(high: 5, low: 7), topic: "t", partition: 0)
        func lead(_ disk: SimulatedDisk, epoch: Int32) async throws -> (ReplicatedLogEngine, any PartitionLog) {
            var settings = ReplicatedLogSettings()
            settings.offsetCheckpointInterval = .milliseconds(20)
            let engine = try await ReplicatedLogEngine.alone(on: [disk], settings: settings)
            let assignment = PartitionAssignment(
                partition: partition, leader: BrokerID(1), leaderEpoch: LeaderEpoch(epoch), partitionEpoch: Int64(epoch) + 1,
                replicas: [BrokerID(1)], inSyncReplicas: [BrokerID(1)])
            return (engine, try #require(try await engine.apply(assignment, configuration: configuration)))
        }
        let (engine, log) = try await lead(disk, epoch: 0)
        for index in 0..<40 {
            try await log.append(Sent.batch(String(repeating: "x", count: 100) + "\(index)"), acks: .leader, epoch: nil).durable
                .wait()
        }
        if !byCount {
            let directory = LogDirectory(disk: disk, root: "isr")
            #expect(await eventually { (try? directory.checkpoint(.recoveryPoint).offsets["t-0"]) == 40 })
        }
        let next = disk.crash(.powerCut)
        await engine.shutdown()
        let (again, after) = try await lead(next, epoch: 1)
        #expect(after.offsets.logEnd == Offset(40))
        await again.shutdown()
    }

    @Test func sizeRetentionKeepsWholeSegmentsAboveTheLimit() async throws {
        var configuration = LogConfiguration.keeping
        configuration.segmentBytes = 1_000
        configuration.retentionBytes = 2_500
        let cluster = try await alone(configuration)
        try await fill(cluster, 40)
        let before = cluster.log(1).sizeInBytes
        try await cluster[1].engine.settle()
        let log = cluster.log(1)
        #expect(log.sizeInBytes < before && log.sizeInBytes >= 2_500 && log.sizeInBytes < 2_500 + 2_000)
        #expect(log.offsets.logStart > .zero && log.offsets.localStart == log.offsets.logStart)
        #expect(log.offsets.logEnd == Offset(40))
        let error = await #expect(throws: LogError.self) {
            try await log.read(
                from: .zero, maxBytes: 1, minOneBatch: true, bound: .highWatermark, reader: .consumer, currentLeaderEpoch: nil)
        }
        #expect(error?.code == .offsetOutOfRange)
        // Settled: nothing waits to be unlinked.
        #expect(try await log.footprint().entries[.garbage] == nil)
        await cluster.shutdown()
    }

    @Test func timeRetentionTakesOldSegmentsAndRollsAnOldActiveOne() async throws {
        var configuration = LogConfiguration.keeping
        configuration.segmentBytes = 1_000
        let cluster = try await alone(configuration)
        // The records are of 1970.
        try await fill(cluster, 10)
        configuration.retentionTime = .seconds(3_600)
        try await cluster[1].engine.apply(cluster.records[cluster.partition]!, configuration: configuration)
        try await cluster[1].engine.settle()
        #expect(cluster.log(1).offsets.logStart == Offset(10))
        #expect(cluster.log(1).sizeInBytes == 0)
        try await fill(cluster, 1)
        #expect(cluster.log(1).offsets.logEnd == Offset(11))
        await cluster.shutdown()
    }

    @Test func retentionManagedAboveIsLeftToTheOwner() async throws {
        var configuration = LogConfiguration.keeping
        configuration.segmentBytes = 1_000
        configuration.retentionBytes = 0
        let cluster = try await alone(configuration)
        let log = cluster.log(1) as! ReplicatedPartition
        log.setRetentionIsManagedAbove(true)
        try await fill(cluster, 20)
        try await cluster[1].engine.settle()
        #expect(log.offsets.logStart == .zero)
        let sealed = log.sealedSegments(below: log.offsets.highWatermark)
        #expect(sealed.count >= 3)
        for (one, next) in zip(sealed, sealed.dropFirst()) { #expect(one.endOffset == next.baseOffset) }
        for segment in sealed {
            for path in [segment.logPath, segment.offsetIndexPath, segment.timeIndexPath, segment.producerSnapshotPath!] {
                #expect(try segment.disk.exists(path))
            }
            #expect(segment.epochs.map(\.epoch) == [LeaderEpoch(0)])
            #expect(try segment.disk.readFile(segment.logPath).readableBytes == Int(segment.sizeInBytes))
        }
        let freed = try await log.freeLocalSegments(below: sealed[1].endOffset)
        #expect(freed == sealed[0].sizeInBytes + sealed[1].sizeInBytes)
        #expect(log.offsets.logStart == .zero && log.offsets.localStart == sealed[1].endOffset)
        let error = await #expect(throws: LogError.self) {
            try await log.read(
                from: .zero, maxBytes: 1, minOneBatch: true, bound: .highWatermark, reader: .consumer, currentLeaderEpoch: nil)
        }
        #expect(error?.code == .offsetMovedToTier)
        await cluster.shutdown()
    }

    @Test func aMovedAwayPartitionIsFoundAfterARestartAndGoes() async throws {
        let cluster = try await alone(.keeping)
        try await fill(cluster, 3)
        let disk = await cluster.crash(1)
        try await cluster.start(BrokerID(1), disk: disk)
        let engine = cluster[1].engine
        #expect(engine.log(for: cluster.partition) == nil)
        #expect(engine.logs.map(\.assignment.partition) == [cluster.partition])
        var moved = cluster.records[cluster.partition]!
        moved.replicas = [BrokerID(2)]
        moved.partitionEpoch += 1
        #expect(try await engine.apply(moved, configuration: .keeping) == nil)
        #expect(engine.logs.isEmpty)
        // What is older does not bring it back.
        #expect(try await engine.apply(cluster.records[cluster.partition]!, configuration: .keeping) == nil)
        try await engine.settle()
        #expect(try disk.list("isr").filter(\.isDirectory).isEmpty)
        await cluster.shutdown()
    }

    @Test func aTopicMadeAnewUnderTheSameNameBeginsEmpty() async throws {
        let cluster = try await alone(.keeping)
        try await fill(cluster, 3)
        await cluster[1].engine.shutdown()
        let disk = cluster[1].disk
        let name = cluster.partition.description
        func stored(_ file: OffsetCheckpoint.File) throws -> Int64? {
            try LogDirectory(disk: disk, root: "isr").checkpoint(file).offsets[name]
        }
        #expect(try stored(.recoveryPoint) == 3 && stored(.highWatermark) == 3)
        try await cluster.start(BrokerID(1), disk: disk)
        var generator = SystemRandomNumberGenerator()
        var fresh = cluster.records[cluster.partition]!
        fresh.partition = PartitionID(
            topicID: .random(using: &generator), topic: cluster.partition.topic, partition: cluster.partition.partition)
        let log = try #require(try await cluster[1].engine.apply(fresh, configuration: .keeping))
        #expect(log.offsets.logEnd == .zero)
        #expect(cluster[1].engine.logs.map(\.partition) == [fresh.partition])
        // Nor does what was known of the other's offsets hold for it after a crash.
        #expect(try stored(.recoveryPoint) ?? 0 == 0 && stored(.highWatermark) ?? 0 == 0)
        await cluster.shutdown()
    }

    @Test func aDirectoryOfAnotherNodeOrLayoutIsRefused() async throws {
        let disk = SimulatedDisk(seed: 5)
        func engine(_ id: Int32, _ clusterID: String) -> ReplicatedLogEngine {
            var settings = ReplicatedLogSettings()
            settings.clusterID = clusterID
            return ReplicatedLogEngine(
                brokerID: BrokerID(id), volumes: [Volume(specification: "test", disk: disk)], environment: .system,
                meters: Meters(),
                membership: Records(), fetcher: DirectFetcher(broker: BrokerID(id)), brokerEpoch: { BrokerEpoch(1) },
                settings: settings, logger: .silent)
        }
        let first = engine(1, "here")
        try await first.start()
        await first.shutdown()
        for (id, cluster) in [(Int32(2), "here"), (1, "elsewhere")] {
            let error = await #expect(throws: LogError.self) { try await engine(id, cluster).start() }
            #expect(error?.message.contains("name another directory") == true)
        }
        try disk.replaceFile("isr/meta.properties", with: .init(string: "version=7\nnode.id=1\ncluster.id=here\n"))
        let error = await #expect(throws: LogError.self) { try await engine(1, "here").start() }
        #expect(error?.message.contains("version 7") == true)
    }
}
