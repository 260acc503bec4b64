//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

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

@Suite struct ReplicationTests {
    /// Where the tier alone knows who had written, the log is not cut: it begins anew from there.
    @Test func aLogIsNotCutBelowWhatItHasOfItself() async throws {
        let cluster = try await Cluster(brokers: [1, 2])
        try await cluster.apply { assignment in
            assignment.replicas = [BrokerID(1), BrokerID(2)]
            assignment.inSyncReplicas = [BrokerID(1)]
        }
        for number in 0..<5 {
            _ = try cluster.log(1).append(try Sent.batch("a\(number)", records: 10), acks: .leader, epoch: nil)
        }
        #expect(await eventually { cluster.log(2).offsets.logEnd == Offset(50) })
        let asked = Mutex<[TierStart]>([])
        cluster[2].engine.setTierBootstrap { log, start in
            asked.withLock { $0.append(start) }
            #expect(log.offsets.logEnd == Offset(100))
            return try await log.restart(
                at: Offset(50), logStart: .zero, epochs: [EpochStart(epoch: LeaderEpoch(0), startOffset: .zero)],
                producerSnapshot: nil, ifStill: start.position)
        }
        // As a leader that is gone left it: its log went on to 100.
        let follower = try #require(cluster.log(2) as? ReplicatedPartition)
        cluster.isolate(1)
        #expect(
            try await follower.restart(
                at: Offset(100), logStart: .zero, epochs: [EpochStart(epoch: LeaderEpoch(0), startOffset: .zero)],
                producerSnapshot: nil, ifStill: try #require(follower.followerPosition)))
        #expect(
            try await !follower.restart(
                at: Offset(7), logStart: .zero, epochs: [], producerSnapshot: nil,
                ifStill: FollowerPosition(leaderEpoch: LeaderEpoch(0), logEnd: Offset(50), lastEpoch: LeaderEpoch(0))))
        cluster.rejoin(1)
        try await cluster.elect(1, inSync: [1])
        _ = try cluster.log(1).append(try Sent.batch("b", records: 10), acks: .leader, epoch: nil)
        #expect(await eventually { cluster.log(2).offsets.logEnd == Offset(60) })
        #expect(cluster.log(2).offsets.localStart == Offset(50))
        let starts = asked.withLock { $0 }
        #expect(starts.allSatisfy { $0.position.logEnd == Offset(100) && $0.leader.logEnd >= Offset(50) } && !starts.isEmpty)
        await cluster.shutdown()
    }

    @Test func followersHoldWhatIsAcknowledgedByAll() async throws {
        let cluster = try await Cluster()
        try await cluster.apply { _ in }
        var receipts: [AppendReceipt] = []
        for index in 0..<100 { receipts.append(try cluster.log(1).append(Sent.batch("a\(index)"), acks: .all, epoch: nil)) }
        for receipt in receipts { try await receipt.durable.wait() }
        for id in [Int32(2), 3] { #expect(cluster.log(id).offsets.logEnd == Offset(100)) }
        let content = try await cluster.content(1)
        #expect(try await cluster.content(2) == content)
        #expect(try await cluster.content(3) == content)
        #expect(await eventually { cluster.log(2).offsets.highWatermark == Offset(100) })
        #expect(await eventually { cluster.log(3).offsetLag == 0 })
        await cluster.shutdown()
    }

    @Test func followersRefuseAppendsAndConsumers() async throws {
        let cluster = try await Cluster()
        try await cluster.apply { _ in }
        #expect(throws: LogError.self) { try cluster.log(2).append(Sent.batch("x"), acks: .all, epoch: nil) }
        await #expect(throws: LogError.self) {
            try await cluster.log(2).read(
                from: .zero, maxBytes: 100, minOneBatch: true, bound: .highWatermark, reader: .consumer, currentLeaderEpoch: nil)
        }
        await cluster.shutdown()
    }

