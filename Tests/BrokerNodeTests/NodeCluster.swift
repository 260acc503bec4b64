//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import BrokerNode
import Foundation
import KafkaNetwork
import KafkaProtocol
import LogModel
import NIOCore
import NIOPosix
import RuntimeEnvironment
import Synchronization

/// Brokers in this process on directories of their own, and a client of theirs. Gone with all they wrote at the end of ``with``.
final class NodeCluster: Sendable {
    let directory: String
    let client: KafkaClient
    private let mode: String
    private let settingsOf: @Sendable (Int) -> [String: String]
    private let state: Mutex<[Int: Node]>

    private init(_ mode: String, directory: String, nodes: [Int: Node], settingsOf: @escaping @Sendable (Int) -> [String: String]) {
        self.mode = mode
        self.directory = directory
        self.settingsOf = settingsOf
        state = Mutex(nodes)
        client = Self.client(of: nodes)
    }

    private static func client(of nodes: [Int: Node]) -> KafkaClient {
        KafkaClient(
            bootstrap: nodes.values.map { BrokerAddress(host: $0.host, port: $0.port) },
            group: MultiThreadedEventLoopGroup.singleton,
            clock: RuntimeEnvironment.system.clock)
    }

    /// One that knows the brokers as they are now: ``client`` loses them if all have been started anew. To be closed by the caller.
    func newClient() -> KafkaClient { Self.client(of: state.withLock { $0 }) }

    static func with(
        _ mode: String, brokers: Int = 3, overrides: [String: String] = [:], _ body: (NodeCluster) async throws -> Void
    ) async throws {
        try await with(mode, brokers: brokers, settingsOf: { _ in overrides }, body)
    }

    /// - Parameter settingsOf: What differs from ``settings(_:_:mode:)``, by broker.
    static func with(
        _ mode: String, brokers: Int = 3, settingsOf: @escaping @Sendable (Int) -> [String: String],
        _ body: (NodeCluster) async throws -> Void
    ) async throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("ninefold-node-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        var nodes: [Int: Node] = [:]
        for id in 1...brokers {
            nodes[id] = try await Node.start(settings: settings(id, directory, mode: mode).merging(settingsOf(id)) { $1 })
        }
        let cluster = NodeCluster(mode, directory: directory, nodes: nodes, settingsOf: settingsOf)
        do { try await body(cluster) } catch {
            await cluster.stop()
            throw error
        }
        await cluster.stop()
    }

    static func settings(_ id: Int, _ directory: String, mode: String) -> [String: String] {
        [
            "node.id": String(id), "listeners": "PLAINTEXT://127.0.0.1:0", "metrics.listener": "http://127.0.0.1:0",
            "log.dirs": "\(directory)/broker-\(id)", "metadata.store.url": "sqlite://\(directory)/metadata.db",
            "object.store.url": "file://\(directory)/objects", "storage.mode": mode, "wal.capacity.bytes": String(8 << 20),
            "wal.upload.threshold.bytes": String(1 << 20),
        ]
    }

    func node(_ id: Int) -> Node { state.withLock { $0[id]! } }

    /// A controlled stop.
    func stop(_ id: Int) async { await state.withLock { $0.removeValue(forKey: id) }?.stop() }

    func start(_ id: Int) async throws {
        let node = try await Node.start(settings: Self.settings(id, directory, mode: mode).merging(settingsOf(id)) { $1 })
        state.withLock { $0[id] = node }
    }

    private func stop() async {
        await client.close()
        for id in state.withLock({ $0.keys.sorted() }) { await stop(id) }
    }

    /// - Returns: The offset.
    @discardableResult
    func produce(_ topic: String, partition: Int32 = 0, bytes: Int = 100) async throws -> Int64 {
        let batch = RecordBatchBuilder.batch(of: [
            Record(timestamp: Timestamp(1_767_225_600_000), key: nil, value: ByteBuffer(repeating: 7, count: bytes))
        ])
        let request = ProduceRequest(
            acks: -1, timeoutMs: 10_000,
            topicData: [.init(name: topic, partitionData: [.init(index: partition, records: LogSlices(batch))])])
        let answer = try await client.callLeader(of: topic, partition: partition, request, versionMax: 9) {
            (answer) throws(KafkaClientError) in
            try KafkaClientError.check(answer.responses[0].partitionResponses[0].errorCode, "produce")
        }
        return answer.responses[0].partitionResponses[0].baseOffset
    }

    func leader(_ topic: String, _ partition: Int32 = 0) async throws -> Int32? {
        try await client.refresh(topics: [topic]).topics[topic]?.partitions[partition]?.leader?.rawValue
    }

    /// Waits until `condition` holds; false after thirty seconds.
    static func eventually(_ condition: () async throws -> Bool) async rethrows -> Bool {
        let deadline = ContinuousClock.now + .seconds(30)
        while try await !condition() {
            if ContinuousClock.now > deadline { return false }
            try? await Task.sleep(for: .milliseconds(10))
        }
        return true
    }

    /// Directories of the topic's partitions under a broker's, those on their way out left aside.
    func partitionDirectories(of topic: String, under path: String) -> [String] {
        let found = FileManager.default.enumerator(atPath: path)?.compactMap { $0 as? String } ?? []
        return found.map { String($0.split(separator: "/").last ?? "") }
            .filter { $0.hasPrefix("\(topic)-") && Int($0.dropFirst(topic.count + 1)) != nil }.sorted()
    }
}
