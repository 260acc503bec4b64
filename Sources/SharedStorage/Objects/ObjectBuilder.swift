//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel
package import NIOCore

/// Lays out one object in memory. Streams are added one after another, in the order of their ids; record bytes are not copied.
package struct ObjectBuilder {
    /// A stretch of one stream: whole batches, back to back.
    package struct Chunk: Sendable {
        package var start: Offset
        /// Exclusive.
        package var end: Offset
        package var batchCount: Int
        package var maxTimestamp: Timestamp
        package var data: ByteBuffer

        package init(start: Offset, end: Offset, batchCount: Int, maxTimestamp: Timestamp, data: ByteBuffer) {
            self.start = start
            self.end = end
            self.batchCount = batchCount
            self.maxTimestamp = maxTimestamp
            self.data = data
        }
    }

    /// What was laid out for one stream.
    package struct Piece: Sendable {
        package var stream: StreamID
        package var start: Offset
        package var end: Offset
        package var recordBytes: Int64
        package var maxTimestamp: Timestamp
    }

    package struct Built: Sendable {
        package var body: [ByteBuffer]
        package var size: Int64
        package var indexPosition: Int64
        package var index: ObjectIndex
        package var pieces: [Piece]
    }

    private let blockBytes: Int
    private var buffers: [ByteBuffer] = []
    private var position: Int64 = 0
    private var entries: [ObjectIndex.Entry] = []
    private var pieces: [Piece] = []
    private var pending: [Chunk] = []
    private var pendingBytes = 0

    package init(blockBytes: Int) { self.blockBytes = blockBytes }

    package var recordBytes: Int64 { pieces.reduce(0) { $0 + $1.recordBytes } }

    /// Adds a stream's chunks. Each begins where, or (sparse offsets) after, the one before ended.
    package mutating func add(_ stream: StreamID, _ chunks: [Chunk]) {
        precondition(pieces.last.map { $0.stream < stream } ?? true, "streams are added once each, in order")
        for chunk in chunks { append(chunk, of: stream) }
        endBlock(of: stream)
    }

    /// Adds to the stream that was added last, or begins it.
    package mutating func append(_ chunk: Chunk, of stream: StreamID) {
        if pieces.last?.stream == stream {
            precondition(chunk.start >= pieces[pieces.count - 1].end, "a stream's chunks come in offset order")
            pieces[pieces.count - 1].end = chunk.end
            pieces[pieces.count - 1].recordBytes += Int64(chunk.data.readableBytes)
            pieces[pieces.count - 1].maxTimestamp = max(pieces[pieces.count - 1].maxTimestamp, chunk.maxTimestamp)
        } else {
            pieces.append(
                Piece(
                    stream: stream, start: chunk.start, end: chunk.end, recordBytes: Int64(chunk.data.readableBytes),
                    maxTimestamp: chunk.maxTimestamp))
        }
        pending.append(chunk)
        pendingBytes += chunk.data.readableBytes
        if pendingBytes >= blockBytes { endBlock(of: stream) }
    }

    private mutating func endBlock(of stream: StreamID) {
        guard let first = pending.first, let last = pending.last else { return }
        let batchCount = pending.reduce(0) { $0 + $1.batchCount }
        var header = ByteBuffer()
        header.reserveCapacity(ObjectFormat.blockHeaderSize)
        header.writeInteger(ObjectFormat.blockMagic)
        header.writeInteger(UInt32(clamping: batchCount))
        header.writeInteger(stream.topicID.high)
        header.writeInteger(stream.topicID.low)
        header.writeInteger(stream.partition)
        header.writeInteger(UInt32(pendingBytes))
        header.writeInteger(first.start.rawValue)
        header.writeInteger(last.end.rawValue)
        header.writeInteger(UInt32(0))
        var sum = CRC32C.checksum(of: header)
        for chunk in pending { sum = chunk.data.withUnsafeReadableBytes { CRC32C.extend(sum, with: $0) } }
        header.writeInteger(sum)
        let length = Int64(ObjectFormat.blockHeaderSize + pendingBytes)
        entries.append(
            ObjectIndex.Entry(
                stream: stream, batchCount: batchCount, start: first.start, end: last.end,
                maxTimestamp: pending.reduce(.none) { max($0, $1.maxTimestamp) }, position: position, length: length))
        buffers.append(header)
        for chunk in pending { buffers.append(chunk.data) }
        position += length
        pending.removeAll(keepingCapacity: true)
        pendingBytes = 0
    }

    /// Index and footer. The builder is used up.
    package mutating func finish() -> Built {
        if let stream = pieces.last?.stream { endBlock(of: stream) }
        let index = ObjectIndex(entries: entries)
        var tail = index.encode()
        let indexLength = tail.readableBytes
        let indexSum = CRC32C.checksum(of: tail)
        let footerStart = tail.writerIndex
        tail.writeInteger(position)
        tail.writeInteger(Int64(indexLength))
        tail.writeInteger(recordBytes)
        tail.writeInteger(ObjectFormat.version)
        tail.writeInteger((pieces.count == 1 ? ObjectFormat.Kind.stream : .streamSet).rawValue)
        tail.writeInteger(indexSum)
        tail.writeInteger(CRC32C.extend(0, with: tail, at: footerStart, length: 36))
        tail.writeInteger(ObjectFormat.objectMagic)
        let size = position + Int64(tail.readableBytes)
        return Built(body: buffers + [tail], size: size, indexPosition: position, index: index, pieces: pieces)
    }
}
