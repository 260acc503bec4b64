//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import BrokerNode
import Foundation
import KafkaNetwork
import LogEngine
import LogModel
import Testing

/// Logs that a broker finds at its start, of topics that the metadata do not know.
@Suite(.serialized) struct StrayLogTests {
    private func entries(_ cluster: NodeCluster, _ broker: Int, _ mode: String) throws -> [String] {
        let root = "\(cluster.directory)/broker-\(broker)"
        return (FileManager.default.enumerator(atPath: root)?.compactMap { $0 as? String } ?? [])
            .filter { $0.hasSuffix(".log") }.map { $0.split(separator: "/").dropLast().last.map(String.init) ?? "" }.sorted()
    }

    @Test(arguments: ["isr", "tiered"]) func aTopicDeletedMeanwhileIsDeletedHereToo(_ mode: String) async throws {
        try await NodeCluster.with(mode, brokers: 2) { cluster in
            try await cluster.client.createTopic("t", partitions: 1, replicationFactor: 2)
            try await cluster.client.createTopic("u", partitions: 1, replicationFactor: 2)
            _ = try await cluster.client.waitForLeaders(of: ["t": 1, "u": 1])
            try await cluster.produce("t")
            try await cluster.produce("u")
            await cluster.stop(2)
            try await cluster.client.deleteTopics(["t"])
            let directory = "\(cluster.directory)/broker-1"
            #expect(await NodeCluster.eventually { cluster.partitionDirectories(of: "t", under: directory).isEmpty })
            try await cluster.start(2)
            let names = try entries(cluster, 2, mode)
            #expect(!names.contains("t-0") && names.contains("u-0") && !names.contains { $0.hasSuffix("-stray") }, "\(names)")
        }
    }

    /// The metadata were restored from a copy that is older than a topic: its records are kept.
    @Test(arguments: ["isr", "tiered"]) func aTopicThatOlderMetadataDoNotKnowIsSetAside(_ mode: String) async throws {
        try await NodeCluster.with(mode, brokers: 1) { cluster in
            try await cluster.client.createTopic("t", partitions: 1, replicationFactor: 1)
            _ = try await cluster.client.waitForLeaders(of: ["t": 1])
            try await cluster.produce("t")
            await cluster.stop(1)
            let metadata = URL(fileURLWithPath: "\(cluster.directory)/metadata.db")
            let copy = try Data(contentsOf: metadata)
            try await cluster.start(1)
            let client = cluster.newClient()
            try await client.createTopic("u", partitions: 1, replicationFactor: 1)
            _ = try await client.waitForLeaders(of: ["u": 1])
            await client.close()
            await cluster.stop(1)
            for suffix in ["-wal", "-shm"] { try? FileManager.default.removeItem(atPath: metadata.path + suffix) }
            try copy.write(to: metadata)
            for _ in 0..<2 {
                try await cluster.start(1)
                let names = try entries(cluster, 1, mode)
                #expect(names.contains("t-0") && !names.contains("u-0"), "\(names)")
                #expect(names.filter { $0.hasPrefix("u-0.") && $0.hasSuffix("-stray") }.count == 1, "\(names)")
                #expect(
                    await NodeCluster.eventually { cluster.node(1).log(topic: "t", partition: 0)?.offsets.logEnd == Offset(1) })
                await cluster.stop(1)
            }
        }
    }
}
