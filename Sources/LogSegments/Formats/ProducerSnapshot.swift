//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel
package import NIOCore

/// Kafka's producer snapshot file: what a log knows of its idempotent producers up to the offset that names the file.
///
/// ```
/// int16 version 1 | uint32 CRC-32C of what follows | int32 count | per producer, 46 bytes, big-endian:
///   int64 producer id | int16 epoch | int32 last sequence (-1: none) | int64 last offset (-1) | int32 last offset - first offset (0)
///   int64 timestamp | int32 coordinator epoch | int64 first offset of the open transaction (-1: none)
/// ```
/// Of the five batches remembered in memory only the last is kept.
package enum ProducerSnapshot {
    private static let version: Int16 = 1
    private static let entrySize = 46

    package static func encode(_ producers: ProducerStates) -> ByteBuffer {
        var body = ByteBuffer()
        let entries = producers.entries
        body.reserveCapacity(4 + entries.count * entrySize)
        body.writeInteger(Int32(entries.count))
        for entry in entries {
            let last = entry.batches.last
            body.writeMultipleIntegers(
                entry.producerID, entry.epoch, last?.lastSequence ?? -1, last?.lastOffset.rawValue ?? -1,
                Int32(truncatingIfNeeded: last.map { $0.lastOffset - $0.baseOffset } ?? 0), entry.lastTimestamp.rawValue,
                entry.coordinatorEpoch, entry.transactionStart?.rawValue ?? -1)
        }
        var bytes = ByteBuffer()
        bytes.reserveCapacity(6 + body.readableBytes)
        bytes.writeMultipleIntegers(version, CRC32C.checksum(of: body))
        bytes.writeBuffer(&body)
        return bytes
    }

    /// - Returns: nil if the bytes are no snapshot: other version, cut, or a CRC that does not agree.
    package static func decode(_ bytes: ByteBuffer) -> ProducerStates? {
        var bytes = bytes
        guard let (version, crc) = bytes.readMultipleIntegers(as: (Int16, UInt32).self), version == self.version,
            crc == CRC32C.checksum(of: bytes), let count = bytes.readInteger(as: Int32.self), count >= 0,
            bytes.readableBytes == Int(count) * entrySize
        else { return nil }
        var entries: [ProducerStates.Entry] = []
        entries.reserveCapacity(Int(count))
        while let (id, epoch, lastSequence, lastOffset, offsetDelta, timestamp, coordinatorEpoch, transactionStart) =
            bytes.readMultipleIntegers(as: (Int64, Int16, Int32, Int64, Int32, Int64, Int32, Int64).self)
        {
            var batches: [ProducerStates.Batch] = []
            if lastSequence >= 0, lastOffset >= 0 {
                batches.append(
                    ProducerStates.Batch(
                        baseSequence: sequence(lastSequence, minus: offsetDelta), lastSequence: lastSequence,
                        baseOffset: Offset(lastOffset - Int64(offsetDelta)), lastOffset: Offset(lastOffset),
                        timestamp: Timestamp(timestamp)))
            }
            entries.append(
                ProducerStates.Entry(
                    producerID: id, epoch: epoch, batches: batches, lastTimestamp: Timestamp(timestamp),
                    coordinatorEpoch: coordinatorEpoch, transactionStart: transactionStart < 0 ? nil : Offset(transactionStart)))
        }
        return ProducerStates(entries: entries)
    }

    /// Sequences wrap from 2^31-1 to 0.
    private static func sequence(_ last: Int32, minus delta: Int32) -> Int32 {
        let difference = Int64(last) - Int64(delta)
        return Int32(truncatingIfNeeded: difference < 0 ? difference + Int64(Int32.max) + 1 : difference)
    }
}
