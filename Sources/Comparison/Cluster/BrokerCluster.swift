//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation
package import Metering
internal import Synchronization

/// Broker processes of one cluster, started from `server.properties` files of our making.
package final class BrokerCluster: Sendable {
    package struct Settings: Sendable {
        /// The `ninefold` program.
        package var executable: String
        package var brokers: Int
        /// Data of the cluster; made if missing.
        package var directory: String
        /// Configurations and logs of the processes, outside what is measured.
        package var runDirectory: String
        /// Settings of every broker beside those that name the broker.
        package var properties: [String: String]
        /// Of every broker's process, beside what it inherits. `{broker}` stands for the broker's id.
        package var environment: [String: String] = [:]

        package init(executable: String, brokers: Int, directory: String, runDirectory: String, properties: [String: String]) {
            self.executable = executable
            self.brokers = brokers
            self.directory = directory
            self.runDirectory = runDirectory
            self.properties = properties
        }
    }

    package struct Broker: Sendable {
        package var id: Int32
        package var host: String
        package var port: Int
        package var admin: AdminClient
        package var process: ChildProcess
    }

    package struct Failure: Error, CustomStringConvertible {
        package var description: String
    }

    package let settings: Settings
    private let state = Mutex<[Int32: Broker]>([:])

    package init(_ settings: Settings) { self.settings = settings }

    package var brokers: [Broker] { state.withLock { $0.values.sorted { $0.id < $1.id } } }
    package var bootstrap: String { brokers.map { "\($0.host):\($0.port)" }.joined(separator: ",") }

    /// Starts all brokers and waits until each serves.
    package func start() async throws {
        for directory in [settings.directory, settings.runDirectory] {
            do {
                try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            } catch {
                throw Failure(
                    description:
                        "\(directory): cannot make the directory (\(error.localizedDescription)); choose another --data-dir")
            }
        }
        try await withThrowingTaskGroup(of: Broker.self) { group in
            for id in 1...settings.brokers { group.addTask { try await self.startBroker(Int32(id)) } }
            for try await broker in group { state.withLock { $0[broker.id] = broker } }
        }
    }

    private func startBroker(_ id: Int32) async throws -> Broker {
        var properties = settings.properties
        properties["node.id"] = String(id)
        properties["listeners"] = "PLAINTEXT://127.0.0.1:0"
        properties["metrics.listener"] = "http://127.0.0.1:0"
        for key in ["log.dirs", "wal.path"] {
            properties[key] = properties[key]?.replacingOccurrences(of: "{broker}", with: String(id))
        }
        let readyFile = "\(settings.runDirectory)/broker-\(id).ready"
        let configuration = "\(settings.runDirectory)/broker-\(id).properties"
        let log = "\(settings.runDirectory)/broker-\(id).log"
        try? FileManager.default.removeItem(atPath: readyFile)
        let text = properties.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: "\n") + "\n"
        try text.write(toFile: configuration, atomically: true, encoding: .utf8)
        let process = try ChildProcess(
            name: "broker \(id)", executable: settings.executable,
            arguments: ["serve", "--config", configuration, "--ready-file", readyFile],
            environment: settings.environment.mapValues { $0.replacingOccurrences(of: "{broker}", with: String(id)) }, logPath: log)
        for _ in 0..<3_000 {
            if let ready = FileManager.default.contents(atPath: readyFile),
                let ports = try? JSONDecoder().decode(ReadyFile.self, from: ready)
            {
                return Broker(
                    id: id, host: ports.host, port: ports.port, admin: AdminClient(host: ports.host, port: ports.metricsPort),
                    process: process)
            }
            guard process.isRunning else {
                let end = process.end.map { ", \($0)" } ?? ""
                throw Failure(description: "broker \(id) did not start: \(lastLine(of: log))\(end) (log: \(log))")
            }
            try await Task.sleep(for: .milliseconds(10))
        }
        process.signal(SIGKILL)
        throw Failure(description: "broker \(id) was not ready in 30 s: \(lastLine(of: log)) (log: \(log))")
    }

    /// SIGKILL: no goodbye. Returns once the process is gone.
    package func kill(_ id: Int32) async {
        guard let broker = state.withLock({ $0.removeValue(forKey: id) }) else { return }
        broker.process.signal(SIGKILL)
        _ = await broker.process.waitForExit()
    }

    /// Starts a broker again on what it left.
    package func restart(_ id: Int32) async throws {
        let broker = try await startBroker(id)
        state.withLock { $0[id] = broker }
    }

    package func stop() async {
        let all = state.withLock { brokers -> [Broker] in
            defer { brokers = [:] }
            return Array(brokers.values)
        }
        await withTaskGroup(of: Void.self) { group in
            for broker in all { group.addTask { _ = await broker.process.terminate(limit: .seconds(20)) } }
        }
    }

    /// Sums of the brokers' counters.
    package func counters() async throws -> [String: Int64] {
        var sum: [String: Int64] = [:]
        for broker in brokers {
            for (name, value) in try await broker.admin.get("/v1/counters", as: [String: Int64].self) {
                sum[name, default: 0] += value
            }
        }
        return sum
    }

    /// Bytes by medium: each broker's own, and the shared object store's once.
    package func footprint() async throws -> [String: FootprintReport] {
        var sum: [String: FootprintReport] = [:]
        for (index, broker) in brokers.enumerated() {
            let path = "/v1/footprint?objects=\(index == 0 ? "true" : "false")"
            for (medium, entry) in try await broker.admin.get(path, as: [String: FootprintReport].self, timeout: .seconds(60)) {
                sum[medium, default: FootprintReport()].add(entry)
            }
        }
        return sum
    }

    /// Waits until uploads, compaction and deletions have caught up on all brokers.
    package func settle() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for broker in brokers {
                group.addTask { _ = try await broker.admin.request("POST", "/v1/settle", timeout: .seconds(240)) }
            }
            try await group.waitForAll()
        }
    }

    /// Brokers that have ended although nobody stopped them: `broker 2 has ended (signal 9)`.
    package var unexpectedEnds: [String] {
        brokers.compactMap { broker in broker.process.end.map { "broker \(broker.id) has ended (\($0))" } }
    }

    package var cpuSeconds: Double? {
        let each = brokers.map { ChildProcess.cpuSeconds(of: $0.process.pid) }
        return each.contains { $0 == nil } ? nil : each.compactMap { $0 }.reduce(0, +)
    }

    func lastLine(ofBroker id: Int32) -> String { lastLine(of: "\(settings.runDirectory)/broker-\(id).log") }

    private func lastLine(of path: String) -> String {
        let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
        return text.split(separator: "\n").last.map(String.init) ?? "no output"
    }
}
