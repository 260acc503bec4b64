//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import ClusterMetadata
import LogEngine
import LogModel
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
