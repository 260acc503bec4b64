//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogModel
package import NIOCore
package import RuntimeEnvironment
internal import Synchronization

/// Broker-to-broker requests over TCP: one connection per peer and channel, opened at the first call and again after it broke.
package final class TCPPeerTransport: PeerTransport {
    private struct Key: Hashable {
        var address: BrokerAddress
        var channel: String
    }

    private struct State {
        var connections: [Key: Task<KafkaConnection, any Error>] = [:]
        /// Those of ``connections`` that have come about.
        var open: [Key: KafkaConnection] = [:]
        /// By channel: all its connections are on one loop.
        var executors: [String: EventLoopTaskExecutor] = [:]
        var isStopped = false
    }

    private let group: any EventLoopGroup
    private let connectTimeout: Duration
    private let state = Mutex(State())

    package init(group: any EventLoopGroup, connectTimeout: Duration = .seconds(5)) {
        self.group = group
        self.connectTimeout = connectTimeout
    }

    package func call(
        host: String, port: Int, channel: String, frame: [ByteBuffer], timeout: Duration
    ) async throws(PeerTransportError) -> ByteBuffer {
        let key = Key(address: BrokerAddress(host: host, port: port), channel: channel)
        // Key, version and correlation id are the first eight bytes of any request header.
        guard let correlationID = Self.correlationID(of: frame) else {
            throw PeerTransportError("a request to \(key.address) without a header")
        }
        do {
            let connection: KafkaConnection
            if let open = state.withLock({ $0.open[key] }), open.isOpen {
                connection = open
            } else {
                connection = try await self.connection(key)
            }
            return try await connection.call(frame.map { LogSlice.bytes($0) }, correlationID: correlationID, timeout: timeout)
        } catch {
            throw PeerTransportError("\(error)")
        }
    }

    package func executor(of channel: String) -> (any TaskExecutor)? { loopExecutor(of: channel) }

    private func loopExecutor(of channel: String) -> EventLoopTaskExecutor {
        state.withLock { state in
            if let executor = state.executors[channel] { return executor }
            let executor = EventLoopTaskExecutor(group.next())
            state.executors[channel] = executor
            return executor
        }
    }

    /// Closes all connections; calls under way fail, later ones too.
    package func stop() async {
        let open = state.withLock { state in
            state.isStopped = true
            state.open = [:]
            defer { state.connections = [:] }
            return Array(state.connections.values)
        }
        for task in open {
            task.cancel()
            if let connection = try? await task.value { await connection.close() }
        }
    }

    private static func correlationID(of frame: [ByteBuffer]) -> Int32? {
        guard let first = frame.first else { return nil }
        if let id = first.getInteger(at: first.readerIndex + 4, as: Int32.self) { return id }
        var head = ByteBuffer()
        for part in frame where head.readableBytes < 8 { head.writeImmutableBuffer(part) }
        return head.getInteger(at: 4, as: Int32.self)
    }

    private func connection(_ key: Key) async throws -> KafkaConnection {
        while true {
            let task =
                try state.withLock { state throws(KafkaClientError) in
                    if state.isStopped { throw KafkaClientError(.connectionClosed, "the peer transport has been stopped") }
                    if let task = state.connections[key] { return task }
                    return nil
                } ?? begin(key)
            do {
                let connection = try await task.value
                if connection.isOpen {
                    state.withLock { state in if state.connections[key] == task { state.open[key] = connection } }
                    return connection
                }
                forget(key, task)
            } catch {
                forget(key, task)
                throw error
            }
        }
    }

    private func begin(_ key: Key) throws(KafkaClientError) -> Task<KafkaConnection, any Error> {
        let eventLoop = loopExecutor(of: key.channel).eventLoop
        return try state.withLock { state throws(KafkaClientError) in
            if state.isStopped { throw KafkaClientError(.connectionClosed, "the peer transport has been stopped") }
            if let task = state.connections[key] { return task }
            let task = Task { [connectTimeout] in
                // What brokers of one cluster say to each other needs no negotiation.
                try await KafkaConnection.connect(
                    to: key.address, group: eventLoop, clientID: nil, timeout: connectTimeout, negotiates: false)
            }
            state.connections[key] = task
            return task
        }
    }

    private func forget(_ key: Key, _ task: Task<KafkaConnection, any Error>) {
        state.withLock { state in
            guard state.connections[key] == task else { return }
            state.connections[key] = nil
            state.open[key] = nil
        }
    }
}
