//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import ClusterMetadata
import LogEngine
import LogModel
import NIOCore
import ObjectStore
import SimulationKit
import Synchronization
import Testing
import TieredOffload

/// The engine over the real replicated log, three brokers in one process.
@Suite struct ClusterTests {
    private func texts(_ batches: Int, _ text: String) -> [String] {
        (0..<batches).flatMap { number in (0..<3).map { "\(text)-\(number)-\($0)-" } }
    }

    @Test func everyReplicaFreesWhatTheLeaderUploaded() async throws {
        let cluster = try await TieredCluster()
        try await cluster.append(200, to: 1, "a")
        for id in [Int32(1), 2, 3] { try await cluster.engine(id).settle() }
        for id in [Int32(1), 2, 3] {
            try await eventually("broker \(id) frees its local segments") {
                cluster.log(id).offsets.localStart > Offset(450)
            }
            #expect(try await cluster.engine(id).footprint().entries[.hotLog]!.recordBytes < 3 * 8_192)
        }
        let read = try await cluster.values(1)
        #expect(read.texts == texts(200, "a"))
        #expect(read.isDense)
        // Each segment once, whoever has replicas of it.
        let bytes = try await cluster.engine(2).objectFootprint().entries[.object]!.recordBytes
        #expect(bytes + 3 * 8_192 > cluster.log(1).sizeInBytes && bytes <= cluster.log(1).sizeInBytes)
        await cluster.shutdown()
    }

    @Test func aNewReplicaTakesTheLocalPartAlone() async throws {
        let cluster = try await TieredCluster()
        try await cluster.append(200, to: 1, "a")
        try await cluster.engine(1).settle()
        let total = cluster.log(1).sizeInBytes
        try await cluster.start(4)
        try await cluster.change { record in
            record.replicas.append(BrokerID(4))
            record.addingReplicas = [BrokerID(4)]
        }
        try await eventually("the new replica joins") { cluster.assignment.inSyncReplicas.contains(BrokerID(4)) }
        #expect(cluster.fetchedBytes(4) < total / 4)
        #expect(cluster.log(4).offsets.logStart == .zero)
        #expect(cluster.log(4).offsets.localStart > .zero)

        try await cluster.append(20, to: 1, "b")
        for id in [Int32(1), 2, 3] { await cluster.stop(id) }
        try await cluster.elect(4, inSync: [4])
        #expect(cluster.log(4).offsets.logStart == .zero)
        let read = try await cluster.values(4)
        #expect(read.texts == texts(200, "a") + texts(20, "b"))
        #expect(read.isDense)
        // It knows its predecessors' epochs, and what it gets now.
        try await cluster.append(50, to: 4, "c")
        try await cluster.engine(4).settle()
        #expect(try await cluster.values(4).texts == texts(200, "a") + texts(20, "b") + texts(50, "c"))
        await cluster.shutdown()
    }

    enum Meanwhile: CaseIterable { case leads, followsAnother, isWrittenTo, isLetGo }

    /// What was learnt for the log as it was must not be done to the log as it is.
    @Test(arguments: Meanwhile.allCases) func aLateAnswerFromTheTierChangesNothing(meanwhile: Meanwhile) async throws {
        let cluster = try await TieredCluster()
        try await cluster.append(100, to: 1, "a")
        try await cluster.engine(1).settle()
        let leader = cluster.log(1)
        let start = leader.offsets.localStart
        let rebuilt = try await cluster.engine(2).rebuildFollower(
            cluster.partition,
            from: LeaderLineage(
                start: start, epoch: leader.leaderEpoch(at: start - 1) ?? .none, logStart: leader.offsets.logStart
            ) { epoch in
                switch meanwhile {
                case .leads: try await cluster.elect(2, inSync: [1, 2, 3])
                case .followsAnother: try await cluster.elect(3, inSync: [1, 2, 3])
                case .isWrittenTo: try await cluster.append(1, to: 1, "b")
                case .isLetGo:
                    try await cluster.change { record in
                        record.replicas = [BrokerID(1), BrokerID(3)]
                        record.inSyncReplicas = record.replicas
                    }
                }
                return try leader.endOffset(forEpoch: epoch)
            })
        #expect(rebuilt == nil)
        if meanwhile == .isLetGo {
            #expect(cluster.engine(2).log(for: cluster.partition) == nil)
            return await cluster.shutdown()
        }
        #expect(cluster.log(2).offsets.logEnd >= Offset(300))
        if meanwhile != .leads { try await cluster.elect(2, inSync: [1, 2, 3]) }
        try await cluster.append(10, to: 2, "c")
        let written = texts(100, "a") + (meanwhile == .isWrittenTo ? texts(1, "b") : []) + texts(10, "c")
        #expect(try await cluster.values(2).texts == written)
        await cluster.shutdown()
    }

