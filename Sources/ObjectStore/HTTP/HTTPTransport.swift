//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import Metering
package import NIOCore

/// One HTTP request as it goes over the wire.
package struct HTTPRequest: Sendable {
    /// What it is counted as.
    package var kind: ObjectRequest
    package var method: String
    package var url: String
    /// Without `host` and `content-length`, which follow from the rest. Names in lower case.
    package var headers: [(name: String, value: String)]
    package var body: [ByteBuffer]
    /// A longer answer is cut off and fails.
    package var responseBytesMax: Int64

    package init(
        kind: ObjectRequest, method: String, url: String, headers: [(name: String, value: String)] = [], body: [ByteBuffer] = [],
        responseBytesMax: Int64
    ) {
        self.kind = kind
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.responseBytesMax = responseBytesMax
    }
}

package struct HTTPResponse: Sendable {
    package var status: Int
    /// Names in lower case.
    package var headers: [(name: String, value: String)]
    package var body: ByteBuffer
    /// Body bytes of the request that were handed over, those sent again included.
    package var bodyBytesSent: Int64

    package init(
        status: Int, headers: [(name: String, value: String)] = [], body: ByteBuffer = ByteBuffer(), bodyBytesSent: Int64 = 0
    ) {
        self.status = status
        self.headers = headers
        self.body = body
        self.bodyBytesSent = bodyBytesSent
    }

    package func header(_ name: String) -> String? { headers.last { $0.name == name }?.value }
}

/// Why there is no answer.
package struct HTTPTransportError: Error, Sendable, CustomStringConvertible {
    package enum Code: Sendable, Hashable {
        /// No connection: the name, the port or the network.
        case unreachable
        case timedOut
        /// The connection broke on the way.
        case broken
        /// The other side is not who it says, or speaks no TLS that we accept.
        case untrusted
        /// More bytes than the request allows.
        case tooLarge
        case cancelled
        case other
    }
    package var code: Code
    package var description: String
    /// False if the server cannot have seen the request.
    package var mayHaveTakenEffect: Bool
    package var bodyBytesSent: Int64
    package var bodyBytesReceived: Int64

    package init(
        _ code: Code, _ description: String, mayHaveTakenEffect: Bool, bodyBytesSent: Int64 = 0, bodyBytesReceived: Int64 = 0
    ) {
        self.code = code
        self.description = description
        self.mayHaveTakenEffect = mayHaveTakenEffect
        self.bodyBytesSent = bodyBytesSent
        self.bodyBytesReceived = bodyBytesReceived
    }
}

/// Sends requests, each exactly once: retries are its caller's.
package protocol HTTPTransport: Sendable {
    func send(_ request: HTTPRequest) async throws(HTTPTransportError) -> HTTPResponse
    /// Requests under way fail. Returns when threads and connections are gone.
    func close() async
}

/// Counts what passes: the one place where every request to an endpoint is really sent, retries included.
package struct MeteredTransport: HTTPTransport {
    private let transport: any HTTPTransport
    private let meters: Meters

    package init(_ transport: any HTTPTransport, meters: Meters) {
        self.transport = transport
        self.meters = meters
    }

    package func send(_ request: HTTPRequest) async throws(HTTPTransportError) -> HTTPResponse {
        meters.count(request.kind)
        do throws(HTTPTransportError) {
            let response = try await transport.send(request)
            meters.count(response.bodyBytesSent, as: .objectPut)
            meters.count(Int64(response.body.readableBytes), as: .objectGet)
            // 404, 412 and 416 answer a question.
            if response.status >= 400, ![404, 412, 416].contains(response.status) { meters.objectRequestErrors.add() }
            return response
        } catch {
            meters.count(error.bodyBytesSent, as: .objectPut)
            meters.count(error.bodyBytesReceived, as: .objectGet)
            meters.objectRequestErrors.add()
            throw error
        }
    }

    package func close() async { await transport.close() }
}
