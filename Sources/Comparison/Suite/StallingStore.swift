//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import ObjectStore
internal import Synchronization

/// An S3 endpoint in memory, as much of it as the brokers use, that can be made to stop answering. It takes any signature.
final class StallingStore: Sendable {
    private struct State {
        var objects: [String: ByteBuffer] = [:]
        var uploads: [String: [Int: ByteBuffer]] = [:]
        var nextTag = 0
        var isStalled = false
        /// Answers held back while stalled.
        var held: [@Sendable () -> Void] = []
    }

    struct Request {
        var method: HTTPMethod
        var key: String
        var query: [String: String]
        var headers: HTTPHeaders
        var body: ByteBuffer
    }

    struct Answer {
        var status: HTTPResponseStatus = .ok
        var headers: [(String, String)] = []
        var body = ByteBuffer()
        /// Of a HEAD, whose answer has none of the bytes.
        var length: Int?
    }

    private let state = Mutex(State())
    private let channel: any Channel
    private let relay: Relay
    let url: String

    /// What the brokers need in their environment to sign.
    static let environment = ["AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"]

    private final class Relay: Sendable {
        let store = Mutex<StallingStore?>(nil)
    }

    init() async throws {
        let relay = Relay()
        self.relay = relay
        channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(Handler { relay.store.withLock { $0 } })
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        url = "s3://bench/run?endpoint=http://127.0.0.1:\(channel.localAddress?.port ?? 0)&region=us-east-1"
        relay.store.withLock { $0 = self }
    }

    func close() async {
        resume()
        relay.store.withLock { $0 = nil }
        try? await channel.close().get()
    }

    /// Requests that end from now on are carried out, and not answered until ``resume()``.
    func stall() { state.withLock { $0.isStalled = true } }

    func resume() {
        let held = state.withLock { state in
            defer { state.held = [] }
            state.isStalled = false
            return state.held
        }
        for answer in held { answer() }
    }

    fileprivate func answer(_ request: Request, _ send: @escaping @Sendable (Answer) -> Void) {
        let answer = state.withLock { state -> Answer? in
            let answer = Self.carryOut(request, &state)
            guard state.isStalled else { return answer }
            state.held.append { send(answer) }
            return nil
        }
        if let answer { send(answer) }
    }

    // MARK: What is asked

    private static func carryOut(_ request: Request, _ state: inout State) -> Answer {
        switch (request.method, request.key) {
        case (.GET, ""): list(request.query, state)
        case (.POST, ""): deleteAll(request.body, &state)
        case (.POST, let key): request.query["uploads"] != nil ? begin(&state) : complete(key, request.query, &state)
        case (.PUT, let key): put(key, request, &state)
        case (.GET, let key): get(key, request.headers.first(name: "range"), state)
        case (.HEAD, let key): state.objects[key].map { Answer(length: $0.readableBytes) } ?? missing
        case (.DELETE, let key): delete(key, request.query, &state)
        default: Answer(status: .methodNotAllowed)
        }
    }

    private static var missing: Answer {
        Answer(status: .notFound, body: ByteBuffer(string: "<Error><Code>NoSuchKey</Code><Message>none</Message></Error>"))
    }

    /// Not an MD5, and not mistaken for one.
    private static func tag(_ state: inout State) -> (String, String) {
        state.nextTag += 1
        return ("etag", "\"bench-\(state.nextTag)\"")
    }

    private static func put(_ key: String, _ request: Request, _ state: inout State) -> Answer {
        if let upload = request.query["uploadId"] {
            guard state.uploads[upload] != nil, let number = request.query["partNumber"].flatMap({ Int($0) }) else {
                return missing
            }
            state.uploads[upload]?[number] = request.body
            return Answer(headers: [tag(&state)])
        }
        if request.headers.contains(name: "if-none-match"), state.objects[key] != nil {
            return Answer(
                status: .preconditionFailed,
                body: ByteBuffer(string: "<Error><Code>PreconditionFailed</Code><Message>there</Message></Error>"))
        }
        state.objects[key] = request.body
        return Answer(headers: [tag(&state)])
    }

