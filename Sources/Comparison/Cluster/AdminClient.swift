//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import Foundation
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix

/// Asks a broker's metrics listener. One connection per request: these are few.
package struct AdminClient: Sendable {
    package struct Failure: Error, CustomStringConvertible {
        package var description: String
    }

    package let host: String
    package let port: Int

    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// From `http://host:port`; nil if it is not that.
    package init?(url: String) {
        guard let parts = URLComponents(string: url), let host = parts.host, let port = parts.port else { return nil }
        self.init(host: host, port: port)
    }

    /// The body of a 200 answer.
    package func request(_ method: String, _ path: String, timeout: Duration = .seconds(10)) async throws -> Data {
        let promise = MultiThreadedEventLoopGroup.singleton.any().makePromise(of: (Int, [UInt8]).self)
        let channel: any Channel
        do {
            channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .connectTimeout(.seconds(2))
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHTTPClientHandlers()
                        try channel.pipeline.syncOperations.addHandler(AnswerCollector(promise))
                    }
                }
                .connect(host: host, port: port).get()
        } catch {
            promise.fail(error)
            throw Failure(description: "broker metrics listener \(host):\(port): \(error)")
        }
        let scheduled = channel.eventLoop.scheduleTask(
            in: .nanoseconds(timeout.components.seconds * 1_000_000_000 + timeout.components.attoseconds / 1_000_000_000)
        ) {
            promise.fail(Failure(description: "broker metrics listener \(host):\(port)\(path): no answer in \(timeout)"))
        }
        defer { scheduled.cancel() }
        var head = HTTPRequestHead(version: .http1_1, method: HTTPMethod(rawValue: method), uri: path)
        head.headers.add(name: "host", value: "\(host):\(port)")
        head.headers.add(name: "content-length", value: "0")
        head.headers.add(name: "connection", value: "close")
        channel.write(HTTPClientRequestPart.head(head), promise: nil)
        channel.writeAndFlush(HTTPClientRequestPart.end(nil), promise: nil)
        defer { channel.close(promise: nil) }
        let (status, body) = try await promise.futureResult.get()
        guard status == 200 else {
            throw Failure(
                description:
                    "broker metrics listener \(host):\(port)\(path): HTTP \(status) \(String(decoding: body.prefix(300), as: UTF8.self))"
            )
        }
        return Data(body)
    }

    package func get<Value: Decodable>(_ path: String, as type: Value.Type, timeout: Duration = .seconds(10)) async throws -> Value
    {
        try JSONDecoder().decode(type, from: await request("GET", path, timeout: timeout))
    }
}

private final class AnswerCollector: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart

    private let promise: EventLoopPromise<(Int, [UInt8])>
    private var status = 0
    private var body: [UInt8] = []

    init(_ promise: EventLoopPromise<(Int, [UInt8])>) { self.promise = promise }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): status = Int(head.status.code)
        case .body(let part): body += part.readableBytesView
        case .end: promise.succeed((status, body))
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        promise.fail(error)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        promise.fail(AdminClient.Failure(description: "the broker closed the connection before it had answered"))
    }
}
