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
    /// A produce brings one batch per partition, which needs no array.
    private enum Batches {
        case one(RecordBatchHeader)
        /// Two or more, with their places in `bytes`.
        case several([RecordBatches.Entry])
    }

    /// Headers as they will lie in the log.
    private var batches: Batches
    private var bytes: ByteBuffer
    private var prefixes: ByteBuffer?
    private var prefixLength: Int

    package var sizeInBytes: Int { bytes.readableBytes }
    package var baseOffset: Offset { header(0).baseOffset }
    package var endOffset: Offset { header(batchCount - 1).endOffset }

    package var batchCount: Int {
        switch batches {
        case .one: 1
        case .several(let entries): entries.count
        }
    }

    /// Of batch `index`, as it will lie in the log.
    package func header(_ index: Int) -> RecordBatchHeader {
        switch batches {
        case .one(let header): header
        case .several(let entries): entries[index].header
        }
    }

    /// Where batch `index` begins in the bytes as given; with `batchCount`, where the last one ends.
    private func position(_ index: Int) -> Int {
        switch batches {
        case .one: index == 0 ? 0 : sizeInBytes
        case .several(let entries): index < entries.count ? entries[index].position : sizeInBytes
        }
    }

    /// As a follower takes them: as given.
    package init(asGiven batches: RecordBatches) {
        precondition(!batches.isEmpty, "a chunk holds at least one batch")
        self.batches = batches.entries.count == 1 ? .one(batches.entries[0].header) : .several(batches.entries)
        bytes = batches.buffer
        prefixes = nil
        prefixLength = 0
    }

    /// As a leader places them: consecutive offsets from `baseOffset`, its `epoch` and, if given, its time.
    package init(_ batches: RecordBatches, baseOffset: Offset, epoch: LeaderEpoch, logAppendTime: Timestamp?) {
        self.init(asGiven: batches)
        prefixLength = logAppendTime == nil ? Self.patchedBytes : RecordBatchHeader.size
        var prefixes = ByteBuffer(roomFor: prefixLength * batchCount)
        switch self.batches {
        case .one(var header):
            place(&header, at: 0, baseOffset, epoch, logAppendTime, &prefixes)
            self.batches = .one(header)
        case .several(var entries):
            var next = baseOffset
            for index in entries.indices {
                place(&entries[index].header, at: entries[index].position, next, epoch, logAppendTime, &prefixes)
                next = entries[index].header.endOffset
            }
            self.batches = .several(entries)
        }
        self.prefixes = prefixes
    }

    /// Gives the batch at `position` its offset, epoch and time, and writes the bytes that differ behind `prefixes`.
    private func place(
        _ header: inout RecordBatchHeader, at position: Int, _ baseOffset: Offset, _ epoch: LeaderEpoch,
        _ logAppendTime: Timestamp?,
        _ prefixes: inout ByteBuffer
    ) {
        header.baseOffset = baseOffset
        header.partitionLeaderEpoch = epoch
        guard let logAppendTime else {
            prefixes.writeMultipleIntegers(header.baseOffset.rawValue, header.batchLength, epoch.rawValue)
            return
        }
        header.attributes |= Self.logAppendTimeBit
        header.maxTimestamp = logAppendTime
        Self.write(&header, body: bytes, at: bytes.readerIndex + position, into: &prefixes)
    }

    /// Appends the buffers of batches `range` to `buffers`.
    func gather(_ range: Range<Int>, into buffers: inout [ByteBuffer]) {
        guard let prefixes else {
            let start = position(range.lowerBound)
            buffers.append(bytes.getSlice(at: bytes.readerIndex + start, length: position(range.upperBound) - start)!)
            return
        }
        for index in range {
            let (prefix, rest) = parts(index, prefixes)
            buffers.append(prefix)
            buffers.append(rest)
        }
    }

    private func parts(_ index: Int, _ prefixes: ByteBuffer) -> (prefix: ByteBuffer, rest: ByteBuffer) {
        let prefix = prefixes.getSlice(at: prefixes.readerIndex + index * prefixLength, length: prefixLength)!
        let start = position(index) + prefixLength
        return (prefix, bytes.getSlice(at: bytes.readerIndex + start, length: position(index + 1) - start)!)
    }

    /// Batch `index` for readers that follow closely. A follower's copy is read by nobody, and not kept.
    func kept(_ index: Int, in tail: TailCache) -> TailCache.Entry? {
        guard let prefixes else { return nil }
        let (prefix, rest) = parts(index, prefixes)
        return tail.keep(prefix, rest)
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
