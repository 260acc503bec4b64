//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import KafkaNetwork
internal import NIOCore

/// Frames cut from what a socket gives, the copy that stands for the kernel's included.
extension MicroBenchmark {
    static let frames: [MicroBenchmark] = [
        assemble("1KiB", frameBytes: 1 << 10, readBytes: 64 << 10), assemble("1MiB", frameBytes: 1 << 20, readBytes: 256 << 10),
    ]

    private static func assemble(_ label: String, frameBytes: Int, readBytes: Int) -> MicroBenchmark {
        MicroBenchmark(
            "frames.assemble.\(label)",
            "cuts a frame of \(frameBytes) bytes from reads of at most \(readBytes) bytes into buffers lent for them",
            bytes: frameBytes,
            counted: 256
        ) { _, _ in
            var socket = Socket(frameBytes: frameBytes, readBytes: readBytes)
            var assembler = FrameAssembler(frameBytesMax: 100 << 20)
            return { operations in
                var cut = 0
                while cut < operations {
                    var buffer = assembler.lendReceiveBuffer(allocator: ByteBufferAllocator())
                    socket.read(into: &buffer)
                    assembler.append(buffer)
                    while let frame = try assembler.nextFrame() {
                        guard frame.readableBytes == frameBytes else {
                            throw BenchmarkFailure("a frame of \(frame.readableBytes) bytes")
                        }
                        blackHole(frame)
                        cut += 1
                    }
                }
            }
        }
    }

    /// A peer that always has sent more.
    private struct Socket {
        /// Two frames with their lengths, so that a stretch from anywhere in the first is at hand.
        private let stream: ByteBuffer
        private let period: Int
        private let readBytes: Int
        private var position = 0

        init(frameBytes: Int, readBytes: Int) {
            period = frameBytes + 4
            self.readBytes = readBytes
            var stream = ByteBuffer()
            while stream.readableBytes < period + readBytes {
                stream.writeInteger(Int32(frameBytes))
                stream.writeRepeatingByte(7, count: frameBytes)
            }
            self.stream = stream
        }

        mutating func read(into buffer: inout ByteBuffer) {
            let count = min(readBytes, buffer.writableBytes)
            let start = position
            stream.withUnsafeReadableBytes { bytes in
                _ = buffer.writeBytes(UnsafeRawBufferPointer(rebasing: bytes[start..<(start + count)]))
            }
            position = (position + count) % period
        }
    }
}
