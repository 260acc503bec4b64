//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import CChecksum
public import NIOCore

/// CRC-32C (Castagnoli, RFC 3720 appendix B.4), which Kafka's batches and our own WAL and objects carry.
public enum CRC32C {
    /// Continues `crc` (0 to begin with) over `bytes`.
    public static func extend(_ crc: UInt32 = 0, with bytes: UnsafeRawBufferPointer) -> UInt32 {
        ninefold_crc32c_extend(crc, bytes.baseAddress, bytes.count)
    }

    /// Continues `crc` over `length` bytes of `buffer` from `index`, an absolute index of the buffer's, inside its readable bytes.
    public static func extend(_ crc: UInt32 = 0, with buffer: ByteBuffer, at index: Int, length: Int) -> UInt32 {
        precondition(index >= buffer.readerIndex && index + length <= buffer.writerIndex, "CRC range outside the readable bytes")
        return buffer.withUnsafeReadableBytes { readable in
            extend(crc, with: UnsafeRawBufferPointer(rebasing: readable[(index - buffer.readerIndex)...].prefix(length)))
        }
    }

    /// Over all readable bytes of `buffer`.
    public static func checksum(of buffer: ByteBuffer) -> UInt32 { buffer.withUnsafeReadableBytes { extend(0, with: $0) } }

    public static func checksum(of bytes: [UInt8]) -> UInt32 { bytes.withUnsafeBytes { extend(0, with: $0) } }

    /// The table path alone, for tests to hold against the processor's instruction.
    package static func extendPortable(_ crc: UInt32 = 0, with bytes: UnsafeRawBufferPointer) -> UInt32 {
        ninefold_crc32c_extend_portable(crc, bytes.baseAddress, bytes.count)
    }
}