    @Test func aDeadLeadersUnacknowledgedTailIsCutOffAndNothingAcknowledgedIsLost() async throws {
        let cluster = try await Cluster()
        try await cluster.apply { _ in }
        for index in 0..<20 {
            try await cluster.log(1).append(Sent.batch("acknowledged\(index)", records: 2), acks: .all, epoch: nil).durable.wait()
        }
        cluster.isolate(1)
        // Nobody but the leader has these; their producer never hears of them.
        let lost = try (0..<5).map { try cluster.log(1).append(Sent.batch("lost\($0)"), acks: .all, epoch: nil) }
        #expect(await eventually { cluster.log(1).offsets.logEnd == Offset(45) })
        try await cluster.elect(2, inSync: [2, 3])
        for index in 0..<10 {
            try await cluster.log(2).append(Sent.batch("after\(index)"), acks: .all, epoch: nil).durable.wait()
        }
        #expect(lost.allSatisfy { $0.durable.outcome == nil })
        cluster.rejoin(1)
        try await cluster.tell(cluster.records[cluster.partition]!)
        for receipt in lost {
            let error = await #expect(throws: LogError.self) { try await receipt.durable.wait() }
            #expect(error?.code == .notLeader)
        }
        #expect(await eventually { cluster.log(1).offsets.logEnd == Offset(50) })
        let content = try await cluster.content(2)
        #expect(try await cluster.content(1) == content)
        #expect(try await cluster.content(3) == content)
        #expect(
            try cluster.log(1).endOffset(forEpoch: LeaderEpoch(0)) == EpochEndOffset(epoch: LeaderEpoch(0), endOffset: Offset(40)))
        await cluster.shutdown()
    }

    /// Else, after a crash, what took the place of synced records would be trusted unchecked.
    @Test func aTruncationLowersTheStoredRecoveryPoint() async throws {
        let cluster = try await Cluster()
        try await cluster.apply { _ in }
        try await cluster.log(1).append(Sent.batch("acknowledged", records: 40), acks: .all, epoch: nil).durable.wait()
        cluster.isolate(1)
        _ = try cluster.log(1).append(Sent.batch("lost", records: 5), acks: .all, epoch: nil)
        #expect(await eventually { cluster.log(1).offsets.logEnd == Offset(45) })
        await cluster[1].engine.shutdown()
        let directory = LogDirectory(disk: cluster[1].disk, root: "isr")
        func stored() throws -> Int64? { try directory.checkpoint(.recoveryPoint).offsets[cluster.partition.description] }
        #expect(try stored() == 45)
        try await cluster.elect(2, inSync: [2, 3])
        try await cluster.log(2).append(Sent.batch("after", records: 10), acks: .all, epoch: nil).durable.wait()
        try await cluster.start(BrokerID(1), disk: cluster[1].disk)
        try await cluster.tell(cluster.records[cluster.partition]!)
        #expect(await eventually { cluster.log(1).offsets.logEnd == Offset(50) })
        #expect(try #require(try stored()) <= 40)
        await cluster.shutdown()
    }

    /// KIP-279: two replicas have each led alone, and neither knows the other's epoch.
    @Test func logsThatPartedInSeveralEpochsBecomeOne() async throws {
        let cluster = try await Cluster()
        try await cluster.apply { _ in }
        for index in 0..<10 {
            try await cluster.log(1).append(Sent.batch("common\(index)"), acks: .all, epoch: nil).durable.wait()
        }
        cluster.isolate(1)
        for index in 0..<5 { _ = try cluster.log(1).append(Sent.batch("first\(index)"), acks: .leader, epoch: nil) }
        #expect(await eventually { cluster.log(1).offsets.logEnd == Offset(15) })
        cluster.isolate(3)
        try await cluster.elect(2, inSync: [2])
        for index in 0..<4 {
            try await cluster.log(2).append(Sent.batch("second\(index)"), acks: .leader, epoch: nil).durable.wait()
        }
        cluster.isolate(2)
        cluster.rejoin(3)
        // Unclean: what the second leader took is lost, as whoever allows it has chosen.
        try await cluster.elect(3, inSync: [3])
        for index in 0..<6 {
            try await cluster.log(3).append(Sent.batch("third\(index)"), acks: .leader, epoch: nil).durable.wait()
        }
        for id in [Int32(1), 2] {
            cluster.rejoin(id)
            try await cluster.tell(cluster.records[cluster.partition]!)
        }
        #expect(await eventually { cluster.records[cluster.partition]?.inSyncReplicas.count == 3 })
        let content = try await cluster.content(3)
        for id in [Int32(1), 2] {
            #expect(cluster.log(id).offsets.logEnd == Offset(16))
            #expect(try await cluster.content(id) == content)
        }
        await cluster.shutdown()
    }

    @Test func deletedRecordsAreDeletedOnAllReplicasAndStaySoUnderTheNextLeader() async throws {
        var configuration = LogConfiguration.keeping
        configuration.segmentBytes = 1_000
        let cluster = try await Cluster(configuration: configuration)
        try await cluster.apply { _ in }
        for index in 0..<100 {
            try await cluster.log(1).append(Sent.batch("record\(index)"), acks: .all, epoch: nil).durable.wait()
        }
        cluster.isolate(3)
        #expect(try await cluster.log(1).deleteRecords(before: Offset(60)) == Offset(60))
        #expect(try await eventually { try cluster.log(1).lowWatermark { $0 != BrokerID(3) } == Offset(60) })
        #expect(try cluster.log(1).lowWatermark { _ in true } == .zero)
        #expect(throws: LogError.self) { try cluster.log(2).lowWatermark { _ in true } }
        cluster.rejoin(3)
        #expect(try await eventually { try cluster.log(1).lowWatermark { _ in true } == Offset(60) })
        for id in Int32(1)...3 {
            #expect(await eventually { cluster.log(id).offsets.logStart == Offset(60) }, "broker \(id)")
        }
        cluster.isolate(1)
        try await cluster.elect(3, inSync: [3, 2])
        let failure = await #expect(throws: LogError.self) {
            try await cluster.log(3).read(
                from: Offset(59), maxBytes: 100, minOneBatch: true, bound: .highWatermark, reader: .consumer,
                currentLeaderEpoch: nil)
        }
        #expect(failure?.code == .offsetOutOfRange)
        #expect(cluster.log(3).offsets.logStart == Offset(60))
        await cluster.shutdown()
    }

    @Test func anEpochInWhichNothingWasWrittenDoesNotKeepItsLeaderFromFollowing() async throws {
        let cluster = try await Cluster()
        try await cluster.apply { _ in }
        try await cluster.log(1).append(Sent.batch("one"), acks: .all, epoch: nil).durable.wait()
        // The third never hears of the second's epoch, in which no record was written.
        try await cluster.elect(2, inSync: [1, 2, 3])
        try await cluster.elect(3, inSync: [1, 2, 3])
        try await cluster.log(3).append(Sent.batch("two"), acks: .all, epoch: nil).durable.wait()
        #expect(cluster.log(2).offsets.logEnd == Offset(2))
        #expect(cluster.log(2).leaderEpoch(at: Offset(1)) == LeaderEpoch(2))
        #expect(
            try cluster.log(2).endOffset(forEpoch: LeaderEpoch(1)) == EpochEndOffset(epoch: LeaderEpoch(0), endOffset: Offset(1)))
        await cluster.shutdown()
    }

    @Test func aLateFollowerLeavesTheInSyncSetAndComesBack() async throws {
        let cluster = try await Cluster(lagTimeMax: .seconds(1))
        cluster.records.onChange.withLock { $0 = { assignment in Task { try await cluster.tell(assignment) } } }
        try await cluster.apply { _ in }
        try await cluster.log(1).append(Sent.batch("one"), acks: .all, epoch: nil).durable.wait()
        cluster.isolate(3)
        // Waits for the third until it is out.
        try await cluster.log(1).append(Sent.batch("two"), acks: .all, epoch: nil).durable.wait()
        // On a busy machine the second may have been late as well.
        #expect(!cluster.log(1).assignment.inSyncReplicas.contains(BrokerID(3)))
        #expect(cluster.log(1).offsets.highWatermark == Offset(2))
        cluster.rejoin(3)
        #expect(await eventually { cluster.log(1).assignment.inSyncReplicas == [BrokerID(1), BrokerID(2), BrokerID(3)] })
        try await cluster.log(1).append(Sent.batch("three"), acks: .all, epoch: nil).durable.wait()
        #expect(cluster.log(3).offsets.logEnd == Offset(3))
        await cluster.shutdown()
    }

    @Test func tooSmallAnInSyncSetRefusesAppendsAndSaysSoOfThoseItHas() async throws {
        var configuration = LogConfiguration.keeping
        configuration.minInSyncReplicas = 2
        let cluster = try await Cluster(configuration: configuration, lagTimeMax: .seconds(1))
        try await cluster.apply { _ in }
        cluster.isolate(2)
        cluster.isolate(3)
        let receipt = try cluster.log(1).append(Sent.batch("one"), acks: .all, epoch: nil)
        #expect(await eventually { cluster.log(1).assignment.inSyncReplicas == [BrokerID(1)] })
        let refusal = #expect(throws: LogError.self) { try cluster.log(1).append(Sent.batch("two"), acks: .all, epoch: nil) }
        #expect(refusal?.code == .notEnoughReplicas)
        // The high watermark stands still below the minimum: the record may not count as committed.
        #expect(receipt.durable.outcome == nil)
        cluster.rejoin(2)
        #expect(await eventually { cluster.log(1).assignment.inSyncReplicas.count == 2 })
        try await receipt.durable.wait()
        await cluster.shutdown()
    }

    @Test func fewerReplicasThanTheMinimumNeedOnlyBeAll() async throws {
        var configuration = LogConfiguration.keeping
        configuration.minInSyncReplicas = 2
        let cluster = try await Cluster(configuration: configuration, brokers: [1])
        try await cluster.apply { assignment in
            assignment.replicas = [BrokerID(1)]
            assignment.inSyncReplicas = [BrokerID(1)]
        }
        try await cluster.log(1).append(Sent.batch("one"), acks: .all, epoch: nil).durable.wait()
        #expect(cluster.log(1).offsets.highWatermark == Offset(1))
        await cluster.shutdown()
    }

    @Test func aMoveAddsCopiesJoinsAndDrops() async throws {
        let cluster = try await Cluster(brokers: [1, 2, 3, 4])
        cluster.records.onChange.withLock { $0 = { assignment in Task { try await cluster.tell(assignment) } } }
        try await cluster.apply { _ in }
        for index in 0..<200 {
            _ = try cluster.log(1).append(Sent.batch("before\(index)", records: 10), acks: .leader, epoch: nil)
        }
        try await cluster.log(1).append(Sent.batch("last"), acks: .all, epoch: nil).durable.wait()
        try await cluster.apply { assignment in
            assignment.replicas = [1, 2, 4, 3].map { BrokerID($0) }
            assignment.addingReplicas = [BrokerID(4)]
            assignment.removingReplicas = [BrokerID(3)]
        }
        #expect(await eventually { cluster.records[cluster.partition]!.inSyncReplicas.contains(BrokerID(4)) })
        try await cluster.apply { assignment in
            assignment.replicas = [1, 2, 4].map { BrokerID($0) }
            assignment.addingReplicas = []
            assignment.removingReplicas = []
            assignment.inSyncReplicas = [1, 2, 4].map { BrokerID($0) }
            assignment.leaderEpoch = assignment.leaderEpoch.next
        }
        #expect(cluster[3].engine.log(for: cluster.partition) == nil)
        try await cluster.log(1).append(Sent.batch("after"), acks: .all, epoch: nil).durable.wait()
        #expect(try await cluster.content(4) == (try await cluster.content(1)))
        let moved = cluster[4].meters.reassignmentBytesIn.value
        #expect(moved >= cluster.log(1).sizeInBytes - 200 && moved <= cluster.log(1).sizeInBytes)
        #expect(cluster[1].meters.reassignmentBytesOut.value >= moved)
        #expect(cluster[2].meters.reassignmentBytesIn.value == 0)
        #expect(try await cluster[3].engine.footprint().entries[.hotLog] == nil)
        await cluster.shutdown()
    }

    @Test func aNewReplicaBeginsAtTheLeadersLogStart() async throws {
        let cluster = try await Cluster()
        cluster.records.onChange.withLock { $0 = { assignment in Task { try await cluster.tell(assignment) } } }
        try await cluster.apply { assignment in
            assignment.replicas = [BrokerID(1)]
            assignment.inSyncReplicas = [BrokerID(1)]
        }
        for index in 0..<10 {
            try await cluster.log(1).append(Sent.batch("\(index)", records: 10), acks: .all, epoch: nil).durable.wait()
            if index == 4 { try await cluster.log(1).roll() }
        }
        // Inside a batch.
        #expect(try await cluster.log(1).deleteRecords(before: Offset(73)) == Offset(73))
        try await cluster.apply { assignment in assignment.replicas = [BrokerID(1), BrokerID(2)] }
        #expect(await eventually { cluster.records[cluster.partition]!.inSyncReplicas.count == 2 })
        #expect(cluster.log(2).offsets.logStart == Offset(73))
        #expect(cluster.log(2).offsets.logEnd == Offset(100))
        #expect(try await cluster.content(2) == (try await cluster.content(1)))
        await cluster.shutdown()
    }

    @Test func aMemberByALostAnswerHoldsTheHighWatermark() async throws {
        let cluster = try await Cluster()
        try await cluster.apply { assignment in assignment.inSyncReplicas = [BrokerID(1), BrokerID(2)] }
        cluster.records.losesAnswers.withLock { $0 = true }
        // The third joins by a proposal that was carried out, whose answer the leader never got.
        #expect(await eventually { cluster.records[cluster.partition]!.inSyncReplicas.contains(BrokerID(3)) })
        cluster.isolate(3)
        try await Task.sleep(for: .milliseconds(20))
        let receipt = try cluster.log(1).append(Sent.batch("x"), acks: .all, epoch: nil)
        #expect(await eventually { cluster.log(2).offsets.logEnd == Offset(1) })
        try await Task.sleep(for: .milliseconds(20))
        #expect(receipt.durable.outcome == nil)
        #expect(cluster.log(1).offsets.highWatermark == .zero)
        cluster.rejoin(3)
        try await receipt.durable.wait()
        await cluster.shutdown()
    }

    @Test(arguments: [SimulatedDisk.Crash.processKill, .powerCut])
    func aCrashedReplicaComesBackAndCatchesUp(_ crash: SimulatedDisk.Crash) async throws {
        var configuration = LogConfiguration.keeping
        configuration.segmentBytes = 2_000
        let cluster = try await Cluster(configuration: configuration)
        cluster.records.onChange.withLock { $0 = { assignment in Task { try await cluster.tell(assignment) } } }
        try await cluster.apply { _ in }
        var sent = 0
        func send(_ count: Int, to leader: Int32) async throws {
            for _ in 0..<count {
                try await cluster.log(leader).append(Sent.batch("record\(sent)", records: 3), acks: .all, epoch: nil).durable.wait()
                sent += 3
            }
        }
        try await send(40, to: 1)
        let disk = await cluster.crash(1, crash)
        try await cluster.elect(3, inSync: [2, 3])
        try await send(40, to: 3)
        try await cluster.start(BrokerID(1), disk: disk)
        try await cluster.tell(cluster.records[cluster.partition]!)
        #expect(await eventually { cluster.records[cluster.partition]!.inSyncReplicas.count == 3 })
        #expect(cluster.log(1).offsets.logEnd == Offset(Int64(sent)))
        let content = try await cluster.content(3)
        #expect(try await cluster.content(1) == content)
        #expect(try await cluster.content(2) == content)
        await cluster.shutdown()
    }

    @Test func aLeaderThatStaysUnderANewEpochLosesNoAppend() async throws {
        let cluster = try await Cluster()
        try await cluster.apply { _ in }
        let log = cluster.log(1)
        let writer = Task {
            var receipts: [AppendReceipt] = []
            for index in 0..<500 {
                receipts.append(try log.append(Sent.batch("\(index)"), acks: .all, epoch: nil))
                if index % 20 == 0 { await Task.yield() }
            }
            return receipts
        }
        for _ in 0..<5 { try await cluster.elect(1, inSync: [1, 2, 3]) }
        for receipt in try await writer.value { try await receipt.durable.wait() }
        #expect(cluster.log(2).offsets.logEnd == Offset(500))
        #expect(try await cluster.content(2) == (try await cluster.content(1)))
        await cluster.shutdown()
    }

    @Test func aFullVolumeRefusesAndGoesOnWhenThereIsRoom() async throws {
        let cluster = try await Cluster()
        try await cluster.apply { assignment in
            assignment.replicas = [BrokerID(1)]
            assignment.inSyncReplicas = [BrokerID(1)]
        }
        let log = cluster.log(1)
        try await log.append(Sent.batch("kept"), acks: .all, epoch: nil).durable.wait()
        cluster[1].disk.setCapacity(0)
        let refused = try log.append(Sent.batch(String(repeating: "x", count: 10_000)), acks: .all, epoch: nil)
        let error = await #expect(throws: LogError.self) { try await refused.durable.wait() }
        #expect(error?.code == .diskFull)
        #expect(log.offsets.logEnd == Offset(1))
        cluster[1].disk.setCapacity(nil)
        let receipt = try log.append(Sent.batch("goes on"), acks: .all, epoch: nil)
        try await receipt.durable.wait()
        #expect(receipt.range == Offset(1)..<Offset(2))
        await cluster.shutdown()
    }
}
