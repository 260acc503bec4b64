//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel
package import NIOCore

/// One of the two header pages at the start of a WAL file. They are written in turn; the valid one with the higher sequence counts.
///
/// ```
///  at  size field                            at  size field
///   0     8 magic "NINEWAL1"                 32     8 trim position
///   8     4 version = 1                      40     8 sequence
///  12     4 broker id                        48     4 flags: 1 = closed cleanly
///  16     8 broker epoch                     52     4 CRC-32C of 0 ..< 52
///  24     8 capacity of the ring, bytes      56  4040 zero
/// ```
/// Big-endian. The ring follows at 8192: position p of the log lies at 8192 + p mod capacity.
package struct WALHeader: Hashable, Sendable {
    package var brokerID: BrokerID
    /// Every live record was written in this run of the broker.
    package var epoch: BrokerEpoch
    package var capacity: Int64
    /// Records below it are in committed objects. Recovery begins here.
    package var trimPosition: Int64
    package var sequence: Int64
    package var isClean: Bool

    package static let pageSize = 4096
    package static let ringStart: Int64 = 8192
    /// No ring writes so much; beyond it, sums of positions would leave 64 bits.
    private static let positionMax: Int64 = 1 << 60
    static let magic: UInt64 = 0x4E49_4E45_5741_4C31
    static let version: UInt32 = 1

    package init(brokerID: BrokerID, epoch: BrokerEpoch, capacity: Int64, trimPosition: Int64, sequence: Int64, isClean: Bool) {
        self.brokerID = brokerID
        self.epoch = epoch
        self.capacity = capacity
        self.trimPosition = trimPosition
        self.sequence = sequence
        self.isClean = isClean
    }

    /// Where this header belongs in the file.
    var fileOffset: Int64 { sequence % 2 == 0 ? 0 : Int64(Self.pageSize) }

    package func encode() -> ByteBuffer {
        var page = ByteBuffer()
        page.reserveCapacity(Self.pageSize)
        page.writeInteger(Self.magic)
        page.writeInteger(Self.version)
        page.writeInteger(brokerID.rawValue)
        page.writeInteger(epoch.rawValue)
        page.writeInteger(capacity)
        page.writeInteger(trimPosition)
        page.writeInteger(sequence)
        page.writeInteger(UInt32(isClean ? 1 : 0))
        page.writeInteger(CRC32C.checksum(of: page))
        page.writeRepeatingByte(0, count: Self.pageSize - page.writerIndex)
        return page
    }

    enum Page {
        case valid(WALHeader)
        case newerVersion(UInt32)
        case invalid
    }

    static func decode(_ page: ByteBuffer) -> Page {
        var page = page
        let start = page.readerIndex
        guard page.readableBytes >= 56,
            page.getInteger(at: start + 52, as: UInt32.self) == CRC32C.extend(0, with: page, at: start, length: 52),
            page.readInteger(as: UInt64.self) == magic, let version = page.readInteger(as: UInt32.self)
        else { return .invalid }
        guard version == Self.version else { return .newerVersion(version) }
        guard let broker = page.readInteger(as: Int32.self), let epoch = page.readInteger(as: Int64.self),
            let capacity = page.readInteger(as: Int64.self), let trim = page.readInteger(as: Int64.self),
            let sequence = page.readInteger(as: Int64.self), let flags = page.readInteger(as: UInt32.self),
            capacity >= Int64(pageSize), capacity % Int64(pageSize) == 0, capacity <= positionMax, trim >= 0, trim <= positionMax,
            sequence >= 0, sequence < Int64.max
        else { return .invalid }
        return .valid(
            WALHeader(
                brokerID: BrokerID(broker), epoch: BrokerEpoch(epoch), capacity: capacity, trimPosition: trim, sequence: sequence,
                isClean: flags & 1 != 0))
    }
}
