//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import NIOCore
public import RuntimeEnvironment
internal import Synchronization

/// Answers one request frame.
public typealias PeerHandler = @Sendable (ByteBuffer) async throws -> ByteBuffer

/// What happens to a call between brokers.
public enum NetworkFault: Sendable {
    case delay(Duration)
    /// The request does not arrive.
    case dropRequest
    /// The request is carried out; its answer does not arrive.
    case dropReply
}

/// Routes calls between brokers of one process by host and port.
public final class SimulatedNetwork: Sendable {
    public struct Call: Sendable {
        /// As given to ``transport(from:)``.
        public var sender: String
        /// `host:port`
        public var receiver: String
        public var channel: String
    }

    private struct State {
        var handlers: [String: PeerHandler] = [:]
        var fault: (@Sendable (Call) -> NetworkFault?)?
        /// Groups of senders and receivers that cannot reach each other.
        var partition: [Set<String>] = []
        /// The last call of each connection, which the next one follows.
        var last: [String: Task<Void, Never>] = [:]

        func isCut(_ call: Call) -> Bool {
            let sender = partition.firstIndex { $0.contains(call.sender) }
            let receiver = partition.firstIndex { $0.contains(call.receiver) }
            guard let sender, let receiver else { return false }
            return sender != receiver
        }
    }

    private let clock: any Clock
    private let state = Mutex(State())

    public init(clock: any Clock) { self.clock = clock }

    /// Calls to `host:port` are answered by `handler`; nil takes the broker off the network.
    public func listen(host: String, port: Int, _ handler: PeerHandler?) {
        state.withLock { $0.handlers["\(host):\(port)"] = handler }
    }

    /// Asked for every call.
    public func setFault(_ fault: (@Sendable (Call) -> NetworkFault?)?) { state.withLock { $0.fault = fault } }

    /// Names in different groups do not reach each other; names in none reach all. An empty list heals the network.
    public func partition(into groups: [Set<String>]) { state.withLock { $0.partition = groups } }

    /// The transport of the broker called `sender`: its own `host:port`, so that partitions apply to both directions.
    public func transport(from sender: String) -> SimulatedPeerTransport { SimulatedPeerTransport(network: self, sender: sender) }

    func call(_ call: Call, frame: ByteBuffer, timeout: Duration) async throws(PeerTransportError) -> ByteBuffer {
        let answer = PendingAnswer()
        let connection = "\(call.sender)>\(call.receiver)#\(call.channel)"
        state.withLock { state in
            let before = state.last[connection]
            state.last[connection] = Task {
                await before?.value
                answer.complete(await self.deliver(call, frame))
            }
        }
        let deadline = Task { [clock] in
            try await clock.sleep(for: timeout)
            answer.complete(.failure(PeerTransportError("\(call.receiver) did not answer within \(timeout)")))
        }
        defer { deadline.cancel() }
        return try await answer.value()
    }

    private func deliver(_ call: Call, _ frame: ByteBuffer) async -> Result<ByteBuffer, PeerTransportError>? {
        let (handler, fault, isReachable) = state.withLock { state in
            (state.handlers[call.receiver], state.fault, !state.isCut(call))
        }
        guard isReachable else { return nil }
        guard let handler else { return .failure(PeerTransportError("connection to \(call.receiver) refused")) }
        let verdict = fault?(call)
        switch verdict {
        case .dropRequest: return nil
        case .delay(let duration): try? await clock.sleep(for: duration)
        case .dropReply, nil: break
        }
        do {
            let reply = try await handler(frame)
            if case .dropReply = verdict { return nil }
            // The network may have been cut while the request was carried out.
            return state.withLock { $0.isCut(call) } ? nil : .success(reply)
        } catch {
            return .failure(PeerTransportError("\(call.receiver) closed the connection: \(error)"))
        }
    }
}

public struct SimulatedPeerTransport: PeerTransport {
    let network: SimulatedNetwork
    let sender: String

    public func call(
        host: String, port: Int, channel: String, frame: [ByteBuffer], timeout: Duration
    ) async throws(PeerTransportError) -> ByteBuffer {
        var whole = ByteBuffer()
        for part in frame { whole.writeImmutableBuffer(part) }
        let call = SimulatedNetwork.Call(sender: sender, receiver: "\(host):\(port)", channel: channel)
        return try await network.call(call, frame: whole, timeout: timeout)
    }
}

/// The first result counts; nil is silence, which only a timeout ends.
private final class PendingAnswer: Sendable {
    private struct State {
        var result: Result<ByteBuffer, PeerTransportError>?
        var waiter: CheckedContinuation<Result<ByteBuffer, PeerTransportError>, Never>?
    }
    private let state = Mutex(State())

    func complete(_ result: Result<ByteBuffer, PeerTransportError>?) {
        guard let result else { return }
        let waiter = state.withLock { state -> CheckedContinuation<Result<ByteBuffer, PeerTransportError>, Never>? in
            guard state.result == nil else { return nil }
            state.result = result
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume(returning: result)
    }

    func value() async throws(PeerTransportError) -> ByteBuffer {
        let result = await withCheckedContinuation { continuation in
            let done = state.withLock { state in
                if state.result == nil { state.waiter = continuation }
                return state.result
            }
            if let done { continuation.resume(returning: done) }
        }
        return try result.get()
    }
}
