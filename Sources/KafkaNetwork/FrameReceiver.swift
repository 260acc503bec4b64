//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import NIOCore

/// Lets a channel read from its socket straight into the frame under way.
///
/// NIO asks its receive allocator for a buffer before each read and appends to it. We answer with the assembler's, and with
/// a new one where there is none; NIO's own pool of buffers stays out of it because ``nextBufferSize()`` gives no hint and
/// ``record(actualReadBytes:)`` always says that the next buffer may be larger. The channel must read one message at a time,
/// so that a buffer is only lent when the selector has said that bytes are there.
///
/// Guard for `@unchecked Sendable`: touched on the channel's event loop alone, by the channel and by its handler.
final class FrameReceiver: RecvByteBufferAllocator, @unchecked Sendable {
    var assembler: FrameAssembler
    private var hasLent = false

    init(frameBytesMax: Int) { assembler = FrameAssembler(frameBytesMax: frameBytesMax) }

    func buffer(allocator: ByteBufferAllocator) -> ByteBuffer {
        guard hasLent else {
            // The channel's pool keeps the first buffer for good, so it had better be small.
            hasLent = true
            return allocator.buffer(capacity: 512)
        }
        return assembler.lendReceiveBuffer(allocator: allocator)
    }

    func nextBufferSize() -> Int? { nil }
    func record(actualReadBytes: Int) -> Bool { true }
}

extension Channel {
    /// Sets the options that ``FrameReceiver`` counts on. On the channel's event loop, before it is active.
    func receiveFrames(into receiver: FrameReceiver) throws {
        guard let options = syncOptions else { return }
        try options.setOption(.recvAllocator, value: receiver)
        try options.setOption(.maxMessagesPerRead, value: 1)
    }
}