    private static func get(_ key: String, _ range: String?, _ state: State) -> Answer {
        guard let object = state.objects[key] else { return missing }
        guard let bounds = range?.dropFirst("bytes=".count).split(separator: "-").compactMap({ Int($0) }), bounds.count == 2 else {
            return Answer(body: object)
        }
        let end = min(bounds[1] + 1, object.readableBytes)
        guard bounds[0] < end, let slice = object.getSlice(at: object.readerIndex + bounds[0], length: end - bounds[0]) else {
            return Answer(status: .rangeNotSatisfiable)
        }
        return Answer(
            status: .partialContent, headers: [("content-range", "bytes \(bounds[0])-\(end - 1)/\(object.readableBytes)")],
            body: slice)
    }

    private static func begin(_ state: inout State) -> Answer {
        state.nextTag += 1
        let upload = "upload-\(state.nextTag)"
        state.uploads[upload] = [:]
        return Answer(
            body: ByteBuffer(
                string: "<InitiateMultipartUploadResult><UploadId>\(upload)</UploadId></InitiateMultipartUploadResult>"))
    }

    private static func complete(_ key: String, _ query: [String: String], _ state: inout State) -> Answer {
        guard let upload = query["uploadId"], let parts = state.uploads.removeValue(forKey: upload) else { return missing }
        var object = ByteBuffer()
        for (_, part) in parts.sorted(by: { $0.key < $1.key }) { object.writeImmutableBuffer(part) }
        state.objects[key] = object
        return Answer(body: ByteBuffer(string: "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>"))
    }

    private static func delete(_ key: String, _ query: [String: String], _ state: inout State) -> Answer {
        if let upload = query["uploadId"] { state.uploads[upload] = nil } else { state.objects[key] = nil }
        return Answer(status: .noContent)
    }

    private static func deleteAll(_ body: ByteBuffer, _ state: inout State) -> Answer {
        for part in String(buffer: body).components(separatedBy: "<Key>").dropFirst() {
            guard let key = part.components(separatedBy: "</Key>").first else { continue }
            state.objects[key.replacingOccurrences(of: "&amp;", with: "&")] = nil
        }
        return Answer(body: ByteBuffer(string: "<DeleteResult></DeleteResult>"))
    }

    private static func list(_ query: [String: String], _ state: State) -> Answer {
        let (prefix, after) = (query["prefix"] ?? "", query["start-after"] ?? "")
        let limit = query["max-keys"].flatMap { Int($0) } ?? 1_000
        let keys = state.objects.keys.filter { $0.hasPrefix(prefix) && after.utf8.lexicographicallyPrecedes($0.utf8) }
            .sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        let contents = keys.prefix(limit).map { key in
            "<Contents><Key>\(PercentEncoding.encode(key))</Key><Size>\(state.objects[key]!.readableBytes)</Size></Contents>"
        }
        return Answer(
            body: ByteBuffer(
                string: "<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>\(keys.count > limit)</IsTruncated>"
                    + "\(contents.joined())</ListBucketResult>"))
    }
}

/// One connection's requests, one at a time.
private final class Handler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let store: @Sendable () -> StallingStore?
    private var head: HTTPRequestHead?
    private var body = ByteBuffer()

    init(_ store: @escaping @Sendable () -> StallingStore?) { self.store = store }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
            body = ByteBuffer()
        case .body(let part): body.writeImmutableBuffer(part)
        case .end:
            guard let head, let store = store() else { return context.close(promise: nil) }
            let channel = context.channel
            store.answer(request(head)) { answer in
                var headers = HTTPHeaders(answer.headers)
                headers.add(name: "content-length", value: String(answer.length ?? answer.body.readableBytes))
                let responseHead = HTTPResponseHead(version: head.version, status: answer.status, headers: headers)
                channel.write(HTTPServerResponsePart.head(responseHead), promise: nil)
                if answer.body.readableBytes > 0, head.method != .HEAD {
                    channel.write(HTTPServerResponsePart.body(.byteBuffer(answer.body)), promise: nil)
                }
                channel.writeAndFlush(HTTPServerResponsePart.end(nil), promise: nil)
            }
            self.head = nil
            body = ByteBuffer()
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    /// `/BUCKET/KEY?QUERY`
    private func request(_ head: HTTPRequestHead) -> StallingStore.Request {
        let components = URLComponents(string: head.uri)
        let path = (components?.path ?? "").split(separator: "/", maxSplits: 1)
        var query: [String: String] = [:]
        for item in components?.queryItems ?? [] { query[item.name] = item.value ?? "" }
        return StallingStore.Request(
            method: head.method, key: path.count > 1 ? String(path[1]) : "", query: query, headers: head.headers, body: body)
    }
}
