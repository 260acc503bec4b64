//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import BrokerFrontend
internal import ClusterMetadata
internal import Foundation
internal import KafkaNetwork
internal import KafkaProtocol
internal import LogEngine
internal import LogModel
internal import Logging
internal import Metering
internal import NIOPosix
internal import ObjectStore
internal import RuntimeEnvironment
internal import Synchronization

extension Node {
    /// Starts a broker: opens its stores, joins the cluster, recovers its data, serves.
    ///
    /// - Returns: Once requests are answered.
    /// - Throws: One line that says what is wrong, where, and what to do. Nothing is left running.
    package static func start(settings: [String: String], in surroundings: NodeSurroundings = .system) async throws -> Node {
        let configuration = try BrokerConfiguration(
            ConfigurationValues(settings), alsoKnown: FrontendConfiguration.knownKeys + BrokerConfigs.definitions.map(\.name))
        let logger = surroundings.makeLogger("ninefold.broker.\(configuration.nodeID)")
        for key in configuration.unknownKeys {
            logger.warning("Unknown setting, ignored", metadata: ["key": "\(key)"])
        }
        return try await NodeStart(
            configuration: configuration, settings: settings, surroundings: surroundings, logger: logger
        ).run()
    }
}

/// The steps of a start, undone in reverse when one fails.
private struct NodeStart {
    let configuration: BrokerConfiguration
    let settings: [String: String]
    let surroundings: NodeSurroundings
    let logger: Logger
    let meters = Meters()

    var environment: RuntimeEnvironment { surroundings.environment }

    func run() async throws -> Node {
        _ = RuntimeEnvironment.raiseDescriptorLimit()
        // All that can be found wrong without touching anything comes first.
        _ = try FrontendConfiguration(file: configuration.given)
        try BrokerConfiguration.checkObjectStoreURL(configuration.objectStoreURL)
        let unusable = surroundings.marksDirectories ? try DataDirectory.claim(configuration, logger) : []
        let store = try surroundings.openMetadataStore(configuration)
        let gate = DispatcherGate()
        let server = surroundings.makeServer(configuration, gate, logger)
        do {
            return try await run(store: store, server: server, gate: gate, unusableDirectories: unusable)
        } catch {
            await server.stopAbruptly()
            await store.close()
            throw error
        }
    }

    private func run(
        store: any MetadataStore, server: any RequestServer, gate: DispatcherGate, unusableDirectories: Set<Int>
    ) async throws -> Node {
        let operations = MetadataOperations(
            store: store, randomness: environment.randomness, placement: { EngineRegistry.placement(of: $0) })
        let clusterID = try await operations.openCluster().clusterID
        var unusable = unusableDirectories
        if surroundings.marksDirectories {
            unusable = try DataDirectory.bind(configuration, to: clusterID, without: unusable, logger)
        }
        let objectStore = try await openObjectStore()

        let port = try await server.start(
            listener: configuration.listener.name, host: configuration.listener.host, port: configuration.listener.port)
        let advertised = configuration.advertisedListener
        let host =
            advertised?.host
            ?? (configuration.listener.host == "0.0.0.0" ? ProcessInfo.processInfo.hostName : configuration.listener.host)
        let advertisedPort = advertised?.port ?? port

        // The metrics listener answers from the first moment; until the node is there, that it is not ready.
        let nodeBox = NodeBox()
        let admin: AdminServer? =
            if let listener = configuration.metricsListener {
                try await AdminServer(
                    host: listener.host, port: listener.port, group: MultiThreadedEventLoopGroup.singleton
                ) { request in
                    guard let node = nodeBox.node else { return .text("starting\n", status: 503) }
                    return await AdminRoutes(node: node).answer(request)
                }
            } else { nil }

        let metricsURL = admin.map { "http://\(configuration.metricsListener?.host ?? host):\($0.port)" }
        do {
            let node = try await join(
                store: store, operations: operations, objectStore: objectStore, server: server, gate: gate, host: host,
                port: advertisedPort, metricsURL: metricsURL, unusableDirectories: unusable)
            node.serve(admin: admin)
            nodeBox.node = node
            return node
        } catch {
            await admin?.close()
            throw error
        }
    }

