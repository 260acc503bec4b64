//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import BrokerFrontend
internal import ClusterMetadata
internal import Foundation
internal import KafkaNetwork
internal import KafkaProtocol
package import LogEngine
internal import LogModel
internal import Logging
package import Metering
internal import NIOPosix
internal import ObjectStore
internal import RuntimeEnvironment
internal import Synchronization

/// One running broker.
package final class Node: Sendable {
    package let configuration: BrokerConfiguration
    package let meters: Meters
    /// What clients are told to connect to.
    package let host: String
    package let port: Int
    package var metricsPort: Int? { state.withLock(\.admin)?.port }

    private let parts: NodeParts
    private let state = Mutex(State())

    private struct State {
        var admin: AdminServer?
        var isServing = false
        var isStopped = false
    }

    init(parts: NodeParts, host: String, port: Int) {
        self.parts = parts
        configuration = parts.configuration
        meters = parts.meters
        self.host = host
        self.port = port
    }

    package var nodeID: Int32 { configuration.nodeID.rawValue }
    package var isServing: Bool { state.withLock { $0.isServing && !$0.isStopped } && !parts.registration.isFenced }

    func serve(admin: AdminServer?) {
        state.withLock {
            $0.admin = admin
            $0.isServing = true
        }
    }

    /// Returns the reason when the node can go on no longer (its lease was lost, or its last log directory); nil when it was stopped.
    package func waitUntilFailed() async -> String? {
        await parts.registration.waitUntilEnded()
        guard !state.withLock(\.isStopped) else { return nil }
        return parts.failure.reason
            ?? "broker \(configuration.nodeID) lost its lease in the metadata store (\(configuration.metadataStoreURL)): it was stalled for longer than broker.session.timeout.ms; start it again"
    }

    /// A controlled stop: hands over what can be handed over, makes everything acknowledged durable, leaves the cluster.
    package func stop() async {
        let admin = state.withLock { state -> AdminServer?? in
            guard !state.isStopped else { return nil }
            state.isStopped = true
            return .some(state.admin)
        }
        guard let admin else { return }
        await parts.stop()
        await admin?.close()
    }

    // MARK: What the metrics listener tells

    package func log(topic: String, partition: Int32) -> (any PartitionLog)? {
        guard let id = parts.cache.current.partitionID(topic: topic, partition) else { return nil }
        return parts.registry.log(for: id)
    }

    /// Replicas that are being added to partitions led here.
    package var copies: [CopyReport] { parts.registry.replicated.reports(parts.cache.current) }

    package func settle() async throws -> [String: Bool] {
        for engine in parts.registry.engines { try await engine.settle() }
        return ["settled": true]
    }

    package func footprint(includingObjects: Bool) async throws -> [String: FootprintReport] {
        var sum = Footprint()
        for engine in parts.registry.engines {
            sum.add(try await engine.footprint())
            if includingObjects, let sharing = engine as? any ObjectFootprintProviding {
                sum.add(try await sharing.objectFootprint())
            }
        }
        let basis = parts.objectStore?.copies.basis.rawValue ?? "measured"
        return Dictionary(
            uniqueKeysWithValues: sum.entries.map { medium, entry in
                (
                    medium.rawValue,
                    FootprintReport(
                        physicalBytes: entry.physicalBytes, recordBytes: entry.recordBytes, count: entry.count,
                        basis: medium == .object || medium == .garbage ? basis : "measured")
                )
            })
    }

    var prometheusText: String {
        let logs = parts.registry.engines.flatMap(\.logs)
        let led = logs.filter { $0.assignment.leader == configuration.nodeID }
        return Prometheus.text(
            meters: meters, leaders: led.count, partitions: logs.count,
            underReplicated: led.filter { $0.assignment.inSyncReplicas.count < $0.assignment.targetReplicas.count }.count,
            isController: parts.cache.current.controller?.record.broker == configuration.nodeID,
            connections: parts.server.connectionCount, fetchSessions: parts.frontend.fetchSessionCounts, copies: copies,
            copyLag: parts.registry.copyLag)
    }
}

/// An engine whose objects belong to no single broker.
protocol ObjectFootprintProviding {
    func objectFootprint() async throws(LogError) -> Footprint
}
