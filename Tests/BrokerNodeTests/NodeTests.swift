//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import BrokerNode
import Foundation
import KafkaNetwork
import LogModel
import NIOPosix
import RuntimeEnvironment
import Testing

/// Brokers in this process, on directories of their own.
@Suite struct NodeTests {
    private func withDirectory(_ body: (String) async throws -> Void) async throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("ninefold-node-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try await body(directory)
    }

    private func settings(_ id: Int, _ directory: String, mode: String) -> [String: String] {
        [
            "node.id": String(id), "listeners": "PLAINTEXT://127.0.0.1:0", "metrics.listener": "http://127.0.0.1:0",
            "log.dirs": "\(directory)/broker-\(id)", "metadata.store.url": "sqlite://\(directory)/metadata.db",
            "object.store.url": "file://\(directory)/objects", "storage.mode": mode, "wal.capacity.bytes": String(8 << 20),
            "wal.upload.threshold.bytes": String(1 << 20),
        ]
    }

    @Test(arguments: ["memory", "shared"]) func threeBrokersServeAndStopOneAfterTheOther(mode: String) async throws {
        try await withDirectory { directory in
            var nodes: [Node] = []
            for id in 1...3 { nodes.append(try await Node.start(settings: settings(id, directory, mode: mode))) }
            for node in nodes { #expect(node.isServing && node.port > 0) }
            let client = KafkaClient(
                bootstrap: nodes.map { BrokerAddress(host: $0.host, port: $0.port) }, group: MultiThreadedEventLoopGroup.singleton,
                clock: RuntimeEnvironment.system.clock)
            try await client.createTopic("t", partitions: 6, replicationFactor: 1, configuration: ["min.insync.replicas": "1"])
            let before = try await client.waitForLeaders(of: ["t": 6])
            #expect(Set(before.topics["t"]?.partitions.values.map(\.leader) ?? []) == [BrokerID(1), BrokerID(2), BrokerID(3)])
            for partition in Int32(0)..<6 {
                #expect(try await client.listOffset(of: "t", partition: partition, timestamp: -1) == 0)
            }
            if mode == "shared" {
                // Handed over before it stopped: somebody leads each partition at once.
                await nodes[2].stop()
                let after = try await client.refresh(topics: ["t"])
                let leaders = after.topics["t"]?.partitions.values.map(\.leader) ?? []
                #expect(leaders.count == 6 && leaders.allSatisfy { $0 == BrokerID(1) || $0 == BrokerID(2) })
            }
            await client.close()
            for node in nodes { await node.stop() }
            for node in nodes {
                #expect(!node.isServing)
                #expect(await node.waitUntilFailed() == nil)
            }
        }
    }

    @Test func aDirectoryIsKeptForItsBrokerModeAndCluster() async throws {
        try await withDirectory { directory in
            let own = settings(1, directory, mode: "shared")
            await (try Node.start(settings: own)).stop()
            for (change, word) in [
                (["node.id": "2"], "broker 1"), (["storage.mode": "memory"], "storage.mode=shared"),
                (["metadata.store.url": "sqlite://\(directory)/other.db"], "cluster"),
            ] {
                let error = await #expect(throws: ConfigurationError.self) {
                    _ = try await Node.start(settings: own.merging(change) { $1 })
                }
                #expect(error?.description.contains(word) == true, "\(error?.description ?? "")")
            }
            await (try Node.start(settings: own)).stop()
        }
    }
}
