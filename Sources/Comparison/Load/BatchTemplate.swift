//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel
package import NIOCore

/// A record batch made once and sent many times: only its head differs from one sending to the next.
///
/// ```
///  ┌ header, 61 bytes ┬ first record up to its identity ┬ rest of the first record ┬ second record ┬ … ┐
///  └────────── head: written for each batch ────────────┴── body: shared, its CRC known at every end ──┘
/// ```
/// A batch of fewer records is a prefix. Its CRC is the head's joined with the prefix's, so that no byte of the body is touched
/// when a batch is sent: what the generator costs is the socket's copy.
package struct BatchTemplate: Sendable {
    package let number: UInt16
    package let recordBytes: Int
    /// Bytes of the batch before ``body``; the identity is the last of them.
    package let headBytes: Int
    package let body: ByteBuffer
    /// The head with everything in place that does not change.
    private let head: ByteBuffer
    /// By the number of records less one.
    private let prefixes: [Prefix]

    private struct Prefix: Sendable {
        var bodyBytes: Int
        var crc: UInt32
        var combiner: CRC32C.Combiner
    }

    package var recordsMax: Int { prefixes.count }

    /// What the CRC covers begins here.
    private static let crcStart = 21

    /// - Parameters:
    ///   - recordBytes: Bytes of each value, at least ``RecordIdentity/size``.
    ///   - compressibleTo: The share of the value that is random; the rest is zeros (OpenMessaging's `randomBytesRatio`).
    ///   - batchBytesMax: At least one record is made, however large.
    ///   - keyBytes: 0 for records without a key.
    package init(
        number: UInt16, recordBytes: Int, compressibleTo: Double, batchBytesMax: Int, keyBytes: Int = 0,
        randomness: inout some RandomNumberGenerator
    ) {
        precondition(recordBytes >= RecordIdentity.size, "a value has room for its identity")
        self.number = number
        self.recordBytes = recordBytes
        var batch = ByteBuffer()
        batch.writeRepeatingByte(0, count: RecordBatchHeader.size)
        var ends: [Int] = []
        var headBytes = 0
        repeat {
            let record = Self.record(
                delta: ends.count, recordBytes: recordBytes, compressibleTo: compressibleTo, keyBytes: keyBytes, using: &randomness)
            if !ends.isEmpty, batch.writerIndex + record.bytes.readableBytes > batchBytesMax { break }
            if ends.isEmpty { headBytes = batch.writerIndex + record.valueStart + RecordIdentity.size }
            batch.writeImmutableBuffer(record.bytes)
            ends.append(batch.writerIndex)
        } while batch.writerIndex < batchBytesMax
        self.headBytes = headBytes
        let body = batch.getSlice(at: headBytes, length: batch.writerIndex - headBytes)!
        var crc: UInt32 = 0
        var previous = headBytes
        prefixes = ends.map { end in
            crc = CRC32C.extend(crc, with: body, at: body.readerIndex + previous - headBytes, length: end - previous)
            previous = end
            return Prefix(bodyBytes: end - headBytes, crc: crc, combiner: CRC32C.Combiner(appending: end - headBytes))
        }
        self.body = body
        var head = batch.getSlice(at: 0, length: headBytes)!
        head.setInteger(Int64(0), at: 0)
        head.setInteger(Int32(-1), at: 12)
        head.setInteger(Int8(2), at: 16)
        head.setInteger(UInt16(0), at: 21)
        self.head = head
    }

    /// Bytes of a batch of `records` records.
    package func batchBytes(records: Int) -> Int { headBytes + prefixes[records - 1].bodyBytes }

    /// A batch of `records` records, as two slices: the head written now, and the shared body.
    ///
    /// - Parameter timestamp: Of all its records.
    package func batch(
        records: Int, identity: RecordIdentity, timestamp: Timestamp, producerID: Int64, producerEpoch: Int16, baseSequence: Int32
    ) -> LogSlices {
        let prefix = prefixes[records - 1]
        var head = self.head
        head.setInteger(Int32(headBytes + prefix.bodyBytes - RecordBatchHeader.lengthPrefixSize), at: 8)
        head.setInteger(Int32(records - 1), at: 23)
        head.setInteger(timestamp.rawValue, at: 27)
        head.setInteger(timestamp.rawValue, at: 35)
        head.setInteger(producerID, at: 43)
        head.setInteger(producerEpoch, at: 51)
        head.setInteger(baseSequence, at: 53)
        head.setInteger(Int32(records), at: 57)
        identity.write(into: &head, at: headBytes - RecordIdentity.size)
        let headCRC = CRC32C.extend(0, with: head, at: Self.crcStart, length: headBytes - Self.crcStart)
        head.setInteger(prefix.combiner.combine(headCRC, prefix.crc), at: 17)
        return LogSlices([.bytes(head), .bytes(body.getSlice(at: body.readerIndex, length: prefix.bodyBytes)!)])
    }

    /// Whether the bytes behind the head of a batch of `records` records are what was sent. `index` is where the batch begins.
    package func matches(_ buffer: ByteBuffer, at index: Int, records: Int) -> Bool {
        guard records >= 1, records <= recordsMax else { return false }
        let length = prefixes[records - 1].bodyBytes
        guard let sent = body.getSlice(at: body.readerIndex, length: length),
            let read = buffer.getSlice(at: index + headBytes, length: length)
        else { return false }
        return sent == read
    }

    /// The identity in a batch that begins at `index`, if it is laid out as this template is.
    package func identity(in buffer: ByteBuffer, at index: Int) -> RecordIdentity? {
        RecordIdentity(in: buffer, at: index + headBytes - RecordIdentity.size)
    }

    private static func record(
        delta: Int, recordBytes: Int, compressibleTo: Double, keyBytes: Int, using randomness: inout some RandomNumberGenerator
    ) -> (bytes: ByteBuffer, valueStart: Int) {
        var fields = ByteBuffer()
        fields.writeInteger(Int8(0))
        fields.writeVarint(0)
        fields.writeVarint(Int64(delta))
        if keyBytes > 0 {
            fields.writeVarint(Int64(keyBytes))
            for _ in 0..<keyBytes {
                fields.writeInteger(UInt8.random(in: UInt8(ascii: "0")...UInt8(ascii: "9"), using: &randomness))
            }
        } else {
            fields.writeVarint(-1)
        }
        fields.writeVarint(Int64(recordBytes))
        let valueStart = fields.writerIndex
        let randomBytes = min(recordBytes, max(0, Int(Double(recordBytes) * compressibleTo)))
        var left = randomBytes
        while left >= 8 {
            fields.writeInteger(randomness.next())
            left -= 8
        }
        for _ in 0..<left { fields.writeInteger(UInt8.random(in: 0...255, using: &randomness)) }
        fields.writeRepeatingByte(0, count: recordBytes - randomBytes)
        fields.writeVarint(0)
        var bytes = ByteBuffer()
        bytes.writeVarint(Int64(fields.readableBytes))
        let prefixBytes = bytes.writerIndex
        bytes.writeImmutableBuffer(fields)
        return (bytes, prefixBytes + valueStart)
    }
}

/// A generator of random bits from a seed (SplitMix64), so that a payload can be made again from its seed.
package struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
