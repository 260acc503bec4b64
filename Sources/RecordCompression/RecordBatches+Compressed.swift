//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel
internal import NIOCore

extension RecordBatches {
    /// Bytes of a batch's records that are looked at, decompressed.
    package static let decompressedBytesMax = 32 << 20

    /// The records of a batch of any codec, in offset order.
    ///
    /// - Throws: ``RecordBatchError/malformed`` too for bytes that are not what the batch's codec makes, or that become more than
    ///   `bytesMax`.
    package func records(
        of entry: Entry, decompressingAtMost bytesMax: Int = decompressedBytesMax
    ) throws(RecordBatchError) -> [Record] {
        guard let codec = entry.header.codec else { throw .unknownCompression(entry.header.codecBits) }
        if codec == .none { return try records(of: entry) }
        let start = buffer.readerIndex + entry.position + RecordBatchHeader.size
        guard let bytes = buffer.getSlice(at: start, length: entry.header.sizeInBytes - RecordBatchHeader.size) else {
            throw .truncated
        }
        let plain: ByteBuffer
        do throws(DecompressionError) { plain = try decompress(bytes, codec, limit: bytesMax) } catch { throw .malformed }
        return try records(of: entry.header, in: plain)
    }

    /// The first record of a batch that `fits`, by offset and time; nil if none does. Of a compressed batch that cannot be looked into, its first
    /// record's: who reads from there finds what was asked for, behind others.
    package func first(
        of entry: Entry, where fits: (Offset, Timestamp) -> Bool
    ) throws(RecordBatchError) -> (offset: Offset, timestamp: Timestamp)? {
        let header = entry.header
        let records: [Record]
        do throws(RecordBatchError) { records = try self.records(of: entry, decompressingAtMost: Self.decompressedBytesMax) } catch
        {
            if header.codec == CompressionCodec.none { throw error }
            return (header.baseOffset, header.usesLogAppendTime ? header.maxTimestamp : header.baseTimestamp)
        }
        return records.first { fits($0.offset, $0.timestamp) }.map { ($0.offset, $0.timestamp) }
    }
}
