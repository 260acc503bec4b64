//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import BrokerNode
import Foundation
import KafkaNetwork
import KafkaProtocol
import LogEngine
import LogModel
import Testing

/// Brokers with several log directories (`log.dirs`).
@Suite(.serialized) struct LogDirectoriesTests {
    private func with(_ body: (NodeCluster) async throws -> Void) async throws {
        let base = FileManager.default.temporaryDirectory.appendingPathComponent("ninefold-dirs-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: base) }
        try await NodeCluster.with("isr", settingsOf: { ["log.dirs": "\(base)/\($0)/a,\(base)/\($0)/b"] }, body)
    }

    private func directories(_ cluster: NodeCluster, of broker: Int32) async throws -> [DescribeLogDirsResponse
        .DescribeLogDirsResult]
    {
        // What lies in the object store is told of too, under the store's name.
        try await cluster.client.describeLogDirectories(of: BrokerID(broker)).filter { $0.logDir.hasPrefix("/") }
    }

    @Test func partitionsAreSpreadAndToldByDirectoryAndFoundAfterARestart() async throws {
        try await with { cluster in
            try await cluster.client.createTopic("t", partitions: 6, replicationFactor: 3)
            _ = try await cluster.client.waitForLeaders(of: ["t": 6])
            for partition in Int32(0)..<6 { try await cluster.produce("t", partition: partition) }
            for round in 0..<2 {
                for broker in Int32(1)...3 {
                    let told = try await directories(cluster, of: broker)
                    #expect(
                        told.map { $0.logDir.hasSuffix("/\(broker)/a") || $0.logDir.hasSuffix("/\(broker)/b") } == [true, true])
                    for directory in told {
                        #expect(directory.errorCode == .none && directory.totalBytes > 0)
                        #expect(directory.topics.flatMap(\.partitions).count == 3)
                        #expect(cluster.partitionDirectories(of: "t", under: directory.logDir).count == 3)
                    }
                }
                guard round == 0 else { break }
                await cluster.stop(2)
                try await cluster.start(2)
                // It listens elsewhere now.
                #expect(
                    try await NodeCluster.eventually {
                        try await cluster.client.refresh(topics: ["t"]).brokers[BrokerID(2)]?.port == cluster.node(2).port
                    })
                #expect(
                    await NodeCluster.eventually {
                        (Int32(0)..<6).allSatisfy {
                            cluster.node(2).log(topic: "t", partition: $0)?.offsets.highWatermark == Offset(1)
                        }
                    })
            }
        }
    }

    @Test func aDirectoryThatIsLostTakesOnlyItsPartitionsOffTheBroker() async throws {
        try await with { cluster in
            let client = cluster.client
            try await client.createTopic(
                "t", partitions: 6, replicationFactor: 3, configuration: ["min.insync.replicas": "2", "segment.bytes": "16384"])
            _ = try await client.waitForLeaders(of: ["t": 6])
            var next: [Int32: Int64] = [:]
            for partition in Int32(0)..<6 {
                next[partition] = try await cluster.produce("t", partition: partition, bytes: 1_000) + 1
            }
            let lostDirectory = try #require(try await directories(cluster, of: 1).last)
            let lost = Set(lostDirectory.topics.flatMap(\.partitions).map(\.partitionIndex))
            #expect(lost.count == 3)
            // As when a mount goes away: the next segment cannot be made.
            try FileManager.default.removeItem(atPath: lostDirectory.logDir)
            for _ in 0..<40 {
                for partition in Int32(0)..<6 {
                    let offset = try await cluster.produce("t", partition: partition, bytes: 1_000)
                    #expect(offset == next[partition])
                    next[partition] = offset + 1
                }
            }
            #expect(
                try await NodeCluster.eventually {
                    let view = try await client.refresh(topics: ["t"]).topics["t"]?.partitions ?? [:]
                    return view.count == 6
                        && view.allSatisfy { $0.value.leader != nil && !(lost.contains($0.key) && $0.value.leader == BrokerID(1)) }
                })
            let told = try await directories(cluster, of: 1)
            #expect(told.map(\.errorCode) == [.none, .kafkaStorageError])
            #expect(told[0].topics.flatMap(\.partitions).count == 3)
            #expect(cluster.node(1).isServing)
            // The others of its partitions are in sync as before; the lost ones are led by whoever is left of the set.
            for partition in Int32(0)..<6 {
                let leader = Int(try #require(try await cluster.leader("t", partition)))
                let members = cluster.node(leader).log(topic: "t", partition: partition)?.assignment.inSyncReplicas ?? []
                #expect(members.contains(BrokerID(1)) != lost.contains(partition), "partition \(partition): \(members)")
            }
            // A new disk in its place: after a restart the replicas are copied again.
            await cluster.stop(1)
            try await cluster.start(1)
            #expect(
                try await NodeCluster.eventually {
                    for partition in lost {
                        guard let leader = try await cluster.leader("t", partition),
                            cluster.node(Int(leader)).log(topic: "t", partition: partition)?.assignment.inSyncReplicas.count == 3
                        else { return false }
                    }
                    return true
                })
            for partition in Int32(0)..<6 { #expect(try await cluster.produce("t", partition: partition) == next[partition]) }
        }
    }
}
