//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel
package import NIOCore

/// The 64 bytes before the records of an object of the object WAL.
///
/// ```
///  at  size field                            at  size field
///   0     8 magic "NINEWALO"                 32     8 number of the object in its run, from 0
///   8     4 version = 1                      40     8 bytes of the records behind this header
///  12     4 kind: 1 group, 2 fence           48     4 CRC-32C of 0 ..< 48
///  16     4 broker id                        52    12 zero
///  20     4 number of records
///  24     8 broker epoch
/// ```
/// Big-endian. A *group* holds records as the ring does (``WALRecordHeader``), their positions being `number << 32` and where the
/// record begins in the object. A *fence* is what a recoverer puts where the next group was to go.
package struct WALObjectHeader: Hashable, Sendable {
    package enum Kind: UInt32, Sendable {
        case group = 1
        case fence = 2
    }

    package var kind: Kind
    package var brokerID: BrokerID
    /// The run that the objects are of; also in a fence.
    package var epoch: BrokerEpoch
    package var number: Int64
    package var records: Int
    package var recordsLength: Int64

    package static let size = 64
    static let magic: UInt64 = 0x4E49_4E45_5741_4C4F
    static let version: UInt32 = 1

    /// All that the engine's brokers put as WAL lies below it.
    static let prefix = "shared-wal/"

    /// `shared-wal/<broker>/<broker epoch>/`
    static func prefix(of broker: BrokerID, epoch: BrokerEpoch) -> String { "\(prefix)\(broker)/\(epoch)/" }

    /// Number in 16 hex digits, so that keys are in order.
    static func key(of broker: BrokerID, epoch: BrokerEpoch, number: Int64) -> String {
        let digits = String(number, radix: 16)
        return prefix(of: broker, epoch: epoch) + String(repeating: "0", count: 16 - digits.count) + digits
    }

    package static func position(ofObject number: Int64, at offset: Int) -> Int64 { number << 32 | Int64(offset) }

    func encode() -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.reserveCapacity(Self.size)
        buffer.writeInteger(Self.magic)
        buffer.writeInteger(Self.version)
        buffer.writeInteger(kind.rawValue)
        buffer.writeInteger(brokerID.rawValue)
        buffer.writeInteger(UInt32(records))
        buffer.writeInteger(epoch.rawValue)
        buffer.writeInteger(number)
        buffer.writeInteger(recordsLength)
        buffer.writeInteger(CRC32C.checksum(of: buffer))
        buffer.writeRepeatingByte(0, count: Self.size - buffer.writerIndex)
        return buffer
    }

    /// nil unless `bytes` begins with a whole header of this version.
    package init?(parsing bytes: ByteBuffer) {
        var bytes = bytes
        let start = bytes.readerIndex
        guard bytes.readableBytes >= Self.size,
            bytes.getInteger(at: start + 48, as: UInt32.self) == CRC32C.extend(0, with: bytes, at: start, length: 48),
            bytes.readInteger(as: UInt64.self) == Self.magic, bytes.readInteger(as: UInt32.self) == Self.version,
            let kind = bytes.readInteger(as: UInt32.self).flatMap(Kind.init), let broker = bytes.readInteger(as: Int32.self),
            let records = bytes.readInteger(as: UInt32.self), let epoch = bytes.readInteger(as: Int64.self),
            let number = bytes.readInteger(as: Int64.self), let length = bytes.readInteger(as: Int64.self), number >= 0,
            number < 1 << 31, length >= 0
        else { return nil }
        self.init(
            kind: kind, brokerID: BrokerID(broker), epoch: BrokerEpoch(epoch), number: number, records: Int(records),
            recordsLength: length)
    }

    init(kind: Kind, brokerID: BrokerID, epoch: BrokerEpoch, number: Int64, records: Int, recordsLength: Int64) {
        self.kind = kind
        self.brokerID = brokerID
        self.epoch = epoch
        self.number = number
        self.records = records
        self.recordsLength = recordsLength
    }
}
