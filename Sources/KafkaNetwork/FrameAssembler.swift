//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogModel
package import NIOCore

/// Why bytes from a peer are not frames.
package enum FrameError: Error, Hashable, Sendable, CustomStringConvertible {
    case negativeLength(Int32)
    case tooLarge(length: Int, max: Int)
    /// The socket gave back a receive buffer without telling us; the frame begun in it cannot be finished.
    case receiveBufferLost

    package var description: String {
        switch self {
        case .negativeLength(let length): "a frame of negative length \(length)"
        case .tooLarge(let length, let max): "a frame of \(length) bytes, where \(max) are allowed"
        case .receiveBufferLost: "a receive buffer was lost"
        }
    }
}

/// Cuts the bytes of one connection into frames (a four-byte big-endian length and so many bytes), copying as little as can be.
///
/// A frame that lies within one received buffer is a slice of it. For a frame that does not, one buffer of its size is made, and
/// what is missing is received *into* that buffer where the channel asks ``lendReceiveBuffer(allocator:)`` for its next one, so
/// that large frames are written once, by the kernel. Bytes that come in buffers of their own are copied once.
///
/// ```
///  received   ┌ frame ┬ frame ┬ begin…┐        lent for the next read
///             └ slice ┴ slice ┴───────┘──copy──▶ begin… ░░░░ rest of this frame ░░░░
/// ```
package struct FrameAssembler {
    package let frameBytesMax: Int
    /// What is being cut.
    private var current = ByteBuffer()
    /// Frames already cut from ``current``, which keep its storage from being written to.
    private var framesOfCurrent = 0
    /// The beginning of a frame, its length prefix included, in a buffer with room for all of it. Nil while it is lent.
    private var begun: ByteBuffer?
    private var isLent = false
    private var isLost = false
    /// The size of the last frame, a guess at the next one's.
    private var lastFrameBytes = 0

    static let prefixBytes = 4
    package static let freshBufferBytes = 64 << 10
    static let predictedBytesMax = 4 << 20

    package init(frameBytesMax: Int) { self.frameBytesMax = frameBytesMax }

    /// Bytes received and not yet part of a frame handed out.
    package var bufferedBytes: Int { current.readableBytes + (begun?.readableBytes ?? 0) }

    /// The buffer the next bytes of the socket should be received into, behind what it already holds; hand it back with
    /// ``append(_:)``.
    package mutating func lendReceiveBuffer(allocator: ByteBufferAllocator) -> ByteBuffer {
        if isLent { isLost = true }
        if let buffer = begun, current.readableBytes == 0, buffer.writableBytes > 0 {
            begun = nil
            isLent = true
            return buffer
        }
        // Frames of one size follow each other: with room for exactly one (and a little) the next is received without a copy.
        let predicted = lastFrameBytes + Self.prefixBytes + lastFrameBytes / 16
        guard predicted > Self.freshBufferBytes else { return allocator.buffer(capacity: Self.freshBufferBytes) }
        return ByteBuffer(roomFor: min(predicted, Self.predictedBytesMax))
    }

    package mutating func append(_ incoming: ByteBuffer) {
        if isLent {
            isLent = false
            current = incoming
            framesOfCurrent = 0
        } else if current.readableBytes == 0 {
            current = incoming
            framesOfCurrent = 0
        } else {
            // Frames are left because the reader is held back, and more came all the same.
            current.writeImmutableBuffer(incoming)
        }
    }

    /// The next whole frame without its length, nil until more bytes are appended.
    package mutating func nextFrame() throws(FrameError) -> ByteBuffer? {
        if isLost { throw .receiveBufferLost }
        if begun != nil { return try continueBegun() }
        guard let length = try Self.length(at: current, max: frameBytesMax) else {
            setAside(needed: Self.prefixBytes)
            return nil
        }
        guard current.readableBytes >= Self.prefixBytes + length else {
            setAside(needed: Self.prefixBytes + length)
            return nil
        }
        current.moveReaderIndex(forwardBy: Self.prefixBytes)
        lastFrameBytes = length
        framesOfCurrent += 1
        return current.readSlice(length: length)
    }

    /// Moves bytes of ``current`` behind those begun, until the length is known and then until the frame is whole.
    private mutating func continueBegun() throws(FrameError) -> ByteBuffer? {
        while true {
            let length = try Self.length(at: begun!, max: frameBytesMax)
            let needed = Self.prefixBytes + (length ?? 0)
            let missing = needed - begun!.readableBytes
            if let length, missing <= 0 {
                var frame = begun!
                begun = nil
                lastFrameBytes = length
                frame.moveReaderIndex(forwardBy: Self.prefixBytes)
                return frame.readSlice(length: length)
            }
            guard var part = current.readSlice(length: min(missing, current.readableBytes)), part.readableBytes > 0 else {
                return nil
            }
            if begun!.writableBytes < missing {
                let wanted = Self.windowBytes(needed: needed, held: begun!.readableBytes + part.readableBytes)
                var larger = ByteBuffer(roomFor: wanted)
                larger.writeImmutableBuffer(begun!)
                begun = larger
            }
            begun!.writeBuffer(&part)
        }
    }

    /// The size of the next frame once its length is known, whether it is whole or not. For deciding to go on before its bytes come.
    package func nextFrameBytes() throws(FrameError) -> Int? { try Self.length(at: begun ?? current, max: frameBytesMax) }

    /// Keeps the incomplete frame at the end of ``current`` where its rest can follow.
    private mutating func setAside(needed: Int) {
        guard current.readableBytes > 0 else {
            current = ByteBuffer()
            return
        }
        let room = current.readableBytes + current.writableBytes
        let wanted = Self.windowBytes(needed: needed, held: current.readableBytes)
        if framesOfCurrent == 0, room >= wanted {
            begun = current
        } else {
            // Exactly so much: a socket read would fill any more with the frame after this one.
            var window = ByteBuffer(roomFor: wanted)
            window.writeImmutableBuffer(current)
            begun = window
        }
        current = ByteBuffer()
    }

    /// Room to make for a frame of `needed` bytes of which `held` are here. A length alone earns no more than a few megabytes:
    /// beyond that the room doubles as bytes come, so that a liar must send what it claims.
    private static func windowBytes(needed: Int, held: Int) -> Int {
        // A length not yet known asks for more than the prefix itself, or the next read would be of a few bytes.
        if needed <= prefixBytes { return freshBufferBytes }
        return min(needed, max(predictedBytesMax, 2 * held))
    }

    private static func length(at buffer: ByteBuffer, max: Int) throws(FrameError) -> Int? {
        guard let length = buffer.getInteger(at: buffer.readerIndex, as: Int32.self) else { return nil }
        guard length >= 0 else { throw .negativeLength(length) }
        guard length <= max else { throw .tooLarge(length: Int(length), max: max) }
        return Int(length)
    }
}
