//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import KafkaProtocol
package import LogModel
package import NIOCore
package import RuntimeEnvironment

/// A client of a whole cluster: finds brokers, leaders and the controller, keeps one connection to each broker, and tries again
/// what may yet succeed. For administration and slow paths; a load generator takes connections and drives them itself.
package actor KafkaClient {
    package let bootstrap: [BrokerAddress]
    package let clientID: String
    package let requestTimeout: Duration
    /// How long a call is tried again before its last error is thrown.
    package let retryLimit: Duration

    private let group: any EventLoopGroup
    private let clock: any Clock
    private var view = ClusterView()
    private var connections: [BrokerAddress: Task<KafkaConnection, any Error>] = [:]
    /// The last broker that answered when any would do.
    private var preferred: BrokerAddress?
    private var isClosed = false

    private static let firstBackoff: Duration = .milliseconds(20)
    private static let lastBackoff: Duration = .milliseconds(500)

    package init(
        bootstrap: [BrokerAddress], clientID: String = "ninefold", group: any EventLoopGroup, clock: any Clock,
        requestTimeout: Duration = .seconds(30), retryLimit: Duration = .seconds(30)
    ) {
        self.bootstrap = bootstrap
        self.clientID = clientID
        self.group = group
        self.clock = clock
        self.requestTimeout = requestTimeout
        self.retryLimit = retryLimit
    }

    /// Closes all connections. Later calls fail.
    package func close() async {
        isClosed = true
        let open = connections.values
        connections = [:]
        for task in open { if let connection = try? await task.value { await connection.close() } }
    }

    // MARK: Connections

    /// The connection to `address`, opened if there is none.
    package func connection(to address: BrokerAddress) async throws(KafkaClientError) -> KafkaConnection {
        guard !isClosed else { throw KafkaClientError(.connectionClosed, "the client has been closed") }
        if let task = connections[address] {
            if let connection = try? await task.value, connection.isOpen { return connection }
            if connections[address] == task { connections[address] = nil }
        }
        // Another call may have opened one while we waited.
        let task = connections[address] ?? open(address)
        do { return try await task.value } catch {
            if connections[address] == task { connections[address] = nil }
            throw error as? KafkaClientError ?? KafkaClientError(.connectFailed, "cannot connect to \(address): \(error)")
        }
    }

    private func open(_ address: BrokerAddress) -> Task<KafkaConnection, any Error> {
        let task = Task { [group, clientID] in
            try await KafkaConnection.connect(to: address, group: group, clientID: clientID)
        }
        connections[address] = task
        return task
    }

    package func connection(to broker: BrokerID) async throws(KafkaClientError) -> KafkaConnection {
        if view.brokers[broker] == nil { _ = try await refresh(topics: []) }
        guard let address = view.brokers[broker] else {
            throw KafkaClientError(.broker(.brokerNotAvailable), "broker \(broker) is not in the cluster's metadata")
        }
        return try await connection(to: address)
    }

    /// A connection to any broker that answers.
    package func anyConnection() async throws(KafkaClientError) -> KafkaConnection {
        try await onAnyBroker { (connection) throws(KafkaClientError) in connection }
    }

    /// Calls `body` with a connection to one broker after the other, those known from metadata after those given at the start,
    /// until it succeeds. The broker that did is asked first the next time.
    private func onAnyBroker<Value: Sendable>(
        _ body: (KafkaConnection) async throws(KafkaClientError) -> Value
    ) async throws(KafkaClientError) -> Value {
        var last = KafkaClientError(.connectFailed, "no broker address is known")
        var addresses = bootstrap + view.brokers.values.filter { !bootstrap.contains($0) }
        if let preferred, let index = addresses.firstIndex(of: preferred) { addresses.swapAt(0, index) }
        for address in addresses {
            do throws(KafkaClientError) {
                let value = try await body(connection(to: address))
                preferred = address
                return value
            } catch {
                guard error.isRetriable else { throw error }
                last = error
            }
        }
        throw last
    }

    // MARK: Metadata

    /// The cluster as last heard of.
    package var cachedView: ClusterView { view }

    /// Asks for metadata.
    ///
    /// - Parameter topics: Nil for all, empty for brokers only.
    package func refresh(topics: [String]?) async throws(KafkaClientError) -> ClusterView {
        var request = MetadataRequest(allowAutoTopicCreation: false)
        request.topics = topics?.map { MetadataRequest.MetadataRequestTopic(name: $0) }
        let timeout = requestTimeout
        let answer = try await onAnyBroker { (connection) async throws(KafkaClientError) in
            try await connection.send(request, versionMax: 12, timeout: timeout)
        }
        view.merge(ClusterView(answer))
        return view
    }

    /// Waits until every partition of `topics` has a leader, and returns the cluster's picture.
    package func waitForLeaders(of topics: [String: Int]) async throws(KafkaClientError) -> ClusterView {
        try await retrying { () async throws(KafkaClientError) in
            let view = try await self.refresh(topics: Array(topics.keys))
            for (topic, partitions) in topics {
                for partition in 0..<Int32(partitions) where view.leader(of: topic, partition: partition) == nil {
                    throw KafkaClientError(.broker(.leaderNotAvailable), "\(topic)-\(partition) has no leader yet")
                }
            }
            return view
        }
    }

    // MARK: Calls

    /// Sends to any broker, and tries again while the failure is one that may pass.
    package func callAny<Request: KafkaRequest>(
        _ request: Request, versionMax: Int16 = .max, check: @escaping @Sendable (Request.Response) throws(KafkaClientError) -> Void
    ) async throws(KafkaClientError) -> Request.Response {
        try await retrying { () async throws(KafkaClientError) in
            let answer = try await self.anyConnection().send(request, versionMax: versionMax, timeout: self.requestTimeout)
            try check(answer)
            return answer
        }
    }

    /// Sends to the controller as metadata names it.
    package func callController<Request: KafkaRequest>(
        _ request: Request, versionMax: Int16 = .max, check: @escaping @Sendable (Request.Response) throws(KafkaClientError) -> Void
    ) async throws(KafkaClientError) -> Request.Response {
        try await retrying { () async throws(KafkaClientError) in
            if self.view.controller == nil { _ = try await self.refresh(topics: []) }
            let connection: KafkaConnection
            if let controller = self.view.controller {
                connection = try await self.connection(to: controller)
            } else {
                connection = try await self.anyConnection()
            }
            let answer = try await connection.send(request, versionMax: versionMax, timeout: self.requestTimeout)
            try check(answer)
            return answer
        }
    }

    /// Sends to the partition's leader as metadata names it.
    package func callLeader<Request: KafkaRequest>(
        of topic: String, partition: Int32, _ request: Request, versionMax: Int16 = .max,
        check: @escaping @Sendable (Request.Response) throws(KafkaClientError) -> Void
    ) async throws(KafkaClientError) -> Request.Response {
        try await retrying(topics: [topic]) { () async throws(KafkaClientError) in
            if self.view.leader(of: topic, partition: partition) == nil { _ = try await self.refresh(topics: [topic]) }
            guard let leader = self.view.leader(of: topic, partition: partition) else {
                throw KafkaClientError(.broker(.leaderNotAvailable), "\(topic)-\(partition) has no leader")
            }
            let answer = try await self.connection(to: leader).send(request, versionMax: versionMax, timeout: self.requestTimeout)
            try check(answer)
            return answer
        }
    }

    /// Calls `body` until it succeeds, fails for good, or ``retryLimit`` is over; asks for metadata between the tries.
    private func retrying<Value>(
        topics: [String] = [], _ body: () async throws(KafkaClientError) -> Value
    ) async throws(KafkaClientError) -> Value {
        let deadline = clock.now() + retryLimit
        var backoff = Self.firstBackoff
        while true {
            do throws(KafkaClientError) { return try await body() } catch {
                guard error.isRetriable, !isClosed, clock.now() + backoff < deadline else { throw error }
                do { try await clock.sleep(for: backoff) } catch {
                    throw KafkaClientError(.connectionClosed, "the call was cancelled")
                }
                backoff = min(backoff * 2, Self.lastBackoff)
                // What failed may have failed because our picture is old. If this fails too, the next try tells.
                _ = try? await refresh(topics: topics)
            }
        }
    }
}
