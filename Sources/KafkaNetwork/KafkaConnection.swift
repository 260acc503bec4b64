//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import KafkaProtocol
package import LogModel
package import NIOCore
internal import NIOPosix
internal import Synchronization

/// A client's connection to one broker. Requests are pipelined; answers come in their order.
package final class KafkaConnection: Sendable {
    package let address: BrokerAddress
    package let eventLoop: any EventLoop
    package let clientID: String?
    /// What the broker announced by ApiVersions; empty where it was not asked.
    package let announcedVersions: [Int16: ClosedRange<Int16>]

    private let channel: any Channel
    private let handler: NIOLoopBound<ClientConnectionHandler>
    private static let lastCorrelationID = Atomic<Int32>(0)
    /// Answers are at most a fetch of what was asked for; this is a guard against nonsense only.
    private static let answerBytesMax = Int(Int32.max)

    private init(
        _ address: BrokerAddress, channel: any Channel, handler: NIOLoopBound<ClientConnectionHandler>, clientID: String?,
        announced: [Int16: ClosedRange<Int16>]
    ) {
        self.address = address
        self.eventLoop = channel.eventLoop
        self.clientID = clientID
        self.announcedVersions = announced
        self.channel = channel
        self.handler = handler
    }

    /// Connects, and asks for the broker's versions unless `negotiates` is false.
    package static func connect(
        to address: BrokerAddress, group: any EventLoopGroup, clientID: String?, timeout: Duration = .seconds(10),
        negotiates: Bool = true
    ) async throws(KafkaClientError) -> KafkaConnection {
        let eventLoop = group.next()
        let opened: (any Channel, NIOLoopBound<ClientConnectionHandler>)
        do {
            opened = try await ClientBootstrap(group: eventLoop)
                .connectTimeout(timeout.timeAmount)
                .channelOption(.socketOption(.tcp_nodelay), value: 1)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let receiver = FrameReceiver(frameBytesMax: answerBytesMax)
                        try channel.receiveFrames(into: receiver)
                        try channel.pipeline.syncOperations.addHandler(ClientConnectionHandler(peer: address, receiver: receiver))
                    }
                }
                .connect(host: address.host, port: address.port)
                .flatMapThrowing { channel in
                    let handler = try channel.pipeline.syncOperations.handler(type: ClientConnectionHandler.self)
                    return (channel, NIOLoopBound(handler, eventLoop: channel.eventLoop))
                }
                .get()
        } catch {
            throw KafkaClientError(.connectFailed, "cannot connect to \(address): \(reason(of: error))")
        }
        let connection = KafkaConnection(address, channel: opened.0, handler: opened.1, clientID: clientID, announced: [:])
        guard negotiates else { return connection }
        do throws(KafkaClientError) {
            let announced = try await connection.askVersions(timeout: timeout)
            return KafkaConnection(address, channel: opened.0, handler: opened.1, clientID: clientID, announced: announced)
        } catch {
            await connection.close()
            throw error
        }
    }

    private static func reason(of error: any Error) -> String {
        if let error = error as? NIOConnectionError {
            if let first = error.connectionErrors.first { return reason(of: first.error) }
            return "the host's address cannot be found"
        }
        return "\(error)"
    }

    private func askVersions(timeout: Duration) async throws(KafkaClientError) -> [Int16: ClosedRange<Int16>] {
        let request = ApiVersionsRequest(clientSoftwareName: "ninefold", clientSoftwareVersion: "1")
        var answer = try await send(request, version: 3, timeout: timeout)
        if answer.errorCode == .unsupportedVersion { answer = try await send(request, version: 0, timeout: timeout) }
        guard answer.errorCode == .none else {
            throw KafkaClientError(.broker(answer.errorCode), "\(address) refused ApiVersions: \(answer.errorCode)")
        }
        var announced: [Int16: ClosedRange<Int16>] = [:]
        for api in answer.apiKeys where api.minVersion <= api.maxVersion { announced[api.apiKey] = api.minVersion...api.maxVersion }
        return announced
    }

    /// The newest version of `Request` that the broker and we both know, at most `versionMax`.
    package func version<Request: KafkaRequest>(
        of request: Request.Type, versionMax: Int16 = .max
    ) throws(KafkaClientError) -> Int16 {
        guard let announced = announcedVersions[Request.apiKey] else {
            throw KafkaClientError(.unsupportedVersion, "\(address) does not offer \(Request.name)")
        }
        let version = min(announced.upperBound, Request.validVersions.upperBound, versionMax)
        guard version >= max(announced.lowerBound, Request.validVersions.lowerBound) else {
            throw KafkaClientError(
                .unsupportedVersion,
                "\(address) offers \(Request.name) \(announced.lowerBound) to \(announced.upperBound), none of which we speak")
        }
        return version
    }

    /// Sends `request` and decodes its answer.
    ///
    /// - Parameter version: Nil for the newest in common, at most `versionMax`.
    package func send<Request: KafkaRequest>(
        _ request: Request, version: Int16? = nil, versionMax: Int16 = .max, timeout: Duration = .seconds(30)
    ) async throws(KafkaClientError) -> Request.Response {
        let version = if let version { version } else { try self.version(of: Request.self, versionMax: versionMax) }
        let correlationID = Self.nextCorrelationID()
        let frame: [LogSlice]
        do throws(CodecError) {
            frame = try encodeRequest(request, version: version, correlationID: correlationID, clientID: clientID)
        } catch {
            throw KafkaClientError(.malformed, "\(Request.name) cannot be written in version \(version): \(error)")
        }
        let answer = try await call(frame, correlationID: correlationID, timeout: timeout)
        do throws(CodecError) {
            return try decodeResponse(to: Request.self, version: version, frame: answer).response
        } catch {
            throw KafkaClientError(
                .malformed, "the answer of \(address) to \(Request.name) version \(version) cannot be read: \(error)")
        }
    }

    /// Sends a whole frame (header and body, without length) and returns the answer's.
    package func call(
        _ frame: [LogSlice], correlationID: Int32, timeout: Duration
    ) async throws(KafkaClientError) -> ByteBuffer {
        let result: Result<ByteBuffer, KafkaClientError> = await withCheckedContinuation { continuation in
            let send = { @Sendable in
                self.handler.value.send(frame, correlationID: correlationID, timeout: timeout) {
                    continuation.resume(returning: $0)
                }
            }
            if eventLoop.inEventLoop { send() } else { eventLoop.execute(send) }
        }
        return try result.get()
    }

    /// Ids are unique in the process, so that a log of both ends can be read together.
    package static func nextCorrelationID() -> Int32 { lastCorrelationID.wrappingAdd(1, ordering: .relaxed).newValue & Int32.max }

    /// Ends the connection; what is not answered fails.
    package func close() async { try? await channel.close() }

    /// Succeeds when the connection has ended, for whatever reason.
    package var closed: EventLoopFuture<Void> { channel.closeFuture }
    package var isOpen: Bool { channel.isActive }

    // MARK: On the event loop

    /// Sends without a task or a hop. Only on ``eventLoop``; `completion` is called there, once.
    package func sendOnLoop(
        _ frame: [LogSlice], correlationID: Int32, timeout: Duration,
        completion: @escaping (Result<ByteBuffer, KafkaClientError>) -> Void
    ) {
        handler.value.send(frame, correlationID: correlationID, timeout: timeout, completion: completion)
    }

    /// Sends what is not answered (Produce with acks=0). Only on ``eventLoop``.
    package func sendUnansweredOnLoop(_ frame: [LogSlice]) { handler.value.sendUnanswered(frame) }

    /// Whether the socket takes what is sent. Only on ``eventLoop``.
    package var isWritableOnLoop: Bool { handler.value.isWritable }
}
