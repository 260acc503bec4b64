//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Glibc
package import KafkaProtocol
package import Logging
package import NIOCore
internal import NIOPosix
package import RuntimeEnvironment
internal import Synchronization

/// Listens, and hands the requests of all connections to a dispatcher.
package final class KafkaServer: Sendable {
    private struct State {
        var listeners: [any Channel] = []
        var connections: [UInt64: any Channel] = [:]
        var perAddress: [String: Int] = [:]
        var isStopped = false
        var isDrained: EventLoopPromise<Void>?
    }

    private let group: any EventLoopGroup
    private let shared: ServerConnectionHandler.Shared
    private let state = Mutex(State())
    private static let nextConnectionID = Atomic<UInt64>(1)

    package init(
        configuration: KafkaServerConfiguration = KafkaServerConfiguration(), group: any EventLoopGroup,
        dispatcher: any RequestDispatcher, workers: any WorkerPool, logger: Logger
    ) {
        precondition(
            configuration.unsentBytesLow <= configuration.unsentBytesHigh, "a connection goes on at or below where it stopped")
        self.group = group
        self.shared = ServerConnectionHandler.Shared(
            configuration: configuration, dispatcher: dispatcher,
            memory: RequestMemory(bytesMax: configuration.queuedRequestBytesMax),
            worker: workers.makeWorker(named: "net-read"), logger: logger)
    }

    /// Connections open now.
    package var connectionCount: Int { state.withLock { $0.connections.count } }
    /// Bytes of requests begun and not yet answered, and of frames being received.
    package var requestBytes: Int { shared.memory.bytes }

    /// Opens a listener. More than one may be.
    ///
    /// - Parameters:
    ///   - listener: Its name, told to the dispatcher with each request.
    ///   - port: 0 for any that is free.
    /// - Returns: The port bound.
    package func start(listener: String = "PLAINTEXT", host: String, port: Int) async throws(KafkaServerError) -> Int {
        let configuration = shared.configuration
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: configuration.backlog)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.socketOption(.tcp_nodelay), value: 1)
            .childChannelOption(
                .writeBufferWaterMark,
                value: .init(low: configuration.unsentBytesLow, high: configuration.unsentBytesHigh)
            )
            .childChannelInitializer { [weak self] channel in
                channel.eventLoop.makeCompletedFuture { try self?.adopt(channel, listener: listener) }
            }
        let channel: any Channel
        do { channel = try await bootstrap.bind(host: host, port: port).get() } catch {
            throw KafkaServerError(binding: "\(host):\(port)", failed: error)
        }
        let isStopped = state.withLock { state in
            if !state.isStopped { state.listeners.append(channel) }
            return state.isStopped
        }
        if isStopped {
            try? await channel.close()
            throw KafkaServerError(code: .stopped, description: "listener \(host):\(port): the server has been stopped")
        }
        return channel.localAddress?.port ?? port
    }

    /// Takes no new connection or request, answers what is under way for at most `limit`, then closes.
    package func stop(within limit: Duration = .seconds(10)) async {
        let drained = group.next().makePromise(of: Void.self)
        let connections = await closeListeners(drained)
        for channel in connections { channel.pipeline.fireUserInboundEventTriggered(ServerConnectionHandler.DrainEvent()) }
        let timer = drained.futureResult.eventLoop.scheduleTask(in: limit.timeAmount) { drained.succeed(()) }
        try? await drained.futureResult.get()
        timer.cancel()
        await closeConnections()
    }

    /// Closes everything at once, as a killed process would.
    package func stopAbruptly() async {
        let drained = group.next().makePromise(of: Void.self)
        _ = await closeListeners(drained)
        await closeConnections()
        try? await drained.futureResult.get()
    }

    /// - Parameter drained: Succeeds once the last connection has gone.
    private func closeListeners(_ drained: EventLoopPromise<Void>) async -> [any Channel] {
        let (listeners, connections, isFirst) = state.withLock { state in
            let isFirst = !state.isStopped
            state.isStopped = true
            defer { state.listeners = [] }
            if isFirst, !state.connections.isEmpty { state.isDrained = drained }
            return (state.listeners, Array(state.connections.values), isFirst)
        }
        if !isFirst || connections.isEmpty { drained.succeed(()) }
        for listener in listeners { try? await listener.close() }
        return connections
    }

    private func closeConnections() async {
        let connections = state.withLock { Array($0.connections.values) }
        for channel in connections { try? await channel.close() }
    }

    // MARK: Connections

    private func adopt(_ channel: any Channel, listener: String) throws {
        let id = Self.nextConnectionID.wrappingAdd(1, ordering: .relaxed).oldValue
        let address = channel.remoteAddress
        let host = address?.ipAddress ?? ""
        let peer = address.map { "\($0.ipAddress ?? "unknown"):\($0.port ?? 0)" } ?? "unknown"
        guard admit(channel, id: id, host: host, peer: peer) else { throw ConnectionRefused() }
        channel.closeFuture.whenComplete { [weak self] _ in self?.forget(id, host: host) }
        let receiver = FrameReceiver(frameBytesMax: shared.configuration.requestBytesMax)
        try channel.receiveFrames(into: receiver)
        let connection = ConnectionInfo(id: id, peer: peer, listener: listener)
        try channel.pipeline.syncOperations.addHandler(
            ServerConnectionHandler(shared: shared, connection: connection, receiver: receiver))
    }

    private func admit(_ channel: any Channel, id: UInt64, host: String, peer: String) -> Bool {
        let refusal: String? = state.withLock { state in
            if state.isStopped { return "the server is stopping" }
            if state.connections.count >= shared.configuration.connectionsMax { return "max.connections reached" }
            if state.perAddress[host, default: 0] >= shared.configuration.connectionsPerAddressMax {
                return "max.connections.per.ip reached"
            }
            state.connections[id] = channel
            state.perAddress[host, default: 0] += 1
            return nil
        }
        guard let refusal else { return true }
        shared.logger.warning("connection refused", metadata: ["peer": "\(peer)", "reason": "\(refusal)"])
        return false
    }

    private func forget(_ id: UInt64, host: String) {
        let drained = state.withLock { state -> EventLoopPromise<Void>? in
            guard state.connections.removeValue(forKey: id) != nil else { return nil }
            state.perAddress[host, default: 1] -= 1
            if state.perAddress[host] == 0 { state.perAddress[host] = nil }
            guard state.isStopped, state.connections.isEmpty else { return nil }
            defer { state.isDrained = nil }
            return state.isDrained
        }
        drained?.succeed(())
    }
}

/// Makes NIO close a connection that was not admitted.
private struct ConnectionRefused: Error {}

extension KafkaServerError {
    fileprivate init(binding address: String, failed error: any Error) {
        let code: Code =
            switch (error as? IOError)?.errnoCode {
            case EADDRINUSE: .addressInUse
            case EADDRNOTAVAIL: .addressNotAvailable
            case EACCES: .permissionDenied
            default: .other
            }
        let reason =
            switch code {
            case .addressInUse: "the port is in use by another process; stop it or set another port in `listeners`"
            case .addressNotAvailable: "this machine has no such address; correct the host in `listeners`"
            case .permissionDenied: "permission denied; ports below 1024 need a privilege"
            default: "\(error)"
            }
        self.init(code: code, description: "cannot listen on \(address): \(reason)")
    }
}