    /// Of the producer nothing is left on the volume of the replica that began from the tier.
    @Test func aReplicaThatBeganFromTheTierKnowsItsProducers() async throws {
        let cluster = try await TieredCluster()
        func batch(_ number: Int32) throws -> RecordBatches {
            let record = Record(timestamp: Timestamp(1_000), key: nil, value: ByteBuffer(string: "once-\(number)-xxx"))
            return try RecordBatches(
                verifying: RecordBatchBuilder.batch(of: [record], producerID: 77, producerEpoch: 3, baseSequence: number))
        }
        for number in 0..<4 as Range<Int32> {
            try await cluster.log(1).append(try batch(number), acks: .all, epoch: nil).durable.wait()
        }
        try await cluster.append(100, to: 1, "a")
        try await cluster.engine(1).settle()
        try await cluster.start(4)
        try await cluster.change { record in
            record.replicas.append(BrokerID(4))
            record.addingReplicas = [BrokerID(4)]
        }
        try await eventually("the new replica joins") { cluster.assignment.inSyncReplicas.contains(BrokerID(4)) }
        #expect(cluster.log(4).offsets.localStart > Offset(4))
        for id in [Int32(1), 2, 3] { await cluster.stop(id) }
        try await cluster.elect(4, inSync: [4])
        let again = try cluster.log(4).append(try batch(3), acks: .all, epoch: nil)
        #expect(again.isDuplicate && again.range == Offset(3)..<Offset(4))
        #expect(throws: LogError.self) { try cluster.log(4).append(try batch(5), acks: .all, epoch: nil) }
        let next = try cluster.log(4).append(try batch(4), acks: .all, epoch: nil)
        #expect(!next.isDuplicate)
        await cluster.shutdown()
    }

    @Test func leadersDieInTurnAndNothingAcknowledgedIsLost() async throws {
        let cluster = try await TieredCluster()
        // Each put fails now and then, each broker's end comes in the middle of something.
        let count = Mutex(0)
        cluster.store.setFault { operation in
            guard operation.kind == .put else { return nil }
            let number = count.withLock { count in
                count += 1
                return count
            }
            return number % 7 == 3 ? .fail(.slowDown) : number % 11 == 5 ? .loseReply(.timedOut) : .delay(.milliseconds(1))
        }
        try await cluster.append(60, to: 1, "a")
        await cluster.stop(1)
        try await cluster.elect(2, inSync: [2, 3])
        try await cluster.append(60, to: 2, "b")
        await cluster.stop(2)
        try await cluster.elect(3, inSync: [3])
        try await cluster.append(60, to: 3, "c")
        cluster.store.setFault(nil)
        try await cluster.engine(3).settle()
        let read = try await cluster.values(3)
        #expect(read.texts == texts(60, "a") + texts(60, "b") + texts(60, "c"))
        #expect(read.isDense)
        try await eventually("no orphan stays") {
            try await cluster.engine(3).settle()
            let records = try await cluster.metadata.list(prefix: TierKey.metadata).values.filter { !$0.key.hasSuffix("/leader") }
                .map { try decodeRecord($0.value) }
            return records.allSatisfy { $0.state == .copyFinished }
                && Set(cluster.store.keys) == Set(records.flatMap { TierKey.all($0) })
        }
        await cluster.shutdown()
    }
}
