//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogModel
internal import NIOCore

/// Puts checksums right, so that mutated bytes get beyond them.
enum Repair {
    /// Record batches back to back: a length that leads beyond the end is cut to it, magic and CRC are set.
    static func recordBatches(_ buffer: inout ByteBuffer) {
        var position = buffer.readerIndex
        while buffer.writerIndex - position >= RecordBatchHeader.size {
            let room = buffer.writerIndex - position
            let stored = Int(buffer.getInteger(at: position + 8, as: Int32.self) ?? 0)
            let size = min(max(RecordBatchHeader.size, stored &+ RecordBatchHeader.lengthPrefixSize), room)
            buffer.setInteger(Int32(size - RecordBatchHeader.lengthPrefixSize), at: position + 8)
            buffer.setInteger(Int8(2), at: position + 16)
            buffer.setInteger(CRC32C.extend(0, with: buffer, at: position + 21, length: size - 21), at: position + 17)
            position += size
        }
    }

    /// A CRC-32C at `index` of the `length` bytes at `start`.
    static func checksum(_ buffer: inout ByteBuffer, at index: Int, of start: Int, length: Int) {
        guard start >= buffer.readerIndex, length >= 0, start + length <= buffer.writerIndex, index + 4 <= buffer.writerIndex else {
            return
        }
        buffer.setInteger(CRC32C.extend(0, with: buffer, at: start, length: length), at: index)
    }
}
