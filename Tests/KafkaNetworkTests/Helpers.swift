//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Foundation
import KafkaNetwork
import LogModel
import NIOCore
import NIOPosix

/// Bytes that do not repeat soon.
enum Pattern {
    static let whole = bytes(1_100_000)

    static func bytes(_ count: Int) -> ByteBuffer {
        var random = SplitMix(state: 1)
        var buffer = ByteBuffer()
        while buffer.readableBytes < count { buffer.writeInteger(random.next()) }
        return buffer.readSlice(length: count)!
    }
}

/// Fulfils its promise with the first `bytes` bytes that come.
final class Collector: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let bytes: Int
    private let promise: EventLoopPromise<ByteBuffer>
    private var collected = ByteBuffer()

    init(bytes: Int, promise: EventLoopPromise<ByteBuffer>) {
        self.bytes = bytes
        self.promise = promise
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        collected.writeImmutableBuffer(unwrapInboundIn(data))
        if collected.readableBytes >= bytes { promise.succeed(collected) }
    }

    func channelInactive(context: ChannelHandlerContext) { promise.fail(ChannelError.eof) }
}

/// Fulfils its promise once so many bytes have come.
final class ByteCounter: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private var missing: Int
    private let promise: EventLoopPromise<Void>

    init(until bytes: Int, promise: EventLoopPromise<Void>) {
        self.missing = bytes
        self.promise = promise
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        missing -= unwrapInboundIn(data).readableBytes
        if missing <= 0 { promise.succeed(()) }
    }

    func channelInactive(context: ChannelHandlerContext) { promise.fail(ChannelError.eof) }
}

enum ClientBootstrapWithoutReading {
    static func connect(_ address: BrokerAddress) async throws -> any Channel {
        try await ClientBootstrap(group: Loopback.group)
            .channelOption(.autoRead, value: false)
            .connect(host: address.host, port: address.port).get()
    }
}

extension Gate {
    /// For work that is never to end by itself: returns so that no continuation leaks, a moment after the test is over.
    func passWhenCancelledOrNever() async { try? await Task.sleep(for: .seconds(2)) }
}

/// Guard for `@unchecked Sendable`: the handle is only used by `pread`, which is safe from any thread.
final class TestFile: OpenFile, @unchecked Sendable {
    private let handle: FileHandle
    private let hasDescriptor: Bool

    init(path: String, hasDescriptor: Bool) throws {
        handle = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
        self.hasDescriptor = hasDescriptor
    }

    var descriptor: CInt? { hasDescriptor ? handle.fileDescriptor : nil }

    func readBytes(at offset: Int64, length: Int) throws -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: length) {
            pread(handle.fileDescriptor, $0.baseAddress, length, off_t(offset))
        }
        return buffer
    }
}
