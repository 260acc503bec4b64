//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// Limits of a ``KafkaServer``. Kafka's names stand beside those that Kafka has.
package struct KafkaServerConfiguration: Sendable, Hashable {
    /// `socket.request.max.bytes`: a longer frame closes its connection.
    package var requestBytesMax = 100 << 20
    /// Requests of one connection begun and not yet answered; the next is not looked at before.
    package var inflightRequestsPerConnectionMax = 64
    /// Bytes of those requests. One request is always admitted, whatever its size.
    package var inflightBytesPerConnectionMax = 16 << 20
    /// `queued.max.request.bytes`: the same over all connections.
    package var queuedRequestBytesMax = 256 << 20
    /// Answers handed to the channel and not yet taken by the socket: above the first figure a connection's requests wait, below
    /// the second they go on.
    package var unsentBytesHigh = 1 << 20
    package var unsentBytesLow = 256 << 10
    /// `connections.max.idle.ms`: a connection without traffic and without a request under way is closed.
    package var idleTimeout: Duration = .seconds(600)
    /// `max.connections`, of one server.
    package var connectionsMax = 100_000
    /// `max.connections.per.ip`.
    package var connectionsPerAddressMax = 100_000
    /// Connections the kernel may hold until they are accepted.
    package var backlog: Int32 = 1024

    package init() {}
}
