//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel
internal import NIOCore

/// Batches with their offsets, ready to be written: the bytes as they came, and beside them the header bytes that differ.
///
/// A produced buffer is a slice of what the socket received, shared with its neighbours; patching it would copy it whole. So the first
/// bytes of each batch (16: base offset to leader epoch; 61 where log append time renews the CRC) are made anew in a small
/// buffer, and the two are written in one gathered write.
package struct AppendChunk: Sendable {
    /// As they will lie in the log.
    package private(set) var headers: [RecordBatchHeader]
    package private(set) var sizeInBytes: Int
    private var bytes: ByteBuffer
    private var positions: [Int]
    private var prefixes: ByteBuffer?
    private var prefixLength: Int

    package var baseOffset: Offset { headers[0].baseOffset }
    package var endOffset: Offset { headers[headers.count - 1].endOffset }

    /// As a follower takes them: as given.
    package init(asGiven batches: RecordBatches) {
        precondition(!batches.isEmpty, "a chunk holds at least one batch")
        headers = batches.entries.map(\.header)
        positions = batches.entries.map(\.position)
        bytes = batches.buffer
        sizeInBytes = batches.sizeInBytes
        prefixes = nil
        prefixLength = 0
    }

    /// As a leader places them: consecutive offsets from `baseOffset`, its `epoch` and, if given, its time.
    package init(_ batches: RecordBatches, baseOffset: Offset, epoch: LeaderEpoch, logAppendTime: Timestamp?) {
        self.init(asGiven: batches)
        prefixLength = logAppendTime == nil ? Self.patchedBytes : RecordBatchHeader.size
        var prefixes = ByteBuffer()
        prefixes.reserveCapacity(prefixLength * headers.count)
        var next = baseOffset
        for index in headers.indices {
            headers[index].baseOffset = next
            headers[index].partitionLeaderEpoch = epoch
            next = headers[index].endOffset
            let at = bytes.readerIndex + positions[index]
            if let logAppendTime {
                headers[index].attributes |= Self.logAppendTimeBit
                headers[index].maxTimestamp = logAppendTime
                Self.write(&headers[index], body: bytes, at: at, into: &prefixes)
            } else {
                let header = headers[index]
                prefixes.writeMultipleIntegers(header.baseOffset.rawValue, header.batchLength, epoch.rawValue)
            }
        }
        self.prefixes = prefixes
    }

    /// Appends the buffers of batches `range` to `buffers`.
    func gather(_ range: Range<Int>, into buffers: inout [ByteBuffer]) {
        guard let prefixes else {
            let start = positions[range.lowerBound]
            let end = range.upperBound < positions.count ? positions[range.upperBound] : sizeInBytes
            buffers.append(bytes.getSlice(at: bytes.readerIndex + start, length: end - start)!)
            return
        }
        for index in range {
            buffers.append(prefixes.getSlice(at: prefixes.readerIndex + index * prefixLength, length: prefixLength)!)
            let start = bytes.readerIndex + positions[index] + prefixLength
            buffers.append(bytes.getSlice(at: start, length: headers[index].sizeInBytes - prefixLength)!)
        }
    }

    /// Batch `index` for readers that follow closely. A follower's copy is read by nobody, and not kept.
    func kept(_ index: Int, in tail: TailCache) -> TailCache.Entry? {
        guard prefixes != nil else { return nil }
        var parts: [ByteBuffer] = []
        parts.reserveCapacity(2)
        gather(index..<(index + 1), into: &parts)
        return tail.keep(parts, sizeInBytes: headers[index].sizeInBytes)
    }

    /// The bytes of a control batch, for its record's sake.
    func batch(_ index: Int) -> ByteBuffer {
        var buffers: [ByteBuffer] = []
        gather(index..<(index + 1), into: &buffers)
        var whole = buffers[0]
        for var buffer in buffers.dropFirst() { whole.writeBuffer(&buffer) }
        return whole
    }

    private static let patchedBytes = 16
    private static let logAppendTimeBit: UInt16 = 0x8
    private static let crcStart = 21

    /// Writes the whole header with its CRC over the new header and the old records.
    private static func write(_ header: inout RecordBatchHeader, body: ByteBuffer, at index: Int, into prefixes: inout ByteBuffer) {
        let start = prefixes.writerIndex
        prefixes.writeMultipleIntegers(
            header.baseOffset.rawValue, header.batchLength, header.partitionLeaderEpoch.rawValue, Int8(2), UInt32(0))
        prefixes.writeMultipleIntegers(
            header.attributes, header.lastOffsetDelta, header.baseTimestamp.rawValue, header.maxTimestamp.rawValue,
            header.producerID, header.producerEpoch, header.baseSequence, header.recordCount)
        var crc = CRC32C.extend(0, with: prefixes, at: start + crcStart, length: RecordBatchHeader.size - crcStart)
        crc = CRC32C.extend(
            crc, with: body, at: index + RecordBatchHeader.size, length: header.sizeInBytes - RecordBatchHeader.size)
        header.crc = crc
        prefixes.setInteger(crc, at: start + 17)
    }
}
