//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ArgumentParser
internal import BrokerNode
internal import Foundation

struct DevCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dev", abstract: "A local cluster for any Kafka client, in one process.",
        discussion: "Data stays in --data-dir between runs; without it, a temporary directory is used and removed at the end.")

    @Option(help: "How many brokers.") var brokers = 3
    @Option(help: "isr, tiered, shared or memory; a topic may choose another at its creation.") var storageMode = "isr"
    @Option(help: "Where the data lies.") var dataDir: String?
    @Option(help: "Port of the first broker; the others follow it.") var port = 9092
    @Option(help: "Settings of every broker: KEY=VALUE; may be repeated.") var override: [String] = []

    func validate() throws {
        guard (1...9).contains(brokers) else { throw ValidationError("--brokers \(brokers): allowed is 1 to 9") }
        guard (0...65_526).contains(port) else { throw ValidationError("--port \(port): allowed is 0 (any) to 65526") }
        guard BrokerConfiguration.storageModes.contains(storageMode) else {
            throw ValidationError(
                "--storage-mode \(storageMode): allowed are \(BrokerConfiguration.storageModes.joined(separator: ", "))")
        }
        _ = try override.map(Self.setting)
    }

    private static func setting(_ pair: String) throws(ValidationError) -> (key: String, value: String) {
        guard let separator = pair.firstIndex(of: "="), separator > pair.startIndex else {
            throw ValidationError("--override \(pair): wants KEY=VALUE")
        }
        return (String(pair[..<separator]), String(pair[pair.index(after: separator)...]))
    }

    func run() async throws {
        let directory: String
        if let dataDir {
            directory = URL(fileURLWithPath: dataDir).standardizedFileURL.path
        } else {
            directory = FileManager.default.temporaryDirectory.appendingPathComponent("ninefold-dev-\(getpid())").path
        }
        defer { if dataDir == nil { try? FileManager.default.removeItem(atPath: directory) } }
        let replicas = min(3, brokers)
        let changes = try override.map(Self.setting)
        var nodes: [Node] = []
        do {
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            for id in 1...brokers {
                var settings = [
                    "node.id": String(id), "listeners": "PLAINTEXT://127.0.0.1:\(port == 0 ? 0 : port + id - 1)",
                    "metrics.listener": "http://127.0.0.1:0", "log.dirs": "\(directory)/broker-\(id)",
                    "wal.path": "\(directory)/wal/broker-\(id)", "metadata.store.url": "sqlite://\(directory)/metadata.db",
                    "object.store.url": "file://\(directory)/objects", "storage.mode": storageMode,
                    "default.replication.factor": String(replicas), "min.insync.replicas": String(min(2, replicas)),
                    "offsets.topic.replication.factor": String(replicas), "offsets.topic.num.partitions": "8",
                    "group.initial.rebalance.delay.ms": "0", "wal.capacity.bytes": String(64 << 20),
                    "wal.upload.threshold.bytes": String(16 << 20),
                ]
                for (key, value) in changes { settings[key] = value }
                nodes.append(try await Node.start(settings: settings))
            }
        } catch {
            for node in nodes { await node.stop() }
            throw CommandFailure("\(error)")
        }
        let bootstrap = nodes.map { "\($0.host):\($0.port)" }.joined(separator: ",")
        print("ninefold: \(brokers) brokers, storage.mode=\(storageMode), data in \(directory)")
        print("bootstrap.servers=\(bootstrap)")
        print("try: kcat -b \(nodes[0].host):\(nodes[0].port) -L      stop: Ctrl-C")
        fflush(nil)
        for node in nodes {
            Task {
                guard let reason = await node.waitUntilFailed() else { return }
                FileHandle.standardError.write(Data("ninefold: \(reason)\n".utf8))
            }
        }
        await Interrupt.wait()
        print("stopping")
        for node in nodes.reversed() { await node.stop() }
    }
}
