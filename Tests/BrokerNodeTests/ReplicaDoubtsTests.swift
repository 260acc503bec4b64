//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import BrokerNode
import Foundation
import KafkaNetwork
import LogEngine
import LogModel
import Testing

/// Brokers that come back with less than the cluster counts on. The last broker of each cluster has no replica, and lives throughout.
@Suite(.serialized) struct ReplicaDoubtsTests {
    private func waits(_ cluster: NodeCluster, leader: Int32?, inSync: [Int32]) async throws -> Bool {
        try await NodeCluster.eventually {
            guard let partition = try await cluster.client.refresh(topics: ["t"]).topics["t"]?.partitions[0] else { return false }
            return partition.leader?.rawValue == leader && partition.inSyncReplicas.map(\.rawValue).sorted() == inSync
        }
    }

    /// One replica of three has all that was acknowledged, and returns with an empty disk: an empty log must not lead.
    @Test(arguments: ["isr", "tiered"]) func anEmptyDiskDoesNotLead(_ mode: String) async throws {
        try await NodeCluster.with(mode, brokers: 4) { cluster in
            try await cluster.client.createTopic(
                "t", partitions: 1, replicationFactor: 3, assignments: [[BrokerID(3), BrokerID(1), BrokerID(2)]])
            _ = try await cluster.client.waitForLeaders(of: ["t": 1])
            for _ in 0..<10 { try await cluster.produce("t") }
            await cluster.stop(2)
            await cluster.stop(1)
            // It alone is in sync by now, and takes what the others do not have.
            #expect(try await waits(cluster, leader: 3, inSync: [3]))
            for _ in 0..<10 { try await cluster.produce("t") }
            await cluster.stop(3)
            try FileManager.default.removeItem(atPath: "\(cluster.directory)/broker-3")
            try await cluster.start(3)
            try await cluster.start(1)
            // The record says so, and says so still after another start.
            #expect(try await waits(cluster, leader: nil, inSync: [3]))
            await cluster.stop(3)
            try await cluster.start(3)
            #expect(cluster.node(3).isServing)
            #expect(try await waits(cluster, leader: nil, inSync: [3]))
            #expect(cluster.node(3).log(topic: "t", partition: 0) == nil)

            // Who would rather go on with what there is says so, as in Kafka.
            try await cluster.client.alterConfiguration(ofTopic: "t", ["unclean.leader.election.enable": "true"])
            #expect(try await waits(cluster, leader: 1, inSync: [1, 3]))
            #expect(try await cluster.produce("t") == 10)
        }
    }

    /// The newest records of the only replica in sync are gone: it leads with what is left, since nobody is known to have more.
    @Test func aShortLogLeadsWhereNobodyHasMore() async throws {
        try await NodeCluster.with("isr", brokers: 3) { cluster in
            try await cluster.client.createTopic(
                "t", partitions: 1, replicationFactor: 2, assignments: [[BrokerID(1), BrokerID(2)]])
            _ = try await cluster.client.waitForLeaders(of: ["t": 1])
            for _ in 0..<10 { try await cluster.produce("t") }
            await cluster.stop(2)
            #expect(try await waits(cluster, leader: 1, inSync: [1]))
            await cluster.stop(1)
            let segment = URL(fileURLWithPath: "\(cluster.directory)/broker-1/t-0/00000000000000000000.log")
            try Data(contentsOf: segment).dropLast().write(to: segment)
            try await cluster.start(1)
            #expect(try await waits(cluster, leader: 1, inSync: [1]))
            try await cluster.start(2)
            #expect(try await waits(cluster, leader: 1, inSync: [1, 2]))
            #expect(try await cluster.produce("t") == 9)
            #expect(await NodeCluster.eventually { cluster.node(2).log(topic: "t", partition: 0)?.offsets.logEnd == Offset(10) })
        }
    }
}
