//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogModel
import NIOCore

/// A batch as read from a log, whole and verified.
struct StoredBatch: Equatable {
    var header: RecordBatchHeader
    var bytes: ByteBuffer

    static func parse(_ buffer: ByteBuffer) throws -> [StoredBatch] {
        let batches = try RecordBatches(verifying: buffer, allowsPartialTail: true)
        return batches.entries.map { entry in
            let start = batches.buffer.readerIndex + entry.position
            return StoredBatch(
                header: entry.header, bytes: batches.buffer.getSlice(at: start, length: entry.header.sizeInBytes)!)
        }
    }

    /// The bytes as the producer sent them: base offset and leader epoch, which the leader fills in, as the builder leaves them.
    var asSent: ByteBuffer {
        var copy = ByteBuffer(buffer: bytes)
        copy.setInteger(Int64(0), at: copy.readerIndex)
        copy.setInteger(Int32(-1), at: copy.readerIndex + 12)
        return copy
    }
}

/// Reproducible random bits (Vigna's SplitMix64).
struct SplitMix: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    mutating func bytes(_ count: Int) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.reserveCapacity(count + 8)
        while buffer.readableBytes < count { buffer.writeInteger(next()) }
        return buffer.getSlice(at: 0, length: count)!
    }
}

/// An idempotent producer's place in its sequence.
struct Producer {
    var id: Int64
    var epoch: Int16 = 0
    var sequence: Int32 = 0
}

/// Batches as a client sends them.
enum Sent {
    /// Random values of `valueSize` bytes, timestamps `time`, `time` + 1, …
    static func bytes(
        records: Int = 1, valueSize: Int = 40, time: Int64 = 1_000, producer: Producer? = nil, codec: CompressionCodec = .none,
        using generator: inout SplitMix
    ) -> ByteBuffer {
        let values = (0..<records).map { index in
            Record(
                timestamp: Timestamp(time + Int64(index)), key: index % 3 == 0 ? nil : ByteBuffer(integer: index),
                value: generator.bytes(valueSize))
        }
        return RecordBatchBuilder.batch(
            of: values, producerID: producer?.id ?? -1, producerEpoch: producer?.epoch ?? -1,
            baseSequence: producer?.sequence ?? -1, attributes: UInt16(codec.rawValue))
    }

    static func batch(
        records: Int = 1, valueSize: Int = 40, time: Int64 = 1_000, producer: Producer? = nil, codec: CompressionCodec = .none,
        using generator: inout SplitMix
    ) throws -> RecordBatches {
        try RecordBatches(
            verifying: bytes(
                records: records, valueSize: valueSize, time: time, producer: producer, codec: codec, using: &generator))
    }
}
