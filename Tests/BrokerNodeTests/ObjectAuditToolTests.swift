//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import BrokerNode
import Foundation
import KafkaNetwork
import LogEngine
import LogModel
import Metering
import NIOCore
import NIOPosix
import ObjectStore
import RuntimeEnvironment
import Testing

/// `ninefold audit` over the stores of real brokers.
@Suite struct ObjectAuditToolTests {
    @Test(arguments: ["tiered", "shared"]) func aClustersStoresAreHeldAgainstEachOther(mode: String) async throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("ninefold-audit-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let metadataURL = "sqlite://\(directory)/metadata.db", objectURL = "file://\(directory)/objects"
        await #expect(throws: (any Error).self) {
            _ = try await ObjectAuditTool.run(
                metadataStoreURL: metadataURL, objectStoreURL: objectURL, repairs: false, grace: .zero)
        }
        let node = try await Node.start(settings: [
            "node.id": "1", "listeners": "PLAINTEXT://127.0.0.1:0", "log.dirs": "\(directory)/broker-1",
            "metadata.store.url": metadataURL, "object.store.url": objectURL, "storage.mode": mode,
            "wal.capacity.bytes": String(8 << 20), "wal.upload.threshold.bytes": String(1 << 20),
        ])
        let client = KafkaClient(
            bootstrap: [BrokerAddress(host: node.host, port: node.port)], group: MultiThreadedEventLoopGroup.singleton,
            clock: RuntimeEnvironment.system.clock)
        try await client.createTopic(
            "t", partitions: 1, replicationFactor: 1, configuration: ["min.insync.replicas": "1", "segment.bytes": "16384"])
        _ = try await client.waitForLeaders(of: ["t": 1])
        // The metadata know of the leader before the broker has opened its log.
        var opened = node.log(topic: "t", partition: 0)
        for _ in 0..<2_000 where opened == nil {
            try await Task.sleep(for: .milliseconds(5))
            opened = node.log(topic: "t", partition: 0)
        }
        let log = try #require(opened)
        for _ in 0..<40 {
            let record = Record(
                timestamp: Timestamp(RuntimeEnvironment.system.clock.wallMilliseconds()), key: nil,
                value: ByteBuffer(repeating: 7, count: 1_000))
            let batch = RecordBatchBuilder.batch(of: [record], producerID: -1, producerEpoch: -1, baseSequence: -1)
            _ = try log.append(try RecordBatches(verifying: batch), acks: .all, epoch: nil)
        }
        _ = try await node.settle()
        await client.close()
        await node.stop()

        var audit = try await ObjectAuditTool.run(
            metadataStoreURL: metadataURL, objectStoreURL: objectURL, repairs: true, grace: .zero)
        #expect(audit.findings.isEmpty, "\(audit.table)")
        #expect(try #require(audit.modes.first { $0.mode == mode }).committed > 0)
        #expect(audit.table.hasSuffix("Objects and metadata agree."))

        let store = try ObjectStoreURL.open(objectURL, environment: .system, meters: Meters(), credentials: [:])
        try await store.put("\(mode)/00/stray", ByteBuffer(string: "left behind"))
        await store.close()
        audit = try await ObjectAuditTool.run(
            metadataStoreURL: metadataURL, objectStoreURL: objectURL, repairs: true, grace: .zero)
        #expect(audit.findings.map(\.key) == ["\(mode)/00/stray"] && audit.findings.allSatisfy(\.isRemoved))
        audit = try await ObjectAuditTool.run(
            metadataStoreURL: metadataURL, objectStoreURL: objectURL, repairs: false, grace: .zero)
        #expect(audit.findings.isEmpty)
    }

    /// The controller does it too, by itself.
    @Test func theControllerRemovesWhatNobodyNames() async throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("ninefold-audit-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let objectURL = "file://\(directory)/objects"
        let node = try await Node.start(settings: [
            "node.id": "1", "listeners": "PLAINTEXT://127.0.0.1:0", "log.dirs": "\(directory)/broker-1",
            "metadata.store.url": "sqlite://\(directory)/metadata.db", "object.store.url": objectURL, "storage.mode": "shared",
            "wal.path": "object:", "wal.object.linger.ms": "1", "object.audit.interval.ms": "50",
            "object.audit.grace.ms": "1000",
        ])
        let client = KafkaClient(
            bootstrap: [BrokerAddress(host: node.host, port: node.port)], group: MultiThreadedEventLoopGroup.singleton,
            clock: RuntimeEnvironment.system.clock)
        try await client.createTopic(
            "t", partitions: 1, replicationFactor: 1, configuration: ["min.insync.replicas": "1"])
        _ = try await client.waitForLeaders(of: ["t": 1])
        var opened = node.log(topic: "t", partition: 0)
        for _ in 0..<2_000 where opened == nil {
            try await Task.sleep(for: .milliseconds(5))
            opened = node.log(topic: "t", partition: 0)
        }
        let log = try #require(opened)
        let record = Record(
            timestamp: Timestamp(RuntimeEnvironment.system.clock.wallMilliseconds()), key: nil, value: ByteBuffer(string: "kept"))
        let batch = RecordBatchBuilder.batch(of: [record], producerID: -1, producerEpoch: -1, baseSequence: -1)
        try await log.append(try RecordBatches(verifying: batch), acks: .all, epoch: nil).durable.wait()

        let store = try ObjectStoreURL.open(objectURL, environment: .system, meters: Meters(), credentials: [:])
        let strays = ["shared/00/stray", "shared-wal/7/1/0000000000000000"]
        for key in strays { try await store.put(key, ByteBuffer(string: "left behind")) }
        var left = strays.count
        for _ in 0..<4_000 where left > 0 {
            try await Task.sleep(for: .milliseconds(5))
            left = 0
            for key in strays where try await store.info(key) != nil { left += 1 }
        }
        #expect(left == 0)
        // Its own log, which is named by no record either, is left alone.
        #expect(try await store.list(prefix: "shared-wal/1/", startAfter: nil, maxKeys: 10).objects.count == 1)
        await store.close()
        await client.close()
        await node.stop()
    }
}
