//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel
internal import NIOCore

/// The 80 bytes before each record of the WAL ring.
///
/// ```
///  at  size field                                   at  size field
///   0     4 magic "NWAL"                            48    16 topic id
///   4     2 kind: 1 batches, 2 padding              64     4 partition
///   6     2 flags: 1 = last of its group            68     4 leader epoch
///   8     8 position of this record                 72     4 body length
///  16     8 position of its group's first record    76     4 CRC-32C of 0 ..< 76 and the body
///  24     8 broker epoch                            80     … body: record batches back to back,
///  32     8 base offset                                      zeros up to a multiple of 8
///  40     8 end offset, exclusive
/// ```
/// Big-endian. Groups begin on 4096-byte boundaries, so that a torn page never holds an acknowledged byte. A record does not
/// cross the ring's end: a padding record, or fewer than 80 bytes, leads to the start of the next lap.
package struct WALRecordHeader: Hashable, Sendable {
    package enum Kind: UInt16, Sendable {
        case batches = 1
        case padding = 2
    }

    package var kind: Kind
    package var isLastOfGroup: Bool
    /// Bytes written to the ring before it, in this run: grows without end, so an old lap's record never passes as new.
    package var position: Int64
    package var groupPosition: Int64
    package var epoch: BrokerEpoch
    package var stream: StreamID
    package var leaderEpoch: LeaderEpoch
    package var offsets: Range<Offset>
    package var bodyLength: Int

    package static let size = 80
    static let magic: UInt32 = 0x4E57_414C
    private static let checksumIndex = 76

    /// Bytes in the ring of a record with a body of `bodyLength`.
    package static func span(ofBody bodyLength: Int) -> Int64 { Int64(size + (bodyLength + 7) & ~7) }
    package var span: Int64 { Self.span(ofBody: bodyLength) }

    /// Writes the header, its checksum taken over itself and `body`.
    func write(into buffer: inout ByteBuffer, body: ByteBuffer) {
        let start = buffer.writerIndex
        buffer.writeInteger(Self.magic)
        buffer.writeInteger(kind.rawValue)
        buffer.writeInteger(UInt16(isLastOfGroup ? 1 : 0))
        buffer.writeInteger(position)
        buffer.writeInteger(groupPosition)
        buffer.writeInteger(epoch.rawValue)
        buffer.writeInteger(offsets.lowerBound.rawValue)
        buffer.writeInteger(offsets.upperBound.rawValue)
        buffer.writeInteger(stream.topicID.high)
        buffer.writeInteger(stream.topicID.low)
        buffer.writeInteger(stream.partition)
        buffer.writeInteger(leaderEpoch.rawValue)
        buffer.writeInteger(UInt32(bodyLength))
        let own = CRC32C.extend(0, with: buffer, at: start, length: Self.checksumIndex)
        buffer.writeInteger(body.withUnsafeReadableBytes { CRC32C.extend(own, with: $0) })
    }

    /// Reads a header from the start of `bytes` without a look at the checksum; nil unless it can be one.
    init?(parsing bytes: ByteBuffer) {
        var bytes = bytes
        guard bytes.readInteger(as: UInt32.self) == Self.magic, let kind = bytes.readInteger(as: UInt16.self).flatMap(Kind.init),
            let flags = bytes.readInteger(as: UInt16.self), let position = bytes.readInteger(as: Int64.self),
            let groupPosition = bytes.readInteger(as: Int64.self), let epoch = bytes.readInteger(as: Int64.self),
            let base = bytes.readInteger(as: Int64.self), let end = bytes.readInteger(as: Int64.self),
            let high = bytes.readInteger(as: UInt64.self), let low = bytes.readInteger(as: UInt64.self),
            let partition = bytes.readInteger(as: Int32.self), let leaderEpoch = bytes.readInteger(as: Int32.self),
            let length = bytes.readInteger(as: UInt32.self), base >= 0, base <= end, position >= groupPosition, groupPosition >= 0
        else { return nil }
        self.kind = kind
        isLastOfGroup = flags & 1 != 0
        self.position = position
        self.groupPosition = groupPosition
        self.epoch = BrokerEpoch(epoch)
        stream = StreamID(topicID: TopicID(high: high, low: low), partition: partition)
        self.leaderEpoch = LeaderEpoch(leaderEpoch)
        offsets = Offset(base)..<Offset(end)
        bodyLength = Int(length)
    }

    init(
        kind: Kind, isLastOfGroup: Bool, position: Int64, groupPosition: Int64, epoch: BrokerEpoch, stream: StreamID,
        leaderEpoch: LeaderEpoch, offsets: Range<Offset>, bodyLength: Int
    ) {
        self.kind = kind
        self.isLastOfGroup = isLastOfGroup
        self.position = position
        self.groupPosition = groupPosition
        self.epoch = epoch
        self.stream = stream
        self.leaderEpoch = leaderEpoch
        self.offsets = offsets
        self.bodyLength = bodyLength
    }

    /// Whether the stored checksum in `header` (80 bytes) fits it and `body`.
    static func checksumHolds(header: ByteBuffer, body: ByteBuffer) -> Bool {
        let own = CRC32C.extend(0, with: header, at: header.readerIndex, length: checksumIndex)
        let whole = body.withUnsafeReadableBytes { CRC32C.extend(own, with: $0) }
        return header.getInteger(at: header.readerIndex + checksumIndex, as: UInt32.self) == whole
    }
}
