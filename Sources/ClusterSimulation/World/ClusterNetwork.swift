//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import BrokerNode
import KafkaProtocol
import LogModel
import NIOCore
import RuntimeEnvironment
import SimulationKit

/// Carries request frames to brokers, with delay, loss, and links cut one way or both. A connection's requests arrive in order.
///
/// Touched on the loop's thread only.
final class ClusterNetwork: @unchecked Sendable {
    /// One direction between two names.
    struct Link: Hashable {
        var source: String
        var target: String
    }

    private struct Listener {
        var dispatcher: any RequestDispatcher
        var process: SimulatedProcess
    }

    private let clock: SimulatedClock
    private let randomness: SeededRandomSource
    private let tally: Tally
    private var listeners: [String: Listener] = [:]
    private var lastArrival: [String: MonotonicInstant] = [:]
    private var lastConnection: UInt64 = 0
    private(set) var cut: Set<Link> = []
    private(set) var slow: [Link: Duration] = [:]
    private let usualDelayMax: Duration = .milliseconds(1)

    init(clock: SimulatedClock, randomness: SeededRandomSource, tally: Tally) {
        self.tally = tally
        self.clock = clock
        self.randomness = randomness
    }

    func cut(_ link: Link) { cut.insert(link) }
    func slowDown(_ link: Link, by delay: Duration) { slow[link] = delay }
    func heal(_ link: Link) {
        cut.remove(link)
        slow[link] = nil
    }

    func listen(_ name: String, _ dispatcher: any RequestDispatcher, _ process: SimulatedProcess) {
        listeners[name] = Listener(dispatcher: dispatcher, process: process)
    }

    func hangUp(_ name: String, _ process: SimulatedProcess) {
        if listeners[name]?.process === process { listeners[name] = nil }
    }

    /// A request under way.
    struct Call: Sendable {
        fileprivate var result: Answer
        fileprivate var deadline: Task<Void, any Error>

        /// - Returns: The answer's frame; nil where the request wants none.
        func answer() async throws(PeerTransportError) -> ByteBuffer? {
            let result = await result.value()
            deadline.cancel()
            return try result.get()
        }
    }

    /// Sends a request: of one connection's, the one sent first arrives first.
    func send(from source: String, to target: String, channel: String, frame: ByteBuffer, timeout: Duration) -> Call {
        let answer = Answer()
        let link = Link(source: source, target: target)
        let connection = "\(source)>\(target)#\(channel)"
        let arrival = travel(link, after: lastArrival[connection])
        lastArrival[connection] = arrival
        Task { await self.deliver(link, frame, at: arrival, answer) }
        let deadline = Task { [clock] in
            try await clock.sleep(for: timeout)
            answer.give(.failure(PeerTransportError("\(target) did not answer within \(timeout)")))
        }
        return Call(result: answer, deadline: deadline)
    }

    func call(
        from source: String, to target: String, channel: String, frame: ByteBuffer, timeout: Duration
    ) async throws(PeerTransportError) -> ByteBuffer? {
        try await send(from: source, to: target, channel: channel, frame: frame, timeout: timeout).answer()
    }

    private func travel(_ link: Link, after earliest: MonotonicInstant? = nil) -> MonotonicInstant {
        if slow[link] != nil { tally.add(.slowMessage) }
        let delayMax = slow[link] ?? usualDelayMax
        let delay = Duration.nanoseconds(Int64(randomness.next(below: UInt64(delayMax.inNanoseconds) + 1)) + 1)
        var arrival = clock.now() + delay
        if let earliest, arrival <= earliest { arrival = earliest + .nanoseconds(1) }
        return arrival
    }

