//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import NIOCore
internal import NIOHTTP1
internal import NIOPosix

/// The node's metrics listener: a small HTTP server for scrapers, health checks, `compare` and `trace`.
///
/// One request at a time per connection; bodies of requests are read and dropped, for no route takes one.
package final class AdminServer: Sendable {
    package struct Request: Sendable {
        package var method: String
        package var path: String
        package var query: [String: String]
    }

    package struct Answer: Sendable {
        package var status: Int
        package var contentType: String
        package var body: [UInt8]

        package static func json(_ body: [UInt8], status: Int = 200) -> Answer {
            Answer(status: status, contentType: "application/json", body: body)
        }
        package static func text(_ text: String, status: Int = 200) -> Answer {
            Answer(status: status, contentType: "text/plain; version=0.0.4; charset=utf-8", body: Array(text.utf8))
        }
    }

    package let port: Int
    private let channel: any Channel

    /// Listens on `host:port` (0: the system chooses) and answers by `route`.
    package init(
        host: String, port: Int, group: any EventLoopGroup, route: @escaping @Sendable (Request) async -> Answer
    ) async throws(ConfigurationError) {
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 64)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(AdminHandler(route: route))
                }
            }
        do {
            channel = try await bootstrap.bind(host: host, port: port).get()
        } catch {
            throw ConfigurationError(
                "metrics.listener: cannot listen on \(host):\(port) (\(error)); choose another port, or 0 for any")
        }
        self.port = channel.localAddress?.port ?? port
    }

    package func close() async { try? await channel.close().get() }
}

private final class AdminHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let route: @Sendable (AdminServer.Request) async -> AdminServer.Answer
    private var head: HTTPRequestHead?

    init(route: @escaping @Sendable (AdminServer.Request) async -> AdminServer.Answer) { self.route = route }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): self.head = head
        case .body: break
        case .end:
            guard let head else { return }
            self.head = nil
            let request = Self.request(of: head)
            let channel = context.channel
            let route = self.route
            Task {
                let answer = await route(request)
                var headers = HTTPHeaders()
                headers.add(name: "content-type", value: answer.contentType)
                headers.add(name: "content-length", value: String(answer.body.count))
                if !head.isKeepAlive { headers.add(name: "connection", value: "close") }
                let responseHead = HTTPResponseHead(
                    version: head.version, status: .init(statusCode: answer.status), headers: headers)
                channel.write(HTTPServerResponsePart.head(responseHead), promise: nil)
                channel.write(HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(bytes: answer.body))), promise: nil)
                try? await channel.writeAndFlush(HTTPServerResponsePart.end(nil)).get()
                if !head.isKeepAlive { try? await channel.close().get() }
            }
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private static func request(of head: HTTPRequestHead) -> AdminServer.Request {
        let parts = head.uri.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        var query: [String: String] = [:]
        for pair in parts.count > 1 ? parts[1].split(separator: "&") : [] {
            let halves = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            query[decoded(halves[0])] = halves.count > 1 ? decoded(halves[1]) : ""
        }
        return AdminServer.Request(method: head.method.rawValue, path: String(parts[0]), query: query)
    }

    private static func decoded(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                rest.removeFirst(2)
            } else {
                bytes.append(byte == UInt8(ascii: "+") ? UInt8(ascii: " ") : byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
