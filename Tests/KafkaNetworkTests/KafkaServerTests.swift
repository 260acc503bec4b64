//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Foundation
import KafkaNetwork
import KafkaProtocol
import LogModel
import NIOCore
import Synchronization
import Testing

@Suite struct KafkaServerTests {
    @Test func answersLeaveInOrderThoughTheWorkEndsInAnother() async throws {
        let gates = (0..<8).map { _ in Gate() }
        try await Loopback.with(answering: { request in
            .respondLater {
                await gates[Int(request.correlationID)].pass()
                if request.correlationID > 0 { gates[Int(request.correlationID) - 1].open() }
                return .respond(ResponseFrame(to: request, .bytes(request.body)))
            }
        }) { loopback in
            let connection = try await loopback.connect()
            gates[7].open()
            // A client that gets another's answer fails with "out of order".
            try await withThrowingTaskGroup(of: Void.self) { group in
                for id in 0..<8 as Range<Int32> {
                    let body = ByteBuffer(integer: id)
                    group.addTask {
                        let answer = try await connection.call(
                            Loopback.request(id, body: body), correlationID: id, timeout: .seconds(20))
                        #expect(answer.getInteger(at: answer.readerIndex + 4, as: Int32.self) == id)
                    }
                    // The order of the requests is the order of these calls' arrival at the loop.
                    try await connection.eventLoop.submit {}.get()
                }
                try await group.waitForAll()
            }
        }
    }

    @Test func aRequestArrivingByteByByteIsAnswered() async throws {
        try await Loopback.with(answering: { .respond(ResponseFrame(to: $0, .bytes($0.body))) }) { loopback in
            let channel = try await loopback.connectRaw()
            let body = ByteBuffer(string: "one at a time")
            let slices = Loopback.request(7, body: body)
            var bytes = ByteBuffer(integer: Int32(10 + body.readableBytes))
            for case .bytes(let part) in slices { bytes.writeImmutableBuffer(part) }
            let answered = channel.eventLoop.makePromise(of: ByteBuffer.self)
            try await channel.eventLoop.submit {
                try channel.pipeline.syncOperations.addHandler(Collector(bytes: 8 + body.readableBytes, promise: answered))
            }.get()
            while let byte = bytes.readSlice(length: 1) { try await channel.writeAndFlush(byte) }
            var answer = try await answered.futureResult.get()
            #expect(answer.readInteger(as: Int32.self) == Int32(4 + body.readableBytes))
            #expect(answer.readInteger(as: Int32.self) == 7)
            #expect(answer == body)
            try await channel.close()
        }
    }

