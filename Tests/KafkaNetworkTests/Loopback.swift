//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Dispatch
import KafkaNetwork
import KafkaProtocol
import LogModel
import Logging
import NIOCore
import NIOPosix
import RuntimeEnvironment
import Synchronization

/// A server on a free port of the loopback with what a test wants it to answer.
struct Loopback {
    let server: KafkaServer
    let address: BrokerAddress
    let logs: LogRecorder

    static let group = MultiThreadedEventLoopGroup.singleton

    static func with<Value: Sendable>(
        _ configuration: KafkaServerConfiguration = KafkaServerConfiguration(),
        answering dispatch: @escaping @Sendable (RequestFrame) -> RequestOutcome,
        _ body: @Sendable (Loopback) async throws -> Value
    ) async throws -> Value {
        let logs = LogRecorder()
        let server = KafkaServer(
            configuration: configuration, group: group, dispatcher: ScriptedDispatcher(answer: dispatch), workers: TestWorkers(),
            logger: Logger(label: "test", factory: { _ in logs }))
        let port = try await server.start(host: "127.0.0.1", port: 0)
        let loopback = Loopback(server: server, address: BrokerAddress(host: "127.0.0.1", port: port), logs: logs)
        do {
            let value = try await body(loopback)
            await server.stopAbruptly()
            return value
        } catch {
            await server.stopAbruptly()
            throw error
        }
    }

    func connect() async throws -> KafkaConnection {
        try await KafkaConnection.connect(to: address, group: Self.group, clientID: "test", negotiates: false)
    }

    /// A connection for bytes that are no frames.
    func connectRaw() async throws -> any Channel {
        try await ClientBootstrap(group: Self.group).connect(host: address.host, port: address.port).get()
    }

    /// A Metadata-shaped request around any body; the scripted dispatcher does not look at it.
    static func request(_ correlationID: Int32, body: ByteBuffer = ByteBuffer()) -> [LogSlice] {
        var head = ByteBuffer()
        head.writeInteger(Int16(3))
        head.writeInteger(Int16(1))
        head.writeInteger(correlationID)
        head.writeInteger(Int16(-1))
        return [.bytes(head), .bytes(body)]
    }
}

struct ScriptedDispatcher: RequestDispatcher {
    let answer: @Sendable (RequestFrame) -> RequestOutcome
    func dispatch(_ request: RequestFrame, from connection: ConnectionInfo) -> RequestOutcome { answer(request) }
}

extension ResponseFrame {
    /// The correlation id and the slices behind it.
    init(to request: RequestFrame, _ slices: LogSlice...) {
        self.init(slices: [.bytes(ByteBuffer(integer: request.correlationID))] + slices)
    }
}

/// Blocks whoever passes until it is opened.
final class Gate: Sendable {
    private struct State {
        var isOpen = false
        var waiting: [CheckedContinuation<Void, Never>] = []
    }
    private let state = Mutex(State())

    func pass() async {
        await withCheckedContinuation { continuation in
            let isOpen = state.withLock { state in
                if !state.isOpen { state.waiting.append(continuation) }
                return state.isOpen
            }
            if isOpen { continuation.resume() }
        }
    }

    func open() {
        let waiting = state.withLock { state in
            state.isOpen = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }
}

struct TestWorkers: WorkerPool {
    struct Queue: Worker {
        let queue: DispatchQueue
        func submit(_ job: @escaping @Sendable () -> Void) { queue.async(execute: job) }
    }
    func makeWorker(named name: String) -> any Worker { Queue(queue: DispatchQueue(label: name)) }
}

struct TestClock: Clock {
    func now() -> MonotonicInstant { MonotonicInstant(nanoseconds: Int64(NIODeadline.now().uptimeNanoseconds)) }
    func wallMilliseconds() -> Int64 { 0 }
    func sleep(until deadline: MonotonicInstant) async throws {
        try await Task.sleep(for: deadline - now())
    }
}

/// Keeps what was logged.
final class LogRecorder: LogHandler, Sendable {
    private let lines = Mutex<[String]>([])
    var metadata: Logger.Metadata {
        get { [:] }
        set {}
    }
    var logLevel: Logger.Level {
        get { .debug }
        set {}
    }
    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { nil }
        set {}
    }
    func log(event: LogEvent) {
        let text = (event.metadata ?? [:]).map { "\($0)=\($1)" }.sorted().joined(separator: " ")
        lines.withLock { $0.append("\(event.message) \(text)") }
    }
    var recorded: [String] { lines.withLock { $0 } }
}
