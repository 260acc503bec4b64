//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation

/// The brokers of one run: ours, started for it, or others that run already.
struct SuiteCluster: Sendable {
    var bootstrap: String
    var pids: [Int32]
    /// nil if they are not ours.
    var own: BrokerCluster?

    var brokers: [BrokerCluster.Broker] { own?.brokers ?? [] }

    func counters() async throws -> [String: Int64] { try await own?.counters() ?? [:] }
}

extension SuiteRun {
    /// Calls `body` with the cluster of a turn, which is started for it and ends with it.
    ///
    /// - Parameters:
    ///   - environment: Of the brokers' processes.
    ///   - properties: Over those of the plan.
    func withCluster<Value: Sendable>(
        _ turn: Turn, environment: [String: String] = [:], properties: [String: String] = [:],
        _ body: (SuiteCluster) async throws -> Value
    ) async throws -> Value {
        if turn.mode == SuitePlan.againstName {
            guard let against = plan.against else { throw Failure("no cluster to go against") }
            return try await body(SuiteCluster(bootstrap: against.bootstrap, pids: against.pids, own: nil))
        }
        let directory = "\(turn.directory)/data"
        var settings = BrokerCluster.Settings(
            executable: plan.executable, brokers: turn.row.brokers, directory: directory, runDirectory: "\(turn.directory)/run",
            properties: plan.brokerProperties(turn.row, mode: turn.mode, directory: directory).merging(properties) { $1 })
        settings.environment = environment
        let cluster = BrokerCluster(settings)
        do {
            try await cluster.start()
            let value = try await body(
                SuiteCluster(bootstrap: cluster.bootstrap, pids: cluster.brokers.map(\.process.pid), own: cluster))
            await cluster.end()
            return value
        } catch {
            // Whoever has ended is why, more often than what the others then saw.
            let ended = cluster.brokers.filter { !$0.process.isRunning }.map { broker in
                "\(broker.process.name) had ended, its log: \(cluster.lastLine(ofBroker: broker.id))"
            }
            await cluster.end()
            throw ended.isEmpty ? error : Failure("\(error); " + ended.joined(separator: "; "))
        }
    }
}

extension BrokerCluster {
    /// SIGKILL to all: their data goes with them, and an orderly end would take its time.
    func end() async { for broker in brokers { await kill(broker.id) } }
}