    @Test func whatIsUnderWayStaysWithinTheConnectionsLimitWhileTheClientSendsMore() async throws {
        var configuration = KafkaServerConfiguration()
        configuration.inflightBytesPerConnectionMax = 2 << 20
        let frameBytes = 1 << 20
        let frames = 24
        let gate = Gate()
        let seen = Mutex((now: 0, most: 0))
        try await Loopback.with(
            configuration,
            answering: { request in
                let now = seen.withLock { seen -> Int in
                    seen.now += request.frameSizeInBytes
                    seen.most = max(seen.most, seen.now)
                    return seen.now
                }
                // Opens when the limit is reached: if reading did not stop there, more would be under way than the limit and a frame.
                if now >= 2 << 20 { gate.open() }
                return .respondLater {
                    await gate.pass()
                    seen.withLock { $0.now -= request.frameSizeInBytes }
                    return .respond(ResponseFrame(to: request))
                }
            }
        ) { loopback in
            let connection = try await loopback.connect()
            let body = ByteBuffer(repeating: 1, count: frameBytes - 10)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for id in 0..<Int32(frames) {
                    group.addTask {
                        _ = try await connection.call(Loopback.request(id, body: body), correlationID: id, timeout: .seconds(20))
                    }
                }
                try await group.waitForAll()
            }
            #expect(seen.withLock { $0.most } <= (2 << 20) + frameBytes)
            #expect(loopback.server.requestBytes == 0)
        }
    }

    @Test func whatIsUnderWayStaysWithinTheBrokersLimitOverAllConnections() async throws {
        var configuration = KafkaServerConfiguration()
        configuration.queuedRequestBytesMax = 1 << 20
        let frameBytes = 512 << 10
        let most = Mutex(0)
        let held = Mutex<KafkaServer?>(nil)
        try await Loopback.with(
            configuration,
            answering: { request in
                if let server = held.withLock({ $0 }) { most.withLock { $0 = max($0, server.requestBytes) } }
                return .respondLater {
                    await Task.yield()
                    return .respond(ResponseFrame(to: request))
                }
            }
        ) { loopback in
            held.withLock { $0 = loopback.server }
            let body = ByteBuffer(repeating: 1, count: frameBytes - 10)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        let connection = try await loopback.connect()
                        try await withThrowingTaskGroup(of: Void.self) { calls in
                            for _ in 0..<6 {
                                let id = KafkaConnection.nextCorrelationID()
                                calls.addTask {
                                    _ = try await connection.call(
                                        Loopback.request(id, body: body), correlationID: id, timeout: .seconds(20))
                                }
                            }
                            try await calls.waitForAll()
                        }
                        await connection.close()
                    }
                }
                try await group.waitForAll()
            }
            held.withLock { $0 = nil }
            #expect(most.withLock { $0 } <= (1 << 20) + frameBytes)
            #expect(loopback.server.requestBytes == 0)
        }
    }

    @Test func aClientThatDoesNotReadIsNotServedFurther() async throws {
        var configuration = KafkaServerConfiguration()
        configuration.unsentBytesHigh = 1 << 20
        configuration.unsentBytesLow = 1 << 18
        let answer = ByteBuffer(repeating: 2, count: 8 << 20)
        let served = Mutex(0)
        try await Loopback.with(
            configuration,
            answering: { request in
                served.withLock { $0 += 1 }
                return .respond(ResponseFrame(to: request, .bytes(answer)))
            }
        ) { loopback in
            let requests = 40
            let channel = try await ClientBootstrapWithoutReading.connect(loopback.address)
            var bytes = ByteBuffer()
            for id in 0..<Int32(requests) {
                bytes.writeInteger(Int32(10))
                for case .bytes(let part) in Loopback.request(id) { bytes.writeImmutableBuffer(part) }
            }
            try await channel.writeAndFlush(bytes)
            // All requests are in the server's first read. What it has served by the time a second client has been answered
            // twice is what it will ever serve before the first one reads: the rest of that read waits behind the unsent answer.
            let other = try await loopback.connect()
            for id in 0..<2 as Range<Int32> {
                _ = try await other.call(Loopback.request(id), correlationID: id, timeout: .seconds(20))
            }
            #expect(served.withLock { $0 } - 2 < requests)
            // Then it reads, and all are served.
            let answered = channel.eventLoop.makePromise(of: Void.self)
            try await channel.eventLoop.submit {
                let counter = ByteCounter(until: requests * (8 + answer.readableBytes), promise: answered)
                try channel.pipeline.syncOperations.addHandler(counter)
            }.get()
            try await channel.setOption(.autoRead, value: true).get()
            channel.read()
            try await answered.futureResult.get()
            #expect(served.withLock { $0 } - 2 == requests)
            try await channel.close()
        }
    }

    @Test func stretchesOfFilesArriveByteExactWithAndWithoutADescriptor() async throws {
        let content = Pattern.bytes(3_000_000)
        let path = NSTemporaryDirectory() + "ninefold-slices-\(UUID().uuidString)"
        try Data(content.readableBytesView).write(to: URL(fileURLWithPath: path))
        defer { try? FileManager.default.removeItem(atPath: path) }
        let file = try TestFile(path: path, hasDescriptor: true)
        let blind = try TestFile(path: path, hasDescriptor: false)
        let stretches: [(Int64, Int)] = [(0, 3_000_000), (17, 1), (100, 70_000), (2_999_999, 1), (5, 0)]
        try await Loopback.with(answering: { request in
            let (offset, length) = stretches[Int(request.correlationID) % stretches.count]
            let source = request.correlationID < stretches.count ? file : blind
            let tail = LogSlice.bytes(ByteBuffer(string: "end"))
            return .respond(ResponseFrame(to: request, .file(source, offset: offset, length: length), tail))
        }) { loopback in
            let connection = try await loopback.connect()
            // Pipelined, so that answers with and without a descriptor stand behind each other.
            try await withThrowingTaskGroup(of: Void.self) { group in
                for id in 0..<Int32(stretches.count * 2) {
                    group.addTask {
                        var answer = try await connection.call(Loopback.request(id), correlationID: id, timeout: .seconds(20))
                        answer.moveReaderIndex(forwardBy: 4)
                        let (offset, length) = stretches[Int(id) % stretches.count]
                        #expect(answer.readSlice(length: length) == content.getSlice(at: Int(offset), length: length))
                        #expect(String(buffer: answer) == "end")
                    }
                }
                try await group.waitForAll()
            }
        }
        // The descriptor was lent, not given away.
        #expect(try file.readBytes(at: 0, length: 10) == content.getSlice(at: 0, length: 10))
    }

    @Test func aRequestWithoutAnswerDoesNotHoldUpTheNext() async throws {
        try await Loopback.with(answering: { $0.correlationID == 1 ? .noResponse : .respond(ResponseFrame(to: $0)) }) { loopback in
            let connection = try await loopback.connect()
            try await connection.eventLoop.submit { connection.sendUnansweredOnLoop(Loopback.request(1)) }.get()
            _ = try await connection.call(Loopback.request(2), correlationID: 2, timeout: .seconds(20))
        }
    }

    @Test(arguments: [
        ByteBuffer(string: "GET / HTTP/1.1\r\nHost: example\r\n\r\n"),
        ByteBuffer(integer: Int32(-1)),
        ByteBuffer(integer: Int32.max),
        ByteBuffer(bytes: [0, 0, 0, 2, 0, 3]),
    ])
    func garbageClosesItsConnectionOnlyAndIsLoggedWithThePeer(garbage: ByteBuffer) async throws {
        try await Loopback.with(answering: { .respond(ResponseFrame(to: $0)) }) { loopback in
            let good = try await loopback.connect()
            let bad = try await loopback.connectRaw()
            let port = try #require(bad.localAddress?.port)
            try await bad.writeAndFlush(garbage)
            try await bad.closeFuture.get()
            _ = try await good.call(Loopback.request(1), correlationID: 1, timeout: .seconds(20))
            #expect(loopback.logs.recorded.contains { $0.contains("127.0.0.1:\(port)") })
        }
    }

    @Test func randomBytesNeverStopTheServer() async throws {
        try await Loopback.with(answering: { request in
            guard request.apiKey == MetadataRequest.apiKey, (try? request.decode(MetadataRequest.self)) != nil,
                let answer = try? ResponseFrame(MetadataResponse(), to: request)
            else { return .closeConnection(reason: "unreadable") }
            return .respond(answer)
        }) { loopback in
            var random = SplitMix(state: 20_240_601)
            for _ in 0..<60 {
                var bytes = ByteBuffer()
                for _ in 0..<(1 + random.next() % 5) {
                    let size = Int(random.next() % 300)
                    // Half the time the length is true.
                    bytes.writeInteger(random.next() % 2 == 0 ? Int32(size) : Int32(truncatingIfNeeded: random.next()))
                    for _ in 0..<size { bytes.writeInteger(UInt8(truncatingIfNeeded: random.next())) }
                }
                let channel = try await loopback.connectRaw()
                // The server may close while we write.
                try? await channel.writeAndFlush(bytes)
                try? await channel.close()
            }
            let good = try await loopback.connect()
            await #expect(throws: KafkaClientError.self) {
                try await good.call(Loopback.request(1, body: ByteBuffer(bytes: [9])), correlationID: 1, timeout: .seconds(20))
            }
            let again = try await loopback.connect()
            let answer = try await again.send(MetadataRequest(topics: []), version: 1).brokers.count
            #expect(answer == 0)
        }
    }

    @Test func whatWasAskedBeforeGarbageIsStillAnswered() async throws {
        let gate = Gate()
        let begun = Gate()
        try await Loopback.with(answering: { request in
            guard request.correlationID == 1 else { return .closeConnection(reason: "test") }
            begun.open()
            return .respondLater {
                await gate.pass()
                return .respond(ResponseFrame(to: request))
            }
        }) { loopback in
            let connection = try await loopback.connect()
            async let first = connection.call(Loopback.request(1), correlationID: 1, timeout: .seconds(20))
            await begun.pass()
            try await connection.eventLoop.submit { connection.sendUnansweredOnLoop(Loopback.request(2)) }.get()
            gate.open()
            _ = try await first
            try await connection.closed.get()
        }
    }

    @Test func aPortInUseIsOneClearLine() async throws {
        try await Loopback.with(answering: { .respond(ResponseFrame(to: $0)) }) { loopback in
            let error = await #expect(throws: KafkaServerError.self) {
                try await loopback.server.start(host: "127.0.0.1", port: loopback.address.port)
            }
            #expect(error?.code == .addressInUse)
            #expect(error?.description.contains("127.0.0.1:\(loopback.address.port)") == true)
            #expect(error?.description.contains("\n") == false)
        }
    }

    @Test func stoppingAnswersWhatIsUnderWayAndTakesNothingNew() async throws {
        let gate = Gate()
        let begun = Gate()
        try await Loopback.with(answering: { request in
            begun.open()
            return .respondLater {
                await gate.pass()
                return .respond(ResponseFrame(to: request))
            }
        }) { loopback in
            let connection = try await loopback.connect()
            async let answer = connection.call(Loopback.request(1), correlationID: 1, timeout: .seconds(20))
            await begun.pass()
            async let stopped: Void = loopback.server.stop(within: .seconds(20))
            while (try? await loopback.connect()) != nil { await Task.yield() }
            gate.open()
            _ = try await answer
            await stopped
            #expect(loopback.server.connectionCount == 0)
            try await connection.closed.get()
        }
    }

    @Test func stoppingAbruptlyLeavesRequestsUnanswered() async throws {
        let begun = Gate()
        try await Loopback.with(answering: { request in
            begun.open()
            return .respondLater {
                await Gate().passWhenCancelledOrNever()
                return .noResponse
            }
        }) { loopback in
            let connection = try await loopback.connect()
            let answer = Task { try await connection.call(Loopback.request(1), correlationID: 1, timeout: .seconds(20)) }
            await begun.pass()
            await loopback.server.stopAbruptly()
            await #expect(throws: KafkaClientError.self) { try await answer.value }
            #expect(loopback.server.connectionCount == 0)
        }
    }

    @Test func moreConnectionsThanAllowedAreRefused() async throws {
        var configuration = KafkaServerConfiguration()
        configuration.connectionsPerAddressMax = 2
        try await Loopback.with(configuration, answering: { .respond(ResponseFrame(to: $0)) }) { loopback in
            let first = try await loopback.connect()
            let second = try await loopback.connect()
            for connection in [first, second] {
                _ = try await connection.call(Loopback.request(1), correlationID: 1, timeout: .seconds(20))
            }
            let third = try await loopback.connectRaw()
            try await third.closeFuture.get()
            #expect(loopback.server.connectionCount == 2)
            await first.close()
            while loopback.server.connectionCount == 2 { await Task.yield() }
            let fourth = try await loopback.connect()
            _ = try await fourth.call(Loopback.request(1), correlationID: 1, timeout: .seconds(20))
        }
    }

    @Test func anIdleConnectionIsClosed() async throws {
        var configuration = KafkaServerConfiguration()
        configuration.idleTimeout = .milliseconds(30)
        try await Loopback.with(configuration, answering: { .respond(ResponseFrame(to: $0)) }) { loopback in
            let connection = try await loopback.connect()
            try await connection.closed.get()
        }
    }
}
