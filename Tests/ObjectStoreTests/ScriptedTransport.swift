//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Metering
import NIOCore
import ObjectStore
import RuntimeEnvironment
import Synchronization
import Testing

/// An endpoint played by the test: answers in order, and keeps what was asked.
final class ScriptedTransport: HTTPTransport {
    enum Step: Sendable {
        case answer(Int, headers: [(name: String, value: String)] = [], body: String = "")
        case fail(HTTPTransportError.Code, mayHaveTakenEffect: Bool = true)
        /// Made from the request.
        case respond(@Sendable (HTTPRequest) -> HTTPResponse)

        static func error(_ status: Int, _ code: String) -> Step {
            .answer(status, body: "<Error><Code>\(code)</Code><Message>as\nscripted</Message></Error>")
        }
    }

    private let state: Mutex<(steps: ArraySlice<Step>, requests: [HTTPRequest])>

    init(_ steps: [Step]) { state = Mutex((steps[...], [])) }

    var requests: [HTTPRequest] { state.withLock { $0.requests } }
    var stepsLeft: Int { state.withLock { $0.steps.count } }

    func send(_ request: HTTPRequest) async throws(HTTPTransportError) -> HTTPResponse {
        let step = state.withLock { state in
            state.requests.append(request)
            return state.steps.popFirst()
        }
        let sent = request.body.reduce(Int64(0)) { $0 + Int64($1.readableBytes) }
        switch step {
        case nil:
            Issue.record("a request that the script does not have: \(request.method) \(request.url)")
            throw HTTPTransportError(.cancelled, "the script is over", mayHaveTakenEffect: false)
        case .answer(let status, let headers, let body):
            return HTTPResponse(status: status, headers: headers, body: ByteBuffer(string: body), bodyBytesSent: sent)
        case .fail(let code, let mayHaveTakenEffect):
            throw HTTPTransportError(
                code, "as scripted", mayHaveTakenEffect: mayHaveTakenEffect, bodyBytesSent: mayHaveTakenEffect ? sent : 0)
        case .respond(let make):
            var response = make(request)
            response.bodyBytesSent = sent
            return response
        }
    }

    func close() async {}
}

/// An S3 store whose endpoint is a script, whose pauses take no time.
struct ScriptedStore {
    let transport: ScriptedTransport
    let clock = ImpatientClock()
    let meters = Meters()
    let store: S3Store

    init(_ steps: ScriptedTransport.Step..., isSecure: Bool = false, prefix: String = "") {
        self.init(steps: steps, isSecure: isSecure, prefix: prefix)
    }

    init(steps: [ScriptedTransport.Step], isSecure: Bool = false, prefix: String = "") {
        transport = ScriptedTransport(steps)
        store = S3Store(
            location: S3Location(
                url: "s3://bucket", isSecure: isSecure, authority: "host:9000", bucket: "bucket", prefix: prefix, region: "r",
                copies: 1),
            credentials: S3Credentials(accessKey: "access", secretKey: "s3cret"),
            transport: MeteredTransport(transport, meters: meters),
            environment: RuntimeEnvironment(clock: clock, randomness: SeededSource(seed: 7), workers: ThreadWorkerPool()))
    }
}

extension HTTPRequest {
    func header(_ name: String) -> String? { headers.last { $0.name == name }?.value }
    var text: String { body.map { String(buffer: $0) }.joined() }
}
