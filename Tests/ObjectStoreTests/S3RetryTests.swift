//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Metering
import NIOCore
import ObjectStore
import Testing

@Suite struct S3RetryTests {
    @Test func passingFailuresAreTriedAgainAndEachIsCounted() async throws {
        let scripted = ScriptedStore(.error(503, "SlowDown"), .fail(.broken), .error(500, "InternalError"), .answer(200))
        try await scripted.store.put("key", "body")
        #expect(scripted.transport.requests.count == 4)
        #expect(
            scripted.transport.requests.allSatisfy {
                $0.method == "PUT" && $0.url == "http://host:9000/bucket/key" && $0.text == "body"
            })
        #expect(scripted.meters.objectRequests[.put]!.value == 4)
        #expect(scripted.meters.network[.objectPut]!.value == 16)
        #expect(scripted.meters.objectRequestErrors.value == 3)
    }

    @Test func pausesGrowAndAreDrawnFromTheWholeInterval() async throws {
        let policy = RetryPolicy()
        let random = SeededSource(seed: 1)
        var longest = [Duration](repeating: .zero, count: policy.attemptsMax - 1)
        var shortest = [Duration](repeating: .seconds(1_000), count: policy.attemptsMax - 1)
        let failure = AttemptOutcome.failed(ObjectStoreError(.slowDown, "503"), mayHaveTakenEffect: false)
        for _ in 0..<500 {
            var state = RetryState(policy)
            for attempt in 0..<(policy.attemptsMax - 1) {
                guard case .retry(let pause) = state.attempted(failure, randomness: random) else {
                    Issue.record("gave up at attempt \(attempt + 1)")
                    return
                }
                longest[attempt] = max(longest[attempt], pause)
                shortest[attempt] = min(shortest[attempt], pause)
            }
            guard case .fail = state.attempted(failure, randomness: random) else {
                Issue.record("did not give up")
                return
            }
        }
        for attempt in longest.indices {
            let ceiling = min(policy.pauseMax, policy.basePause * (1 << attempt))
            #expect(longest[attempt] < ceiling && longest[attempt] > ceiling * 0.95)
            #expect(shortest[attempt] < ceiling * 0.05)
        }
    }

    @Test func givesUpWithTheLastReason() async throws {
        let scripted = ScriptedStore(
            .fail(.timedOut), .fail(.timedOut), .fail(.unreachable, mayHaveTakenEffect: false), .fail(.timedOut), .fail(.timedOut),
            .error(503, "SlowDown"))
        do throws(ObjectStoreError) {
            _ = try await scripted.store.get("key", range: nil)
            Issue.record("an object came from nowhere")
        } catch {
            #expect(error.code == .slowDown && error.isRetriable)
            #expect(error.message == "GET of object key, bucket bucket at http://host:9000: 503 SlowDown as scripted (6 attempts)")
        }
        #expect(scripted.clock.sleeps.count == 5)
    }

    @Test(arguments: [
        (403, "SignatureDoesNotMatch", ObjectStoreError.Code.forbidden), (403, "RequestTimeTooSkewed", .forbidden),
        (404, "NoSuchBucket", .other), (404, "NoSuchKey", .notFound), (301, "PermanentRedirect", .other),
        (501, "NotImplemented", .unsupported),
        (400, "InvalidArgument", .other), (507, "InsufficientStorage", .noSpace), (412, "PreconditionFailed", .preconditionFailed),
        (416, "InvalidRange", .invalidRange),
    ])
    func lastingAnswerIsNotTriedAgain(status: Int, code: String, expected: ObjectStoreError.Code) async throws {
        let scripted = ScriptedStore(.error(status, code))
        do throws(ObjectStoreError) {
            _ = try await scripted.store.get("key", range: nil)
            Issue.record("\(code) passed for an object")
        } catch {
            #expect(error.code == expected)
            #expect(!error.message.contains("\n") && !error.message.contains("s3cret"))
        }
    }

    @Test func untrustedEndpointIsNotTriedAgain() async throws {
        let scripted = ScriptedStore(.fail(.untrusted, mayHaveTakenEffect: false))
        #expect(await scripted.store.code { s throws(ObjectStoreError) in try await s.put("key", "") } == .other)
    }

    // MARK: Conditional puts whose answer was lost

    private static let tokenHeader = "x-amz-meta-ninefold-put"

    /// The put takes effect, its answer is lost, the retry fails on the condition, and the endpoint is asked what it holds.
    private func putWithLostAnswer(
        lost: ScriptedTransport.Step = .fail(.broken), _ held: @escaping @Sendable (_ sent: HTTPRequest) -> HTTPResponse,
        then more: ScriptedTransport.Step...
    ) async -> (code: ObjectStoreError.Code?, transport: ScriptedTransport) {
        let box = TransportBox()
        let scripted = ScriptedStore(
            steps: [lost, .error(412, "PreconditionFailed"), .respond { _ in held(box.transport!.requests[0]) }] + more)
        box.transport = scripted.transport
        let code = await scripted.store.code { s throws(ObjectStoreError) in try await s.put("key", "mine", condition: .ifAbsent) }
        #expect(scripted.transport.stepsLeft == 0)
        return (code, scripted.transport)
    }

    @Test(arguments: [ScriptedTransport.Step.fail(.broken), .fail(.timedOut), .error(500, "InternalError"), .answer(504)])
    func ownPutIsRecognisedByItsToken(lost: ScriptedTransport.Step) async {
        let (code, transport) = await putWithLostAnswer(lost: lost) { sent in
            HTTPResponse(status: 200, headers: [(Self.tokenHeader, sent.header(Self.tokenHeader)!), ("content-length", "4")])
        }
        #expect(code == nil)
        #expect(transport.requests.map(\.method) == ["PUT", "PUT", "HEAD"])
        #expect(transport.requests[0].header("if-none-match") == "*")
        #expect(transport.requests[0].header(Self.tokenHeader) == transport.requests[1].header(Self.tokenHeader))
    }

    @Test func putOfAnotherIsRecognisedByItsToken() async {
        // Not even the same bytes make it ours.
        let (code, _) = await putWithLostAnswer { _ in
            HTTPResponse(
                status: 200,
                headers: [(Self.tokenHeader, "another"), ("content-length", "4"), ("etag", "\"918b81db5e91d031548b963c93845e5b\"")])
        }
        #expect(code == .preconditionFailed)
    }

    @Test(
        arguments: [("918b81db5e91d031548b963c93845e5b", nil), ("00000000000000000000000000000000", .preconditionFailed)]
            as [(String, ObjectStoreError.Code?)])
    func withoutMetadataTheTagDecides(tag: String, expected: ObjectStoreError.Code?) async {
        let (code, _) = await putWithLostAnswer { _ in
            HTTPResponse(status: 200, headers: [("content-length", "4"), ("etag", "\"\(tag)\"")])
        }
        #expect(code == expected)
    }

    @Test(arguments: [("mine", nil), ("hers", .preconditionFailed)] as [(String, ObjectStoreError.Code?)])
    func withoutMetadataAndTagTheBytesDecide(held: String, expected: ObjectStoreError.Code?) async {
        let (code, transport) = await putWithLostAnswer(
            { _ in HTTPResponse(status: 200, headers: [("content-length", "4")]) }, then: .answer(200, body: held))
        #expect(code == expected)
        #expect(transport.requests.last?.method == "GET")
    }

    @Test func anotherLengthIsAnothersPut() async {
        let (code, _) = await putWithLostAnswer { _ in HTTPResponse(status: 200, headers: [("content-length", "5")]) }
        #expect(code == .preconditionFailed)
    }

    @Test func vanishedObjectLeavesThePutOpen() async {
        let (code, _) = await putWithLostAnswer { _ in HTTPResponse(status: 404) }
        #expect(code == .timedOut)
    }

    @Test func refusalBeforeAnythingWasDoneIsNotAmbiguous() async {
        let scripted = ScriptedStore(
            .error(503, "SlowDown"), .fail(.unreachable, mayHaveTakenEffect: false), .error(409, "ConditionalRequestConflict"),
            .error(412, "PreconditionFailed"))
        #expect(
            await scripted.store.code { s throws(ObjectStoreError) in try await s.put("key", "mine", condition: .ifAbsent) }
                == .preconditionFailed)
    }
}

/// A step that looks at the requests before it needs the transport that it is a step of.
private final class TransportBox: @unchecked Sendable {
    // Set before the first request, read after.
    var transport: ScriptedTransport?
}
