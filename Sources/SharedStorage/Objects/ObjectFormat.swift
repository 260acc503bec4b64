//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel
package import NIOCore

/// The layout of an object: data blocks, one index, one footer. All integers big-endian, all offsets and positions 64 bits.
///
/// ```
/// object  := block … index footer          blocks of a stream lie side by side, in offset order
///
/// block (56 + data)                        index entry (64), sorted by stream and offset
///   0   4 magic "NBLK"                       0  16 topic id
///   4   4 batch count                       16   4 partition
///   8  16 topic id                          20   4 batch count
///  24   4 partition                         24   8 start offset
///  28   4 data length                       32   8 end offset, exclusive
///  32   8 start offset                      40   8 max timestamp, ms
///  40   8 end offset, exclusive             48   8 position of the block in the object
///  48   4 zero                              56   8 length of the block, header included
///  52   4 CRC-32C of 0 ..< 52 and the data
///  56   … data: record batches back to back, as the producers sent them
///
/// footer (48, the object's last bytes)
///   0   8 index position                    28   4 kind: 1 stream set, 2 stream
///   8   8 index length                      32   4 CRC-32C of the index
///  16   8 record bytes in all blocks        36   4 CRC-32C of 0 ..< 36
///  24   4 version = 1                       40   8 magic "NINEOBJ1"
/// ```
package enum ObjectFormat {
    package static let blockHeaderSize = 56
    package static let indexEntrySize = 64
    package static let footerSize = 48
    static let blockMagic: UInt32 = 0x4E42_4C4B
    static let objectMagic: UInt64 = 0x4E49_4E45_4F42_4A31
    static let version: UInt32 = 1
    static let blockChecksumIndex = 52

    enum Kind: UInt32, Sendable {
        case streamSet = 1
        case stream = 2
    }
}

/// What is wrong with the bytes of an object; the caller adds which object.
package struct ObjectFormatError: Error, Sendable, CustomStringConvertible {
    /// Byte of the object.
    package var position: Int64
    package var problem: String

    package var description: String { "\(problem) at byte \(position)" }
}

