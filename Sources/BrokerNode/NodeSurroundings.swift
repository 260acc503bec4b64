//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import ClusterMetadata
internal import Foundation
package import KafkaNetwork
package import KafkaProtocol
package import Logging
package import Metering
internal import NIOPosix
package import ObjectStore
package import RuntimeEnvironment

/// What a node stands on: time, chance, threads, disks, stores and the network. In production the machine's; a simulation gives its
/// own, so that the same node runs in a world made from a seed.
package struct NodeSurroundings: Sendable {
    package var environment: RuntimeEnvironment
    package var makeLogger: @Sendable (_ label: String) -> Logger
    package var openMetadataStore: @Sendable (BrokerConfiguration) throws -> any MetadataStore
    /// Called once per start, if a mode of the broker needs one.
    package var openObjectStore: @Sendable (BrokerConfiguration, Meters) throws -> any ObjectStore
    package var openVolume: @Sendable (VolumeRequest, Meters) throws -> Volume
    package var makeServer: @Sendable (BrokerConfiguration, any RequestDispatcher, Logger) -> any RequestServer
    package var makeTransport: @Sendable () -> any NodeTransport
    /// Whether data directories are the machine's own, and so carry the mark that tells whose they are.
    package var marksDirectories: Bool

    package init(
        environment: RuntimeEnvironment, makeLogger: @escaping @Sendable (_ label: String) -> Logger,
        openMetadataStore: @escaping @Sendable (BrokerConfiguration) throws -> any MetadataStore,
        openObjectStore: @escaping @Sendable (BrokerConfiguration, Meters) throws -> any ObjectStore,
        openVolume: @escaping @Sendable (VolumeRequest, Meters) throws -> Volume,
        makeServer: @escaping @Sendable (BrokerConfiguration, any RequestDispatcher, Logger) -> any RequestServer,
        makeTransport: @escaping @Sendable () -> any NodeTransport, marksDirectories: Bool
    ) {
        self.environment = environment
        self.makeLogger = makeLogger
        self.openMetadataStore = openMetadataStore
        self.openObjectStore = openObjectStore
        self.openVolume = openVolume
        self.makeServer = makeServer
        self.makeTransport = makeTransport
        self.marksDirectories = marksDirectories
    }
}

/// A volume that a node wants opened (``Volume/open(specification:meters:classify:onUnhealthy:)``).
package struct VolumeRequest: Sendable {
    package var specification: String
    package var classify: @Sendable (String) -> WriteClass
    package var onUnhealthy: @Sendable (_ copy: Int, _ failure: DiskError) -> Void = { _, _ in }
}

/// Takes a node's requests off the wire.
package protocol RequestServer: Sendable {
    var connectionCount: Int { get }
    /// - Returns: The port bound.
    func start(listener: String, host: String, port: Int) async throws -> Int
    /// Answers what is under way for at most `limit`.
    func stop(within limit: Duration) async
    func stopAbruptly() async
}

extension KafkaServer: RequestServer {}

/// Carries a node's calls to its peers, and can be stopped.
package protocol NodeTransport: PeerTransport {
    func stop() async
}

extension TCPPeerTransport: NodeTransport {}

extension NodeSurroundings {
    /// The machine, its network, and the stores that the configuration names.
    package static var system: NodeSurroundings {
        let environment = RuntimeEnvironment.system
        return NodeSurroundings(
            environment: environment,
            makeLogger: { label in
                var logger = Logger(label: label)
                logger.logLevel = .notice
                return logger
            },
            openMetadataStore: { try MetadataStoreURL.open($0.metadataStoreURL, clock: environment.clock) },
            openObjectStore: { configuration, meters in
                try ObjectStoreURL.open(
                    configuration.objectStoreURL, environment: environment, meters: meters,
                    credentials: ProcessInfo.processInfo.environment)
            },
            openVolume: { request, meters in
                try Volume.open(
                    specification: request.specification, meters: meters, classify: request.classify,
                    onUnhealthy: request.onUnhealthy)
            },
            makeServer: { configuration, dispatcher, logger in
                var settings = KafkaServerConfiguration()
                settings.requestBytesMax = configuration.socketRequestMaxBytes
                settings.queuedRequestBytesMax = configuration.queuedMaxRequestBytes
                settings.idleTimeout = configuration.connectionsMaxIdle
                return KafkaServer(
                    configuration: settings, group: MultiThreadedEventLoopGroup.singleton, dispatcher: dispatcher,
                    workers: environment.workers, logger: logger)
            },
            makeTransport: { TCPPeerTransport(group: MultiThreadedEventLoopGroup.singleton) },
            marksDirectories: true)
    }
}
