//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import KafkaProtocol
internal import LogModel
internal import NIOCore
internal import RuntimeEnvironment

/// The client's end of a connection: requests out as they come, answers matched to them in order.
///
/// Everything runs on the channel's event loop. A request that is not answered in time closes the connection, as in Kafka's own
/// client: what comes after it on the same connection would be late as well.
final class ClientConnectionHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = IOData
    typealias Completion = (Result<ByteBuffer, KafkaClientError>) -> Void

    private struct Pending {
        var correlationID: Int32
        var deadline: NIODeadline
        var completion: Completion
    }

    private let peer: BrokerAddress
    private let receiver: FrameReceiver
    private var context: ChannelHandlerContext?
    private var pending = CircularBuffer<Pending>()
    private let writer = FrameWriter()
    private var isFlushScheduled = false
    private var timer: Scheduled<Void>?
    private var timerDeadline = NIODeadline.distantFuture
    /// Why the connection ended; nil while it is open.
    private var end: KafkaClientError?

    init(peer: BrokerAddress, receiver: FrameReceiver) {
        self.peer = peer
        self.receiver = receiver
    }

    /// Requests sent and not yet answered.
    var pendingCount: Int { pending.count }
    var isOpen: Bool { end == nil && context != nil }
    /// Whether the socket takes what is sent; if not, it piles up in memory.
    var isWritable: Bool { context?.channel.isWritable ?? false }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    /// Sends a frame. `completion` is called once, on the event loop: with the answer's frame, or with why there is none.
    func send(_ frame: [LogSlice], correlationID: Int32, timeout: Duration, completion: @escaping Completion) {
        guard let context, end == nil else {
            return completion(.failure(end ?? KafkaClientError(.connectionClosed, "the connection to \(peer) is closed")))
        }
        writer.write(frame, to: context)
        let deadline = context.eventLoop.now + timeout.timeAmount
        pending.append(Pending(correlationID: correlationID, deadline: deadline, completion: completion))
        if deadline < timerDeadline { armTimer(context, at: deadline) }
        scheduleFlush(context)
    }

    /// Sends a frame that is not answered (Produce with acks=0).
    func sendUnanswered(_ frame: [LogSlice]) {
        guard let context, end == nil else { return }
        writer.write(frame, to: context)
        scheduleFlush(context)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        receiver.assembler.append(unwrapInboundIn(data))
        do throws(FrameError) {
            while let frame = try receiver.assembler.nextFrame() { deliver(frame, context) }
        } catch {
            fail(KafkaClientError(.malformed, "\(peer) sent \(error)"), context)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        writer.flush(context)
        context.fireChannelReadComplete()
    }

    func channelInactive(context: ChannelHandlerContext) {
        finish(KafkaClientError(.connectionClosed, "\(peer) closed the connection"))
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        fail(KafkaClientError(.connectionClosed, "the connection to \(peer) broke: \(error)"), context)
    }

    private func deliver(_ frame: ByteBuffer, _ context: ChannelHandlerContext) {
        guard end == nil else { return }
        guard let request = pending.popFirst() else {
            return fail(KafkaClientError(.malformed, "\(peer) sent an answer to nothing"), context)
        }
        guard frame.getInteger(at: frame.readerIndex, as: Int32.self) == request.correlationID else {
            let error = KafkaClientError(.malformed, "\(peer) answered out of order")
            request.completion(.failure(error))
            return fail(error, context)
        }
        request.completion(.success(frame))
    }

    private func scheduleFlush(_ context: ChannelHandlerContext) {
        guard !isFlushScheduled else { return }
        isFlushScheduled = true
        context.eventLoop.assumeIsolated().execute {
            self.isFlushScheduled = false
            if self.context != nil { self.writer.flush(context) }
        }
    }

    private func armTimer(_ context: ChannelHandlerContext, at deadline: NIODeadline) {
        timer?.cancel()
        timerDeadline = deadline
        timer = context.eventLoop.assumeIsolated().scheduleTask(deadline: deadline) {
            self.timerDeadline = .distantFuture
            guard self.context != nil, let earliest = self.pending.lazy.map(\.deadline).min() else { return }
            if earliest <= context.eventLoop.now {
                self.fail(KafkaClientError(.timedOut, "\(self.peer) did not answer in time"), context)
            } else {
                self.armTimer(context, at: earliest)
            }
        }
    }

    private func fail(_ error: KafkaClientError, _ context: ChannelHandlerContext) {
        finish(error)
        context.close(promise: nil)
    }

    private func finish(_ error: KafkaClientError) {
        guard end == nil else { return }
        end = error
        context = nil
        timer?.cancel()
        // A completion may send again; it then finds the connection ended.
        let failed = pending
        pending.removeAll()
        for request in failed { request.completion(.failure(error)) }
    }
}
