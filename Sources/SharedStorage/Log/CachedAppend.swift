//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogModel
internal import NIOCore

/// The batches of one append, as the log cache keeps them from the append until they are evicted.
struct CachedAppend: Sendable {
    var batches: RecordBatches
    /// Half-open.
    var offsets: Range<Offset>
    /// The append's number in the WAL.
    var sequence: UInt64
    /// Where its record lies in the ring; nil until it is synced.
    var position: Int64?

    var sizeInBytes: Int { batches.sizeInBytes }

    /// Whole batches from the one holding `offset`, below `end`, at most `bytesMax` bytes, the first even if larger when `takesFirst`.
    ///
    /// - Returns: The bytes, and whether a limit rather than the append's end stopped it.
    func slice(from offset: Offset, below end: Offset, bytesMax: Int, takesFirst: Bool) -> (bytes: ByteBuffer?, isCut: Bool) {
        var first = 0
        if offset > offsets.lowerBound {
            while first < batches.entries.count, batches.entries[first].header.endOffset <= offset { first += 1 }
        }
        guard first < batches.entries.count else { return (nil, false) }
        let start = batches.entries[first].position
        var length = 0
        var next = first
        while next < batches.entries.count {
            let header = batches.entries[next].header
            guard header.endOffset <= end else { break }
            guard length + header.sizeInBytes <= bytesMax || takesFirst && length == 0 else { break }
            length += header.sizeInBytes
            next += 1
        }
        let isCut = next < batches.entries.count
        guard length > 0 else { return (nil, isCut) }
        return (batches.buffer.getSlice(at: batches.buffer.readerIndex + start, length: length), isCut)
    }

    /// For an object.
    var chunk: ObjectBuilder.Chunk {
        ObjectBuilder.Chunk(
            start: offsets.lowerBound, end: offsets.upperBound, batchCount: batches.entries.count,
            maxTimestamp: batches.maxTimestamp,
            data: batches.buffer)
    }
}

extension ByteBuffer {
    /// Walks the batches laid back to back from the reader index on; `body` gets each one's header and its index, and says whether to go on.
    func forEachBatch(_ body: (RecordBatchHeader, Int) -> Bool) throws(RecordBatchError) {
        var index = readerIndex
        while index < writerIndex {
            let header = try RecordBatchHeader(in: self, at: index)
            guard index + header.sizeInBytes <= writerIndex else { throw .truncated }
            guard body(header, index) else { return }
            index += header.sizeInBytes
        }
    }

    /// Whole batches of a block from the one holding `offset`, below `end`, at most `bytesMax` bytes, the first even if larger when
    /// `takesFirst`.
    func batches(
        from offset: Offset, below end: Offset, bytesMax: Int, takesFirst: Bool
    ) throws(RecordBatchError) -> (bytes: ByteBuffer?, end: Offset?, isCut: Bool) {
        var start: Int?
        var last: Offset?
        var length = 0
        var isCut = false
        try forEachBatch { header, index in
            if header.endOffset <= offset { return true }
            guard header.endOffset <= end, length + header.sizeInBytes <= bytesMax || takesFirst && length == 0 else {
                isCut = true
                return false
            }
            if start == nil { start = index }
            length += header.sizeInBytes
            last = header.endOffset
            return true
        }
        guard let start, length > 0 else { return (nil, nil, isCut) }
        return (getSlice(at: start, length: length), last, isCut)
    }
}
