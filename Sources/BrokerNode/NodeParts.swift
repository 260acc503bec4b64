//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import BrokerFrontend
internal import ClusterMetadata
internal import LogEngine
internal import Logging
internal import Metering
internal import ObjectStore
internal import RuntimeEnvironment
internal import Synchronization

/// What a running node is made of, and the order in which it stops.
struct NodeParts: Sendable {
    let configuration: BrokerConfiguration
    let meters: Meters
    let logger: Logger
    let store: any MetadataStore
    let cache: MetadataCache
    let registration: BrokerRegistration
    let lease: LeaseWatch
    let failure: NodeFailure
    let objectStore: (any ObjectStore)?
    let registry: EngineRegistry
    let frontend: Frontend
    let server: any RequestServer
    let transport: any NodeTransport
    let follower: AssignmentFollower
    let duties: NodeDuties
    let controller: Controller
    /// Runs as long as the controller does.
    let campaign: Task<Void, Never>
    /// nil where nothing is to be audited.
    let audit: Task<Void, Never>?

    func stop() async {
        await handOver()
        audit?.cancel()
        campaign.cancel()
        await campaign.value
        await audit?.value
        duties.stop()
        follower.stop()
        // Waiting fetches and joins are answered first, or the server would wait for them.
        await frontend.shutdown()
        await server.stop(within: .seconds(5))
        lease.stop()
        for engine in registry.engines { await engine.shutdown() }
        await registration.deregister()
        await cache.stop()
        await transport.stop()
        await objectStore?.close()
        await store.close()
    }

    /// Lets others take over what this broker leads, as far as they can, while it still serves.
    private func handOver() async {
        do { try await registration.beginDraining() } catch { return }
        let broker = configuration.nodeID
        let left = await cache.waitUntil(timeout: .seconds(10)) { Handover.remaining(of: broker, in: $0).isEmpty }
        guard left == nil, !registration.isFenced else { return }
        logger.warning(
            "Stopping although not every partition has been handed over",
            metadata: ["partitions": "\(Handover.remaining(of: broker, in: cache.current).count)"])
    }
}

/// Why a broker ends by itself, other than for want of its lease.
final class NodeFailure: Sendable {
    private let stored = Mutex<String?>(nil)

    func set(_ reason: String) { stored.withLock { $0 = reason } }
    var reason: String? { stored.withLock { $0 } }
}