/// Where each block of an object lies and what it holds.
package struct ObjectIndex: Hashable, Sendable {
    package struct Entry: Hashable, Sendable {
        package var stream: StreamID
        package var batchCount: Int
        package var start: Offset
        /// Exclusive.
        package var end: Offset
        package var maxTimestamp: Timestamp
        package var position: Int64
        package var length: Int64
    }

    package private(set) var entries: [Entry]

    init(entries: [Entry]) { self.entries = entries }

    /// Indices of `stream`'s entries from the one that holds `offset`, or the first after it where offsets are sparse.
    package func entries(of stream: StreamID, from offset: Offset) -> ArraySlice<Entry> {
        let first = firstIndex { $0.stream > stream || $0.stream == stream && $0.end > offset }
        let end = firstIndex { $0.stream > stream }
        return first < end ? entries[first..<end] : []
    }

    private func firstIndex(where belongsAbove: (Entry) -> Bool) -> Int {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if belongsAbove(entries[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }

    func encode() -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.reserveCapacity(entries.count * ObjectFormat.indexEntrySize)
        for entry in entries {
            buffer.writeInteger(entry.stream.topicID.high)
            buffer.writeInteger(entry.stream.topicID.low)
            buffer.writeInteger(entry.stream.partition)
            buffer.writeInteger(UInt32(clamping: entry.batchCount))
            buffer.writeInteger(entry.start.rawValue)
            buffer.writeInteger(entry.end.rawValue)
            buffer.writeInteger(entry.maxTimestamp.rawValue)
            buffer.writeInteger(entry.position)
            buffer.writeInteger(entry.length)
        }
        return buffer
    }

    /// Decodes an object's bytes from `indexPosition` to its end: the index and the footer, both checked.
    package static func decode(indexAndFooter bytes: ByteBuffer, indexPosition: Int64) throws(ObjectFormatError) -> ObjectIndex {
        func wrong(_ problem: String) -> ObjectFormatError { ObjectFormatError(position: indexPosition, problem: problem) }
        let footerIndex = bytes.writerIndex - ObjectFormat.footerSize
        guard footerIndex >= bytes.readerIndex, var footer = bytes.getSlice(at: footerIndex, length: ObjectFormat.footerSize) else {
            throw wrong("the object is shorter than its footer")
        }
        let footerSum = CRC32C.extend(0, with: bytes, at: footerIndex, length: 36)
        guard let position = footer.readInteger(as: Int64.self), let length = footer.readInteger(as: Int64.self),
            footer.readInteger(as: Int64.self) != nil, let version = footer.readInteger(as: UInt32.self),
            footer.readInteger(as: UInt32.self) != nil, let indexSum = footer.readInteger(as: UInt32.self),
            footer.readInteger(as: UInt32.self) == footerSum, footer.readInteger(as: UInt64.self) == ObjectFormat.objectMagic
        else { throw wrong("the object's footer fails its checksum") }
        guard version == ObjectFormat.version else { throw wrong("the object has layout \(version), this program knows 1") }
        guard position == indexPosition, length == Int64(footerIndex - bytes.readerIndex),
            length % Int64(ObjectFormat.indexEntrySize) == 0,
            CRC32C.extend(0, with: bytes, at: bytes.readerIndex, length: Int(length)) == indexSum,
            var index = bytes.getSlice(at: bytes.readerIndex, length: Int(length))
        else { throw wrong("the object's index fails its checksum") }
        var entries: [Entry] = []
        entries.reserveCapacity(Int(length) / ObjectFormat.indexEntrySize)
        while let high = index.readInteger(as: UInt64.self), let low = index.readInteger(as: UInt64.self),
            let partition = index.readInteger(as: Int32.self), let count = index.readInteger(as: UInt32.self),
            let start = index.readInteger(as: Int64.self), let end = index.readInteger(as: Int64.self),
            let maxTimestamp = index.readInteger(as: Int64.self), let at = index.readInteger(as: Int64.self),
            let size = index.readInteger(as: Int64.self)
        {
            let stream = StreamID(topicID: TopicID(high: high, low: low), partition: partition)
            // Looked up by halving: what is out of order would not be found, as if it had never been written.
            let follows = entries.last.map { $0.stream < stream || $0.stream == stream && $0.end.rawValue <= start } ?? true
            guard start >= 0, end > start, at >= 0, size >= Int64(ObjectFormat.blockHeaderSize), at <= indexPosition - size, follows
            else { throw wrong("the object's index contradicts itself") }
            entries.append(
                Entry(
                    stream: stream, batchCount: Int(count),
                    start: Offset(start),
                    end: Offset(end), maxTimestamp: Timestamp(maxTimestamp), position: at, length: size))
        }
        return ObjectIndex(entries: entries)
    }
}

/// One data block, checked.
package struct DataBlock: Sendable {
    package var start: Offset
    /// Exclusive.
    package var end: Offset
    package var batchCount: Int
    /// Record batches back to back.
    package var data: ByteBuffer

    /// Decodes the block that an index `entry` tells of from exactly its bytes.
    package init(decoding bytes: ByteBuffer, entry: ObjectIndex.Entry) throws(ObjectFormatError) {
        func wrong(_ problem: String) -> ObjectFormatError { ObjectFormatError(position: entry.position, problem: problem) }
        let start = bytes.readerIndex
        let dataStart = start + ObjectFormat.blockHeaderSize
        guard bytes.readableBytes == Int(entry.length), bytes.readableBytes >= ObjectFormat.blockHeaderSize,
            let length = bytes.getInteger(at: start + 28, as: UInt32.self),
            Int(length) == bytes.readableBytes - ObjectFormat.blockHeaderSize,
            let data = bytes.getSlice(at: dataStart, length: Int(length))
        else { throw wrong("a data block has not the length its index says") }
        let headerSum = CRC32C.extend(0, with: bytes, at: start, length: ObjectFormat.blockChecksumIndex)
        let sum = data.withUnsafeReadableBytes { CRC32C.extend(headerSum, with: $0) }
        guard bytes.getInteger(at: start, as: UInt32.self) == ObjectFormat.blockMagic,
            bytes.getInteger(at: start + ObjectFormat.blockChecksumIndex, as: UInt32.self) == sum
        else { throw wrong("a data block fails its checksum") }
        guard bytes.getInteger(at: start + 8, as: UInt64.self) == entry.stream.topicID.high,
            bytes.getInteger(at: start + 16, as: UInt64.self) == entry.stream.topicID.low,
            bytes.getInteger(at: start + 24, as: Int32.self) == entry.stream.partition,
            bytes.getInteger(at: start + 32, as: Int64.self) == entry.start.rawValue,
            bytes.getInteger(at: start + 40, as: Int64.self) == entry.end.rawValue
        else { throw wrong("a data block is not the one its index names") }
        self.start = entry.start
        self.end = entry.end
        self.batchCount = entry.batchCount
        self.data = data
    }
}
