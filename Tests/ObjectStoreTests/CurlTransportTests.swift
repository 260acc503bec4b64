//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Metering
import NIOCore
import ObjectStore
import RuntimeEnvironment
import Synchronization
import Testing

@Suite struct CurlTransportTests {
    private func request(
        _ server: RawServer, _ method: String = "GET", body: [ByteBuffer] = [], max: Int64 = 1 << 20
    ) -> HTTPRequest {
        HTTPRequest(
            kind: .get, method: method, url: "http://127.0.0.1:\(server.port)/path/./%2B?q=", headers: [("x-test", "value")],
            body: body,
            responseBytesMax: max)
    }

    private func withTransport<Value>(
        inFlightMax: Int = 8, stallSeconds: Int = 20, _ body: (CurlTransport) async throws -> Value
    ) async throws -> Value {
        var settings = CurlTransport.Settings()
        settings.inFlightMax = inFlightMax
        settings.stallTimeout = .seconds(stallSeconds)
        let transport = CurlTransport(settings: settings, workers: ThreadWorkerPool())
        let value = try await body(transport)
        await transport.close()
        return value
    }

    private func failure(_ transport: CurlTransport, _ request: HTTPRequest) async -> HTTPTransportError? {
        do throws(HTTPTransportError) {
            _ = try await transport.send(request)
            return nil
        } catch { return error }
    }

    @Test func requestArrivesAsGivenOverAKeptConnection() async throws {
        let heads = Mutex<[String]>([])
        let server = try RawServer { connection in
            while let (head, body) = connection.readRequest() {
                heads.withLock { $0.append(head) }
                connection.write(
                    "HTTP/1.1 100 Continue\r\nx-interim: 1\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: \(String(body.count).count)\r\nX-Mixed:  Case \r\n\r\n\(body.count)"
                )
            }
        }
        try await withTransport { transport in
            for count in [3_000_000, 0] {
                let part = ByteBuffer(repeating: 1, count: count / 2)
                let response = try await transport.send(request(server, "PUT", body: [part, ByteBuffer(), part]))
                #expect(response.status == 200)
                #expect(String(buffer: response.body) == "\(count)")
                #expect(response.bodyBytesSent == count)
                #expect(response.header("x-mixed") == "Case")
                #expect(response.header("x-interim") == nil)
            }
        }
        #expect(server.connections == 1)
        let head = heads.withLock { $0[0] }
        #expect(head.hasPrefix("PUT /path/./%2B?q= HTTP/1.1\r\n"))
        #expect(head.contains("\r\nx-test: value") && head.contains("\r\nContent-Length: 3000000"))
        #expect(!head.contains("Expect") && !head.contains("Transfer-Encoding"))
        server.stop()
    }

    @Test func closedPortIsUnreachable() async throws {
        let server = try RawServer { _ in }
        server.stop()
        try await withTransport { transport in
            let error = await failure(transport, request(server))
            #expect(error?.code == .unreachable)
            #expect(error?.mayHaveTakenEffect == false)
        }
    }

    @Test func brokenConnectionMayHaveTakenEffect() async throws {
        let server = try RawServer { connection in _ = connection.readRequest() }
        try await withTransport { transport in
            let error = await failure(transport, request(server, "PUT", body: [ByteBuffer(string: "body")]))
            #expect(error?.code == .broken)
            #expect(error?.mayHaveTakenEffect == true)
            #expect(error?.bodyBytesSent == 4)
        }
        server.stop()
    }

    @Test func answerCutShortIsNoAnswer() async throws {
        let server = try RawServer { connection in
            _ = connection.readRequest()
            connection.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")
        }
        try await withTransport { transport in
            let error = await failure(transport, request(server))
            #expect(error?.code == .broken)
            #expect(error?.bodyBytesReceived == 5)
        }
        server.stop()
    }

    @Test(arguments: ["Content-Length: 1001\r\n\r\n", "\r\n"]) func longAnswerIsCutOff(header: String) async throws {
        let server = try RawServer { connection in
            _ = connection.readRequest()
            connection.write("HTTP/1.1 200 OK\r\nConnection: close\r\n" + header + String(repeating: "x", count: 1_001))
        }
        try await withTransport { transport in
            let error = await failure(transport, request(server, max: 1_000))
            #expect(error?.code == .tooLarge)
        }
        server.stop()
    }

    @Test func silentServerTimesOut() async throws {
        let server = try RawServer { connection in while connection.readRequest() != nil {} }
        try await withTransport(stallSeconds: 1) { transport in
            #expect(await failure(transport, request(server))?.code == .timedOut)
        }
        server.stop()
    }

    @Test func cancelledRequestEndsAtOnceWhetherUnderWayOrWaiting() async throws {
        let server = try RawServer { connection in while connection.readRequest() != nil {} }
        try await withTransport(inFlightMax: 1) { transport in
            let tasks = (0..<3).map { _ in Task { await failure(transport, request(server)) } }
            while server.connections == 0 { try await Task.sleep(for: .milliseconds(1)) }
            for task in tasks { task.cancel() }
            for task in tasks { #expect(await task.value?.code == .cancelled) }
        }
        server.stop()
    }

    @Test func closingFailsWhatIsUnderWayAndWhatComesLater() async throws {
        let server = try RawServer { connection in while connection.readRequest() != nil {} }
        try await withTransport(inFlightMax: 1) { transport in
            let tasks = (0..<3).map { _ in Task { await failure(transport, request(server)) } }
            while server.connections == 0 { try await Task.sleep(for: .milliseconds(1)) }
            await transport.close()
            for task in tasks { #expect(await task.value?.code == .other) }
            #expect(await failure(transport, request(server))?.code == .other)
        }
        server.stop()
    }

    @Test func noMoreThanTheLimitAreUnderWay() async throws {
        let load = Mutex((now: 0, most: 0))
        let server = try RawServer { connection in
            while connection.readRequest() != nil {
                load.withLock { $0 = ($0.now + 1, max($0.most, $0.now + 1)) }
                load.withLock { $0.now -= 1 }
                connection.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            }
        }
        try await withTransport(inFlightMax: 4) { transport in
            try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<200 { group.addTask { try await transport.send(request(server)).status } }
                for try await status in group { #expect(status == 200) }
            }
        }
        #expect(load.withLock { $0.most } <= 4)
        #expect(server.connections <= 4)
        server.stop()
    }
}
