//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import NIOCore

/// Why a call to another broker gave no answer. The request may or may not have been carried out.
public struct PeerTransportError: Error, Sendable, CustomStringConvertible {
    public var description: String
    public init(_ description: String) { self.description = description }
}

/// Kafka requests from broker to broker: TCP in production, a seeded queue with faults in a simulation.
public protocol PeerTransport: Sendable {
    /// Sends `frame` (header and body, without the length) and returns the answer's frame.
    ///
    /// Calls to one peer with the same `channel` are answered in order over one connection.
    func call(host: String, port: Int, channel: String, frame: [ByteBuffer], timeout: Duration) async throws(PeerTransportError)
        -> ByteBuffer

    /// Where calls of `channel` are answered: a task that prefers it is resumed there without a change of thread. nil for anywhere.
    func executor(of channel: String) -> (any TaskExecutor)?
}

extension PeerTransport {
    public func executor(of channel: String) -> (any TaskExecutor)? { nil }
}
