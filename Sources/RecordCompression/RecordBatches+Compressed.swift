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
        try records(of: entry.header, in: decompressed(entry, bytesMax))
    }

    /// The first record of a batch that `fits`, by offset and time; nil if none does. Of a compressed batch that cannot be looked into, its first
    /// record's: who reads from there finds what was asked for, behind others.
    package func first(
        of entry: Entry, where fits: (Offset, Timestamp) -> Bool
    ) throws(RecordBatchError) -> (offset: Offset, timestamp: Timestamp)? {
        let header = entry.header
        var found: (offset: Offset, timestamp: Timestamp)?
        do throws(RecordBatchError) {
            try forEachRecord(of: header, in: decompressed(entry, Self.decompressedBytesMax)) { record in
                guard fits(record.offset, record.timestamp) else { return true }
                found = (record.offset, record.timestamp)
                return false
            }
        } catch {
            if header.codec == CompressionCodec.none { throw error }
            return (header.baseOffset, header.usesLogAppendTime ? header.maxTimestamp : header.baseTimestamp)
        }
        return found
    }

    private func decompressed(_ entry: Entry, _ bytesMax: Int) throws(RecordBatchError) -> ByteBuffer {
        guard let codec = entry.header.codec else { throw .unknownCompression(entry.header.codecBits) }
        let start = buffer.readerIndex + entry.position + RecordBatchHeader.size
        guard let bytes = buffer.getSlice(at: start, length: entry.header.sizeInBytes - RecordBatchHeader.size) else {
            throw .truncated
        }
        do throws(DecompressionError) { return try decompress(bytes, codec, limit: bytesMax) } catch { throw .malformed }
    }
}
