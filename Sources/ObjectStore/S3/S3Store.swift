//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Metering
internal import NIOCore
package import RuntimeEnvironment

/// A bucket of any S3-compatible endpoint, in path style (`http://host/bucket/key`).
///
/// Every failure that may pass (429, 5xx, a broken connection, a stall) is tried again by ``RetryPolicy``. Conditions go only with
/// single puts: some endpoints ignore them when a multipart upload completes.
package final class S3Store: ObjectStore {
    package let location: S3Location
    let transport: any HTTPTransport
    let environment: RuntimeEnvironment
    let policy: RetryPolicy
    private let signer: SigV4Signer
    /// Digests of large bodies.
    private let hasher: any Worker

    /// - Parameter transport: Counts what it sends, if it is to be counted (``MeteredTransport``).
    package init(
        location: S3Location, credentials: S3Credentials, transport: any HTTPTransport, environment: RuntimeEnvironment,
        policy: RetryPolicy = RetryPolicy()
    ) {
        self.location = location
        self.transport = transport
        self.environment = environment
        self.policy = policy
        self.signer = SigV4Signer(credentials: credentials, region: location.region)
        self.hasher = environment.workers.makeWorker(named: "object-hash")
    }

    package var url: String { location.url }
    package var copies: ObjectCopies { ObjectCopies(count: location.copies, basis: .declared) }
    package func physicalPaths(_ key: String) -> [String] { [] }
    package func close() async { await transport.close() }

    // MARK: Sending

    /// Whole keys have at most 1,024 bytes (S3 user guide, "Naming objects").
    func check(_ key: String) throws(ObjectStoreError) {
        guard !key.isEmpty, key.utf8.count + location.prefix.utf8.count <= ObjectPath.keyLengthMax else {
            throw ObjectStoreError(
                .unsupported,
                "object key of \(key.utf8.count) bytes: with the prefix \(location.prefix) it must have 1 to \(ObjectPath.keyLengthMax)"
            )
        }
    }

    /// Sends until there is an answer that retrying would not change: the caller looks at its status.
    ///
    /// - Returns: The answer, and whether an earlier attempt may have been carried out already.
    func send(_ call: S3Call) async throws(ObjectStoreError) -> (response: HTTPResponse, isAmbiguous: Bool) {
        if let key = call.key { try check(key) }
        var state = RetryState(policy)
        while true {
            var response: HTTPResponse?
            let outcome: AttemptOutcome
            do throws(HTTPTransportError) {
                let answer = try await transport.send(signed(call))
                response = answer
                outcome = judge(answer, call)
            } catch {
                outcome = judge(error, call)
            }
            switch state.attempted(outcome, randomness: environment.randomness) {
            case .done: return (response!, state.isAmbiguous)
            case .fail(let error): throw error
            case .retry(let pause): try await rest(pause, call)
            }
        }
    }

    func rest(_ pause: Duration, _ call: S3Call) async throws(ObjectStoreError) {
        do {
            try await environment.clock.sleep(for: pause)
        } catch {
            throw ObjectStoreError(.other, "\(call.description): cancelled between two attempts")
        }
    }

    private func signed(_ call: S3Call) -> HTTPRequest {
        var path = "/" + PercentEncoding.encode(location.bucket, keepsSlashes: false)
        if let key = call.key { path += "/" + PercentEncoding.encode(location.prefix + key, keepsSlashes: true) }
        let payloadHash = call.payloadHash ?? SigV4Signer.unsignedPayload
        let headers = signer.sign(
            SigV4Signer.Input(
                method: call.method, path: path, query: call.query,
                headers: call.headers + [("host", location.authority), ("x-amz-content-sha256", payloadHash)],
                payloadHash: payloadHash),
            wallMilliseconds: environment.clock.wallMilliseconds())
        let query = call.query.isEmpty ? "" : "?" + PercentEncoding.canonicalQuery(call.query)
        return HTTPRequest(
            kind: call.kind, method: call.method, url: location.endpoint + path + query,
            headers: headers.filter { $0.name != "host" },
            body: call.body, responseBytesMax: call.responseBytesMax)
    }

    private func judge(_ response: HTTPResponse, _ call: S3Call) -> AttemptOutcome {
        if response.status < 300 {
            // The connection's end is not the body's: an answer that was cut short must not pass for the object.
            if call.method != "HEAD", let length = response.header("content-length").flatMap({ Int64($0) }),
                length != Int64(response.body.readableBytes)
            {
                let short = ObjectStoreError(
                    .unreachable, "\(call.description): \(response.body.readableBytes) of \(length) bytes came")
                return .failed(short, mayHaveTakenEffect: true)
            }
            return .answered
        }
        let problem = S3Problem(response)
        guard problem.isTransient else { return .answered }
        return .failed(problem.error(call, location), mayHaveTakenEffect: !problem.isWithoutEffect)
    }

    private func judge(_ error: HTTPTransportError, _ call: S3Call) -> AttemptOutcome {
        func make(_ code: ObjectStoreError.Code, _ advice: String = "") -> ObjectStoreError {
            ObjectStoreError(code, "\(call.description), bucket \(location.bucket) at \(location.endpoint): \(error)\(advice)")
        }
        return switch error.code {
        case .unreachable: .failed(make(.unreachable), mayHaveTakenEffect: error.mayHaveTakenEffect)
        case .broken: .failed(make(.unreachable), mayHaveTakenEffect: error.mayHaveTakenEffect)
        case .timedOut: .failed(make(.timedOut), mayHaveTakenEffect: error.mayHaveTakenEffect)
        case .untrusted: .refused(make(.other, "; check the endpoint's certificate, or name its authority in AWS_CA_BUNDLE"))
        case .tooLarge, .cancelled, .other: .refused(make(.other))
        }
    }

    /// The answer of a call that must have succeeded.
    func expect(_ response: HTTPResponse, _ call: S3Call) throws(ObjectStoreError) {
        guard response.status < 200 || response.status >= 300 else { return }
        throw S3Problem(response).error(call, location)
    }

    func document(_ response: HTTPResponse, _ call: S3Call) throws(ObjectStoreError) -> XMLElement {
        do throws(XMLError) {
            return try XMLReader.read(response.body.readableBytesView)
        } catch {
            throw ObjectStoreError(.other, "\(call.description) at \(location.endpoint): the answer cannot be read: \(error)")
        }
    }

    func digests(_ body: [ByteBuffer]) async -> BodyDigests {
        let withSHA256 = !location.isSecure
        let length = body.reduce(0) { $0 + $1.readableBytes }
        if length <= 64 << 10 { return BodyDigests(body, withSHA256: withSHA256) }
        return await hasher.run { BodyDigests(body, withSHA256: withSHA256) }
    }
}
