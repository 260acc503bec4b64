//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import BrokerNode
import KafkaNetwork
import KafkaProtocol
import LogEngine
import LogModel
import Testing

/// What administrators change in a running cluster, in effect on all brokers.
@Suite(.serialized) struct SettingsAndDeletionTests {
    private func delete(
        _ cluster: NodeCluster, before offset: Int64
    ) async throws -> DeleteRecordsResponse.DeleteRecordsPartitionResult {
        let request = DeleteRecordsRequest(
            topics: [.init(name: "t", partitions: [.init(offset: offset)])], timeoutMs: 30_000)
        return try await cluster.client.callLeader(of: "t", partition: 0, request, versionMax: 2) {
            (answer) throws(KafkaClientError) in
            try KafkaClientError.check(answer.topics[0].partitions[0].errorCode, "not deleted")
        }.topics[0].partitions[0]
    }

    @Test(arguments: ["isr", "tiered"]) func deletedRecordsAreGoneFromEveryLiveReplicaWhenTheAnswerComes(_ mode: String)
        async throws
    {
        try await NodeCluster.with(mode) { cluster in
            try await cluster.client.createTopic("t", partitions: 1, replicationFactor: 3)
            _ = try await cluster.client.waitForLeaders(of: ["t": 1])
            for _ in 0..<5 { try await cluster.produce("t") }
            #expect(try await delete(cluster, before: 3).lowWatermark == 3)
            for id in 1...3 { #expect(cluster.node(id).log(topic: "t", partition: 0)?.offsets.logStart == Offset(3)) }
            // A dead one is not waited for; it hears of it when it is back.
            let victim = try await cluster.leader("t") == 1 ? 2 : 1
            await cluster.stop(victim)
            #expect(try await delete(cluster, before: -1).lowWatermark == 5)
            try await cluster.start(victim)
            #expect(
                await NodeCluster.eventually {
                    cluster.node(victim).log(topic: "t", partition: 0)?.offsets.logStart == Offset(5)
                })
        }
    }

    @Test func theBrokersCommonSettingsReachOpenLogsAndOneBrokersItsOwn() async throws {
        try await NodeCluster.with("isr") { cluster in
            let client = cluster.client
            try await client.createTopic("t", partitions: 3, replicationFactor: 1)
            let leaders = try await client.waitForLeaders(of: ["t": 3])
            #expect(Set(leaders.topics["t"]?.partitions.values.compactMap(\.leader) ?? []).count == 3)
            for partition in Int32(0)..<3 { try await cluster.produce("t", partition: partition, bytes: 3_000) }
            func refused() async throws -> Int {
                var count = 0
                for partition in Int32(0)..<3 {
                    do { try await cluster.produce("t", partition: partition, bytes: 3_000) } catch let error as KafkaClientError {
                        guard error.code == .broker(.messageTooLarge) else { throw error }
                        count += 1
                    }
                }
                return count
            }
            try await client.alterConfiguration(ofBroker: "2", ["message.max.bytes": "2000"])
            #expect(try await NodeCluster.eventually { try await refused() == 1 })
            try await client.alterConfiguration(ofBroker: "", ["message.max.bytes": "1000"])
            #expect(try await NodeCluster.eventually { try await refused() == 3 })
            // One's own counts before what all have.
            try await client.alterConfiguration(ofBroker: "3", ["message.max.bytes": "9000"])
            try await client.alterConfiguration(ofBroker: "2", ["message.max.bytes": nil])
            #expect(try await NodeCluster.eventually { try await refused() == 2 })
        }
    }
}
