//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import BrokerNode
import KafkaNetwork
import KafkaProtocol
import LogEngine
import LogModel
import NIOCore
import Synchronization
import Testing

/// Who leads after brokers went and came back.
@Suite(.serialized) struct ElectionTests {
    /// Producers that go on until told, and what was acknowledged to them.
    private final class Load: Sendable {
        let isOver = Mutex(false)
        /// By partition: how many, and the highest offset.
        let acknowledged = Mutex<[Int32: (count: Int64, last: Int64)]>([:])

        var count: Int64 { acknowledged.withLock { $0.values.reduce(0) { $0 + $1.count } } }

        func note(_ offset: Int64, _ partition: Int32) {
            acknowledged.withLock { acknowledged in
                let before = acknowledged[partition] ?? (0, -1)
                acknowledged[partition] = (before.count + 1, max(before.last, offset))
            }
        }
    }

    private func elect(_ cluster: NodeCluster, _ topic: String, unclean: Bool) async throws -> ErrorCode {
        let request = ElectLeadersRequest(
            electionType: unclean ? 1 : 0, topicPartitions: [.init(topic: topic, partitions: [0])], timeoutMs: 10_000)
        let answer = try await cluster.client.callController(request) { _ in }
        return try #require(answer.replicaElectionResults.first?.partitionResult.first).errorCode
    }

    private func leaders(_ cluster: NodeCluster, _ topic: String) async throws -> [Int32: Int32] {
        let partitions = try await cluster.client.refresh(topics: [topic]).topics[topic]?.partitions ?? [:]
        return partitions.compactMapValues { $0.leader?.rawValue }
    }

    @Test func thePreferredLeaderIsElectedOnDemand() async throws {
        try await NodeCluster.with("isr", overrides: ["auto.leader.rebalance.enable": "false"]) { cluster in
            try await cluster.client.createTopic(
                "t", partitions: 1, replicationFactor: 2, assignments: [[BrokerID(1), BrokerID(2)]])
            _ = try await cluster.client.waitForLeaders(of: ["t": 1])
            #expect(try await elect(cluster, "t", unclean: false) == .electionNotNeeded)
            await cluster.stop(1)
            #expect(try await NodeCluster.eventually { try await cluster.leader("t") == 2 })
            #expect(try await elect(cluster, "t", unclean: false) == .preferredLeaderNotAvailable)
            try await cluster.start(1)
            #expect(try await NodeCluster.eventually { try await elect(cluster, "t", unclean: false) == .none })
            #expect(try await NodeCluster.eventually { try await cluster.leader("t") == 1 })
            #expect(try await cluster.produce("t") == 0)
        }
    }

    @Test(arguments: ["on demand", "by the topic's setting", "by the brokers' setting"])
    func aReplicaOutOfSyncLeadsOnlyWhereThatIsAllowed(how: String) async throws {
        try await NodeCluster.with("isr") { cluster in
            let client = cluster.client
            try await client.createTopic("t", partitions: 1, replicationFactor: 2, assignments: [[BrokerID(1), BrokerID(2)]])
            _ = try await client.waitForLeaders(of: ["t": 1])
            try await cluster.produce("t")
            await cluster.stop(2)
            try await cluster.produce("t")
            await cluster.stop(1)
            try await cluster.start(2)
            // It lacks the second record: nobody leads.
            #expect(try await cluster.leader("t") == nil)
            switch how {
            case "on demand":
                #expect(try await elect(cluster, "t", unclean: false) == .preferredLeaderNotAvailable)
                #expect(try await elect(cluster, "t", unclean: true) == .none)
            case "by the topic's setting":
                try await client.alterConfiguration(ofTopic: "t", ["unclean.leader.election.enable": "true"])
            default: try await client.alterConfiguration(ofBroker: "", ["unclean.leader.election.enable": "true"])
            }
            #expect(try await NodeCluster.eventually { try await cluster.leader("t") == 2 })
            #expect(try await cluster.produce("t") == 1)
            // The former leader cuts off what it has alone.
            try await cluster.start(1)
            #expect(
                await NodeCluster.eventually { cluster.node(1).log(topic: "t", partition: 0)?.offsets.highWatermark == Offset(2) })
        }
    }

    @Test(arguments: ["isr", "shared"]) func leadershipGoesBackToABrokerThatReturns(mode: String) async throws {
        try await NodeCluster.with(mode, overrides: ["leader.imbalance.check.interval.seconds": "1"]) { cluster in
            let replicas = mode == "isr" ? 3 : 1
            try await cluster.client.createTopic("t", partitions: 6, replicationFactor: replicas)
            _ = try await cluster.client.waitForLeaders(of: ["t": 6])
            let before = try await leaders(cluster, "t")
            #expect(Set(before.values) == [1, 2, 3])
            for partition in Int32(0)..<6 { try await cluster.produce("t", partition: partition) }
            await cluster.stop(2)
            #expect(try await !leaders(cluster, "t").values.contains(2))
            for partition in Int32(0)..<6 { try await cluster.produce("t", partition: partition) }
            try await cluster.start(2)
            #expect(try await NodeCluster.eventually { try await leaders(cluster, "t") == before })
            for partition in Int32(0)..<6 { #expect(try await cluster.produce("t", partition: partition) == 2) }
        }
    }

    @Test(arguments: ["isr", "shared"]) func aControlledStopUnderLoadLosesNoAcknowledgedRecord(mode: String) async throws {
        try await NodeCluster.with(mode) { cluster in
            let configuration = mode == "isr" ? ["min.insync.replicas": "2"] : [:]
            try await cluster.client.createTopic(
                "t", partitions: 3, replicationFactor: mode == "isr" ? 3 : 1, configuration: configuration)
            _ = try await cluster.client.waitForLeaders(of: ["t": 3])
            let load = Load()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for partition in Int32(0)..<3 {
                    group.addTask { [cluster] in
                        while !load.isOver.withLock({ $0 }) {
                            load.note(try await cluster.produce("t", partition: partition), partition)
                        }
                    }
                }
                for id in [1, 2] {
                    let before = load.count
                    #expect(await NodeCluster.eventually { load.count > before + 30 })
                    await cluster.stop(id)
                    try await cluster.start(id)
                    // Nothing is acknowledged by too few: the returned one has to be in sync before the next goes.
                    if mode == "isr" {
                        #expect(
                            await NodeCluster.eventually {
                                (Int32(0)..<3).allSatisfy { partition in
                                    cluster.node(3).log(topic: "t", partition: partition)?.assignment.inSyncReplicas.count == 3
                                }
                            })
                    }
                }
                load.isOver.withLock { $0 = true }
                try await group.waitForAll()
            }
            for (partition, acknowledged) in load.acknowledged.withLock({ $0 }) {
                let end = try await cluster.client.listOffset(of: "t", partition: partition, timestamp: -1)
                #expect(acknowledged.count > 0)
                #expect(end > acknowledged.last, "partition \(partition)")
                #expect(end >= acknowledged.count, "partition \(partition)")
            }
        }
    }
}
