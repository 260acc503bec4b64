//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Glibc
@_spi(CustomByteBufferAllocator) package import NIOCore

// A `ByteBuffer` that grows takes powers of two, which is right while it grows. What has its final size from the start would take up
// to twice its bytes: a frame of 1 MiB and its length prefix, 2 MiB.
extension ByteBuffer {
    /// An empty buffer with room for `bytes` bytes and no more. Writing beyond them grows it, to a power of two.
    package init(roomFor bytes: Int) {
        guard bytes > 0, let memory = malloc(bytes) else {
            self.init()
            return
        }
        self.init(takingOver: UnsafeMutableRawBufferPointer(start: memory, count: bytes), written: 0)
    }

    /// Takes over memory that `malloc` gave, of which `written` bytes are readable. It is freed with the last slice of it.
    package init(takingOver memory: UnsafeMutableRawBufferPointer, written: Int) {
        self.init(takingOwnershipOf: memory, allocator: ByteBufferAllocator(), writerIndex: written)
    }

    /// A copy in memory of its own size. For what is kept: a slice would keep all of the buffer it was cut from.
    package init(copyToSizeOf bytes: ByteBuffer) {
        self.init(roomFor: bytes.readableBytes)
        writeImmutableBuffer(bytes)
    }
}
