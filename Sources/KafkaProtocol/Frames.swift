//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import LogModel
public import NIOCore

/// A request as it came from the socket: the header decoded, the body not yet.
public struct RequestFrame: Sendable {
    public var apiKey: Int16
    public var apiVersion: Int16
    public var correlationID: Int32
    public var clientID: String?
    /// What follows the header. A slice of the receive buffer.
    public var body: ByteBuffer
    /// Bytes of the whole frame without its four-byte length.
    public var frameSizeInBytes: Int

    public init(apiKey: Int16, apiVersion: Int16, correlationID: Int32, clientID: String?, body: ByteBuffer, frameSizeInBytes: Int)
    {
        self.apiKey = apiKey
        self.apiVersion = apiVersion
        self.correlationID = correlationID
        self.clientID = clientID
        self.body = body
        self.frameSizeInBytes = frameSizeInBytes
    }
}

/// A response ready for the socket: header and body, without the four-byte length, in slices so that file regions go out uncopied.
public struct ResponseFrame: Sendable {
    public var slices: [LogSlice]
    public var sizeInBytes: Int { slices.reduce(0) { $0 + $1.sizeInBytes } }

    public init(slices: [LogSlice]) { self.slices = slices }
}

/// What became of a request once its ordered part was done.
public enum RequestOutcome: Sendable {
    case respond(ResponseFrame)
    /// Answered once the work is done; answers of one connection go out in request order all the same.
    case respondLater(@Sendable () async -> FinalOutcome)
    /// Produce with acks=0 is never answered.
    case noResponse
    /// Breaks the connection, as Kafka does for bytes it cannot read and for failed acks=0 writes.
    case closeConnection(reason: String)
}

/// The end of a ``RequestOutcome/respondLater(_:)``.
public enum FinalOutcome: Sendable {
    case respond(ResponseFrame)
    case noResponse
    case closeConnection(reason: String)
}

/// Who sends: told to the dispatcher with each request.
public struct ConnectionInfo: Sendable, Hashable {
    /// Unique in the process.
    public var id: UInt64
    /// For log lines: `10.0.0.7:51234`.
    public var peer: String
    /// The listener it came in on.
    public var listener: String

    public init(id: UInt64, peer: String, listener: String) {
        self.id = id
        self.peer = peer
        self.listener = listener
    }
}

/// Takes the requests of all connections. `KafkaNetwork` is handed one and knows no handler.
public protocol RequestDispatcher: Sendable {
    /// Begins a request. Called on the connection's event loop, in the order of arrival; must not block. Whatever depends on
    /// order between requests of one connection (assigning offsets) is done before it returns.
    func dispatch(_ request: RequestFrame, from connection: ConnectionInfo) -> RequestOutcome
}