    private func deliver(_ link: Link, _ frame: ByteBuffer, at arrival: MonotonicInstant, _ answer: Answer) async {
        try? await clock.sleep(until: arrival)
        guard !cut.contains(link) else { return tally.add(.cutMessage) }
        guard let listener = listeners[link.target] else {
            return answer.give(.failure(PeerTransportError("connection to \(link.target) refused")))
        }
        let process = listener.process
        let watch = process.atDeath { answer.give(.failure(PeerTransportError("\(link.target) closed the connection"))) }
        defer { process.forget(watch) }
        // What a process that stands still has been sent, it takes up in the order of arrival.
        let begun = await withUnsafeContinuation { continuation in
            process.perform { continuation.resume(returning: Begun(self.begin(listener, frame, from: link.source))) }
        }
        let reply = await finish(begun.result)
        await process.pass()
        let back = Link(source: link.target, target: link.source)
        try? await clock.sleep(until: travel(back))
        guard !cut.contains(back) else { return tally.add(.cutMessage) }
        answer.give(reply)
    }

    private struct Begun: @unchecked Sendable {  // Stays on the loop's thread.
        var result: Result<RequestOutcome, any Error>
        init(_ result: Result<RequestOutcome, any Error>) { self.result = result }
    }

    private func begin(_ listener: Listener, _ frame: ByteBuffer, from source: String) -> Result<RequestOutcome, any Error> {
        lastConnection += 1
        return Result {
            let request = try RequestFrame(parsing: frame)
            let connection = ConnectionInfo(id: lastConnection, peer: source, listener: "PLAINTEXT")
            return listener.dispatcher.dispatch(request, from: connection)
        }
    }

    private func finish(_ begun: Result<RequestOutcome, any Error>) async -> Result<ByteBuffer?, PeerTransportError> {
        do {
            let outcome: FinalOutcome =
                switch try begun.get() {
                case .respond(let frame): .respond(frame)
                case .respondLater(let work): await work()
                case .noResponse: .noResponse
                case .closeConnection(let reason): .closeConnection(reason: reason)
                }
            switch outcome {
            case .respond(let frame): return .success(try LogSlices(frame.slices).contiguous())
            case .noResponse: return .success(nil)
            case .closeConnection(let reason): return .failure(PeerTransportError("the connection was closed: \(reason)"))
            }
        } catch {
            return .failure(PeerTransportError("the connection was closed: \(error)"))
        }
    }

    /// The first result counts. Touched on the loop's thread only.
    fileprivate final class Answer: @unchecked Sendable {
        private var result: Result<ByteBuffer?, PeerTransportError>?
        private var waiter: UnsafeContinuation<Void, Never>?

        func give(_ result: Result<ByteBuffer?, PeerTransportError>) {
            guard self.result == nil else { return }
            self.result = result
            waiter?.resume()
            waiter = nil
        }

        func value() async -> Result<ByteBuffer?, PeerTransportError> {
            if result == nil { await withUnsafeContinuation { waiter = $0 } }
            return result!
        }
    }
}

/// A broker's calls to its peers.
struct ProcessTransport: NodeTransport {
    let network: ClusterNetwork
    let process: SimulatedProcess
    let name: String

    func call(
        host: String, port: Int, channel: String, frame: [ByteBuffer], timeout: Duration
    ) async throws(PeerTransportError) -> ByteBuffer {
        await process.pass()
        var whole = ByteBuffer()
        for part in frame { whole.writeImmutableBuffer(part) }
        let result: Result<ByteBuffer?, PeerTransportError>
        do throws(PeerTransportError) {
            result = .success(
                try await network.call(from: name, to: host, channel: "\(process.run)-\(channel)", frame: whole, timeout: timeout))
        } catch { result = .failure(error) }
        await process.pass()
        guard let answer = try result.get() else { throw PeerTransportError("\(host) does not answer such a request") }
        return answer
    }

    func stop() async {}
}

/// A broker's listener.
struct ProcessServer: RequestServer {
    let network: ClusterNetwork
    let process: SimulatedProcess
    let name: String
    let dispatcher: any RequestDispatcher

    var connectionCount: Int { 0 }

    func start(listener: String, host: String, port: Int) async throws -> Int {
        network.listen(name, dispatcher, process)
        return port
    }

    func stop(within limit: Duration) async { network.hangUp(name, process) }
    func stopAbruptly() async { network.hangUp(name, process) }
}
