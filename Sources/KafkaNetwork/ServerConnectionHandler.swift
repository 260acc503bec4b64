//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import KafkaProtocol
internal import LogModel
internal import Logging
internal import NIOCore
internal import RuntimeEnvironment

/// One client's connection: frames in, answers out in the order of the requests, and reading that stops when too much is under way.
///
/// The decisions are in ``FrameAssembler``, ``ResponseQueue`` and ``RequestMemory``; here they are carried out. Everything runs on
/// the channel's event loop. A request is looked at only while ``isHeldBack`` is false; otherwise its bytes stay in the
/// assembler, the channel is not read, and TCP tells the client.
final class ServerConnectionHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = IOData
    typealias OutboundOut = IOData

    /// What all connections of a server share.
    struct Shared: Sendable {
        var configuration: KafkaServerConfiguration
        var dispatcher: any RequestDispatcher
        var memory: RequestMemory
        var worker: any Worker
        var logger: Logger
    }

    /// Sent down the pipeline by the server: answer what is under way, then close.
    struct DrainEvent: Sendable {}

    private let shared: Shared
    private let connection: ConnectionInfo
    private let receiver: FrameReceiver
    private var executor: EventLoopTaskExecutor?
    private var context: ChannelHandlerContext?
    private var responses = ResponseQueue()
    private let writer = FrameWriter()

    /// Bytes charged to the broker's memory for the frame that is being received.
    private var chargedForNext: Int?
    private var isWaitingForMemory = false
    /// The channel asked for bytes while we were held back.
    private var isReadOwed = false
    /// Nothing more is taken from this client: it is drained, or what it sent cannot be read.
    private var isRefusing = false
    private var isFlushScheduled = false
    private var isInReadCycle = false
    private var lastActivity = NIODeadline.uptimeNanoseconds(0)
    private var idleTimer: Scheduled<Void>?

    init(shared: Shared, connection: ConnectionInfo, receiver: FrameReceiver) {
        self.shared = shared
        self.connection = connection
        self.receiver = receiver
    }

    // MARK: Life

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        executor = EventLoopTaskExecutor(context.eventLoop)
        if context.channel.isActive { channelBecameActive(context) }
    }

    func channelActive(context: ChannelHandlerContext) {
        channelBecameActive(context)
        context.fireChannelActive()
    }

    private func channelBecameActive(_ context: ChannelHandlerContext) {
        guard idleTimer == nil else { return }
        lastActivity = context.eventLoop.now
        armIdleTimer(context, at: lastActivity + shared.configuration.idleTimeout.timeAmount)
    }

    func channelInactive(context: ChannelHandlerContext) {
        isRefusing = true
        idleTimer?.cancel()
        if let charged = chargedForNext { shared.memory.release(charged) }
        chargedForNext = nil
        self.context = nil
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A reset by the peer is how many clients leave.
        shared.logger.debug("connection failed", metadata: ["peer": "\(connection.peer)", "reason": "\(error)"])
        context.close(promise: nil)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard event is DrainEvent else { return context.fireUserInboundEventTriggered(event) }
        isRefusing = true
        closeIfAnswered(context)
    }

    // MARK: Requests

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        lastActivity = context.eventLoop.now
        isInReadCycle = true
        receiver.assembler.append(unwrapInboundIn(data))
        takeRequests(context)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        isInReadCycle = false
        flush(context)
        context.fireChannelReadComplete()
    }

    func read(context: ChannelHandlerContext) {
        if isHeldBack(context) { isReadOwed = true } else { context.read() }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        resume(context)
        context.fireChannelWritabilityChanged()
    }

    private func isHeldBack(_ context: ChannelHandlerContext) -> Bool {
        isRefusing || isWaitingForMemory || !context.channel.isWritable
            || responses.count >= shared.configuration.inflightRequestsPerConnectionMax
            || responses.requestBytes >= shared.configuration.inflightBytesPerConnectionMax
    }

    /// Goes on where requests or reads were held back, if they need be no longer.
    private func resume(_ context: ChannelHandlerContext) {
        guard !isHeldBack(context) else { return }
        takeRequests(context)
        if isReadOwed, !isHeldBack(context) {
            isReadOwed = false
            context.read()
        }
    }

    private func takeRequests(_ context: ChannelHandlerContext) {
        while !isHeldBack(context) {
            do throws(FrameError) {
                guard try chargeNextFrame(context), let frame = try receiver.assembler.nextFrame() else { return }
                begin(frame, context)
            } catch {
                return refuse("\(error)", context)
            }
        }
    }

    /// - Returns: False if the broker holds too much to receive the next frame; asked again when it does not.
    private func chargeNextFrame(_ context: ChannelHandlerContext) throws(FrameError) -> Bool {
        guard chargedForNext == nil, let bytes = try receiver.assembler.nextFrameBytes() else { return true }
        let handler = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let eventLoop = context.eventLoop
        isWaitingForMemory = !shared.memory.charge(bytes) {
            eventLoop.execute {
                let (handler, context) = handler.value
                handler.isWaitingForMemory = false
                if handler.context != nil { handler.resume(context) }
            }
        }
        if !isWaitingForMemory { chargedForNext = bytes }
        return !isWaitingForMemory
    }

    private func begin(_ frame: ByteBuffer, _ context: ChannelHandlerContext) {
        let bytes = frame.readableBytes
        chargedForNext = nil
        let ticket = responses.begin(requestBytes: bytes)
        let request: RequestFrame
        do throws(CodecError) {
            request = try RequestFrame(parsing: frame)
        } catch {
            return finish(ticket, .closeConnection(reason: "a request header that cannot be read (\(error))"), context)
        }
        switch shared.dispatcher.dispatch(request, from: connection) {
        case .respond(let response): finish(ticket, .respond(response), context)
        case .noResponse: finish(ticket, .noResponse, context)
        case .closeConnection(let reason): finish(ticket, .closeConnection(reason: reason), context)
        case .respondLater(let work):
            let handler = NIOLoopBound((self, context), eventLoop: context.eventLoop)
            let eventLoop = context.eventLoop
            Task(executorPreference: executor) {
                let outcome = await work()
                if eventLoop.inEventLoop {
                    handler.value.0.finish(ticket, outcome, handler.value.1)
                } else {
                    eventLoop.execute { handler.value.0.finish(ticket, outcome, handler.value.1) }
                }
            }
        }
    }

    // MARK: Answers

    private func finish(_ ticket: ResponseQueue.Ticket, _ outcome: FinalOutcome, _ context: ChannelHandlerContext) {
        guard case .respond(let response) = outcome, response.needsReading, self.context != nil else {
            return settle(ticket, outcome, context)
        }
        // Slices of a file that has no descriptor: read them where blocking is allowed, then go on.
        let handler = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let eventLoop = context.eventLoop
        shared.worker.submit {
            let outcome: FinalOutcome
            do { outcome = .respond(try response.inMemory()) } catch {
                outcome = .closeConnection(reason: "an answer's records could not be read: \(error)")
            }
            eventLoop.execute { handler.value.0.settle(ticket, outcome, handler.value.1) }
        }
    }

    private func settle(_ ticket: ResponseQueue.Ticket, _ outcome: FinalOutcome, _ context: ChannelHandlerContext) {
        responses.complete(ticket, with: outcome)
        while let (outcome, requestBytes) = responses.takeNext() {
            shared.memory.release(requestBytes)
            guard self.context != nil else { continue }
            switch outcome {
            case .respond(let response): writer.write(response.slices, to: context)
            case .noResponse: break
            case .closeConnection(let reason): refuse(reason, context)
            }
        }
        guard self.context != nil else { return }
        lastActivity = context.eventLoop.now
        if isRefusing { closeIfAnswered(context) }
        if !isInReadCycle { scheduleFlush(context) }
    }

    /// One flush for all answers that become ready in one turn of the loop.
    private func scheduleFlush(_ context: ChannelHandlerContext) {
        guard !isFlushScheduled else { return }
        isFlushScheduled = true
        let handler = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.eventLoop.execute {
            let (handler, context) = handler.value
            handler.isFlushScheduled = false
            guard handler.context != nil else { return }
            handler.flush(context)
            handler.resume(context)
        }
    }

    private func flush(_ context: ChannelHandlerContext) { writer.flush(context) }

    // MARK: Ends

    /// Answers what was asked before, takes nothing more, and closes.
    private func refuse(_ reason: String, _ context: ChannelHandlerContext) {
        guard !isRefusing else { return }
        isRefusing = true
        shared.logger.warning("connection closed by the broker", metadata: ["peer": "\(connection.peer)", "reason": "\(reason)"])
        closeIfAnswered(context)
    }

    private func closeIfAnswered(_ context: ChannelHandlerContext) {
        if responses.count == 0 { writer.whenSent(context) { context.close(promise: nil) } }
    }

    private func armIdleTimer(_ context: ChannelHandlerContext, at deadline: NIODeadline) {
        idleTimer = context.eventLoop.assumeIsolated().scheduleTask(deadline: deadline) {
            guard self.context != nil else { return }
            let expiry = self.lastActivity + self.shared.configuration.idleTimeout.timeAmount
            if self.responses.count > 0 {
                self.armIdleTimer(context, at: context.eventLoop.now + self.shared.configuration.idleTimeout.timeAmount)
            } else if expiry > context.eventLoop.now {
                self.armIdleTimer(context, at: expiry)
            } else {
                self.shared.logger.debug("idle connection closed", metadata: ["peer": "\(self.connection.peer)"])
                context.close(promise: nil)
            }
        }
    }
}

extension Duration {
    var timeAmount: TimeAmount { .nanoseconds(inNanoseconds) }
}