    private func openObjectStore() async throws -> (any ObjectStore)? {
        let isNamed = settings["object.store.url"] != nil
        let wanting: Set<String> = ["tiered", "shared"]
        guard wanting.contains(configuration.storageMode) || (isNamed && !wanting.isDisjoint(with: configuration.enabledModes))
        else {
            return nil
        }
        let objectStore = try surroundings.openObjectStore(configuration, meters)
        try await ObjectStoreProbe.check(objectStore, environment: environment)
        return ReportingObjectStore(objectStore, clock: environment.clock, logger: logger)
    }

    private func auditDuty(objectStore: any ObjectStore, metadata: any MetadataStore, controller: Controller) -> AuditDuty? {
        guard configuration.objectAuditInterval > .zero else { return nil }
        return AuditDuty(
            store: objectStore, metadata: metadata, interval: configuration.objectAuditInterval,
            grace: configuration.objectAuditGrace, clock: environment.clock, logger: logger,
            isController: { controller.isActive })
    }

    private func join(
        store: any MetadataStore, operations: MetadataOperations, objectStore: (any ObjectStore)?,
        server: any RequestServer, gate: DispatcherGate, host: String, port: Int, metricsURL: String?, unusableDirectories: Set<Int>
    ) async throws -> Node {
        let cache = MetadataCache(store: store, clock: environment.clock, logger: logger)
        try await cache.start()
        let timing = BrokerRegistration.Timing(
            sessionTimeout: configuration.sessionTimeout, heartbeatInterval: min(.seconds(2), configuration.sessionTimeout / 5))
        let registration = try await BrokerRegistration.register(
            BrokerRecord(
                id: configuration.nodeID, epoch: .none, host: host, port: port, rack: configuration.rack, metricsURL: metricsURL),
            in: store, clock: environment.clock, timing: timing, logger: logger)
        do {
            try await OwnRecovery.waitUntilOver(registration, cache: cache, logger: logger)
            let transport = surroundings.makeTransport()
            let assembly = EngineAssembly(
                configuration: configuration, surroundings: surroundings, meters: meters, logger: logger, store: store,
                cache: cache,
                registration: registration, objectStore: objectStore, transport: transport,
                unusableDirectories: unusableDirectories)
            let (registry, volumes) = try await assembly.build()
            for engine in registry.engines { try await engine.start() }
            let lease = LeaseWatch(registration, registry: registry, logger: logger)

            var file = configuration.given
            // Tools ask the broker where its metrics are; port 0 would tell them nothing.
            file["metrics.listener"] = metricsURL
            file["listeners"] = "\(configuration.listener.name)://\(host):\(port)"
            let frontend = Frontend(
                brokerID: configuration.nodeID, configuration: try FrontendConfiguration(file: file),
                logs: NodeLogProvider(registry: registry, configuration: configuration, objectStoreURL: objectStore?.url),
                metadata: cache,
                operations: operations, environment: environment, meters: meters, logger: logger)
            let given = configuration.given
            let brokerID = configuration.nodeID
            let doubts = ReplicaDoubts(brokerID: brokerID, operations: operations, logger: logger)
            try await doubts.look(in: cache.current, registry.replicated)
            let follower = AssignmentFollower(
                brokerID: brokerID, epoch: registration.epoch, registry: registry, doubts: doubts, cache: cache,
                clock: environment.clock, logger: logger,
                configurationOf: { topic in
                    let image = cache.current
                    var defaults = given
                    for configs in [image.brokerConfigs[nil], image.brokerConfigs[brokerID]] {
                        defaults.merge(configs ?? [:]) { $1 }
                    }
                    return try TopicConfigs.logConfiguration(topic: topic, brokerDefaults: defaults)
                },
                setOffline: { [store] partition, isOffline in
                    _ = try await PartitionStateStore(store: store).setOffline(partition, replica: brokerID, isOffline)
                },
                applied: { partition, log in frontend.partitionChanged(partition, log: log) })
            let duties = NodeDuties(
                brokerID: brokerID, registry: registry, cache: cache, operations: operations, volumes: volumes,
                clock: environment.clock,
                logger: logger)
            registry.replicated.reportFailures(
                to: PartitionStateStore(store: store), broker: brokerID, clock: environment.clock, logger: logger)
            registry.replicated.follow(cache.current, broker: brokerID, file: given)
            registry.followTierLimits(cache.current, broker: brokerID, file: given)
            let failure = NodeFailure()
            registry.replicated.whenExhausted { [logger] reason in
                failure.set(
                    "broker \(brokerID) ends, for no log directory is left that works (\(reason)); mend log.dirs and start it again"
                )
                logger.critical("The last log directory failed: the broker gives up its lease and ends")
                lease.fence()
                Task { await registration.release() }
            }
            _ = cache.onChange { update in
                if update.brokerConfigsChanged {
                    registry.replicated.follow(update.new, broker: brokerID, file: given)
                    registry.followTierLimits(update.new, broker: brokerID, file: given)
                }
                follower.changed(update)
                if update.dutiesChanged || !update.changedTopics.isEmpty { duties.look() }
            }
            try await duties.clearStrays()
            follower.start()
            duties.look()
            let controller = Controller(
                registration: registration, store: store, cache: cache,
                planner: ControllerPlanner(
                    placement: { EngineRegistry.placement(of: $0) },
                    allowsUncleanElection: frontend.configuration.allowsUncleanElection,
                    rebalance: frontend.configuration.leaderRebalance, handsOver: { EngineRegistry.handsOver($0) }),
                clock: environment.clock,
                logger: logger)
            let campaign = Task { await controller.run() }
            let audit = objectStore.flatMap { auditDuty(objectStore: $0, metadata: store, controller: controller) }
            gate.open(frontend, unless: { registration.isFenced })
            let parts = NodeParts(
                configuration: configuration, meters: meters, logger: logger, store: store, cache: cache,
                registration: registration,
                lease: lease, failure: failure, objectStore: objectStore, registry: registry, frontend: frontend, server: server,
                transport: transport,
                follower: follower, duties: duties, controller: controller, campaign: campaign,
                audit: audit.map { duty in Task { await duty.run() } })
            return Node(parts: parts, host: host, port: port)
        } catch {
            await registration.deregister()
            await cache.stop()
            throw error
        }
    }
}

/// Holds requests off until the frontend is there, and again once the lease may have ended: others lead the partitions then, and what
/// this broker believes of them (who leads, which sequence number comes next) may be long past. A client that is refused asks another.
private final class DispatcherGate: RequestDispatcher {
    private struct Open: Sendable {
        var dispatcher: any RequestDispatcher
        var isFenced: @Sendable () -> Bool
    }
    private let open = Mutex<Open?>(nil)

    func open(_ dispatcher: any RequestDispatcher, unless isFenced: @escaping @Sendable () -> Bool) {
        open.withLock { $0 = Open(dispatcher: dispatcher, isFenced: isFenced) }
    }

    func dispatch(_ request: RequestFrame, from connection: ConnectionInfo) -> RequestOutcome {
        guard let open = open.withLock({ $0 }) else { return .closeConnection(reason: "the broker is starting") }
        guard !open.isFenced() else { return .closeConnection(reason: "the broker has lost its lease") }
        return open.dispatcher.dispatch(request, from: connection)
    }
}

private final class NodeBox: Sendable {
    private let stored = Mutex<Node?>(nil)
    var node: Node? {
        get { stored.withLock { $0 } }
        set { stored.withLock { $0 = newValue } }
    }
}
