//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel
package import NIOCore
package import RuntimeEnvironment

/// Reads a `.log` file from a position to the first bytes that are no good batch, checking each batch's CRC.
package enum SegmentScan {
    /// Read at once; a larger batch is read whole.
    private static let chunkBytes = 1 << 20

    /// - Parameters:
    ///   - offsets: All that a batch of this file may have.
    ///   - visit: Called for each good batch with its position and whole bytes.
    /// - Returns: Where the good batches end, and why there, if not at the file's end.
    package static func run(
        _ file: any DiskFile, from start: Int64, size: Int64, offsets: ClosedRange<Offset>,
        visit: (RecordBatchHeader, Int64, ByteBuffer) throws(SegmentError) -> Void
    ) throws(SegmentError) -> (end: Int64, damage: String?) {
        var position = start
        var floor = offsets.lowerBound
        var epoch = LeaderEpoch.none
        var chunk = ByteBuffer()
        var chunkStart = start
        func load(_ needed: Int) throws(SegmentError) {
            let length = Int(min(Int64(max(needed, chunkBytes)), size - position))
            chunk = try onDisk { () throws(DiskError) in try file.readBytes(at: position, length: length) }
            chunkStart = position
        }
        while position < size {
            if position + Int64(RecordBatchHeader.size) > chunkStart + Int64(chunk.readableBytes) { try load(0) }
            var index = chunk.readerIndex + Int(position - chunkStart)
            let header: RecordBatchHeader
            do { header = try RecordBatchHeader(in: chunk, at: index) } catch {
                if let length = LegacyMessage.length(in: chunk, at: index), Int64(length) <= size - position {
                    if index + length > chunk.writerIndex {
                        try load(length)
                        index = chunk.readerIndex
                    }
                    if LegacyMessage.isWhole(in: chunk, at: index) {
                        throw .unsupported(
                            "\(file.path), byte \(position): messages of Kafka before 0.11 (formats 0 and 1) are not read here; "
                                + "copy the topic with a client while Kafka has it, or move the directory away")
                    }
                }
                if case .truncated = error { return (position, "\(size - position) bytes are no batch header") }
                return (position, "no batch header: \(error)")
            }
            guard position + Int64(header.sizeInBytes) <= size else { return (position, "the batch is cut off") }
            if index + header.sizeInBytes > chunk.writerIndex {
                try load(header.sizeInBytes)
                index = chunk.readerIndex
            }
            let crc = CRC32C.extend(
                0, with: chunk, at: index + batchCRCStart, length: header.sizeInBytes - batchCRCStart)
            guard crc == header.crc else { return (position, "the CRC is \(crc), stored is \(header.crc)") }
            // What no append lets in, no follower would take either.
            guard header.codec != nil, header.recordCount >= 0 else {
                return (position, "codec \(header.codecBits), \(header.recordCount) records")
            }
            // The base offset lies outside the CRC. Looked at before the last, which would wrap around.
            guard header.lastOffsetDelta >= 0, header.baseOffset >= floor, header.baseOffset <= offsets.upperBound,
                header.lastOffset <= offsets.upperBound
            else {
                return (position, "offset \(header.baseOffset) follows \(floor)")
            }
            // What a leader appended never has an older epoch than what lies before it: these are bytes from before a truncation.
            guard header.partitionLeaderEpoch >= epoch else {
                return (position, "leader epoch \(header.partitionLeaderEpoch) follows \(epoch)")
            }
            epoch = header.partitionLeaderEpoch
            try visit(header, position, chunk.getSlice(at: index, length: header.sizeInBytes)!)
            floor = header.endOffset
            position += Int64(header.sizeInBytes)
        }
        return (position, nil)
    }

    /// The CRC covers a batch from its attributes on.
    private static let batchCRCStart = 21
}
