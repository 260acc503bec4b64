//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogModel
internal import NIOCore

/// What the benchmarks work on: the same bytes in every run.
enum Material {
    static let recordValueBytes = 1_000
    static let timestamp = Timestamp(1_767_225_600_000)
    static let topicID = TopicID(high: 0x6E69_6E65, low: 0x666F_6C64)

    /// One batch of `records` records of 1,000 bytes, as a producer sends it.
    static func batch(records: Int, producerID: Int64 = -1) -> ByteBuffer {
        var state: UInt64 = 0x9E37_79B9_7F4A_7C15
        let values = (0..<records).map { _ in
            var value = ByteBuffer()
            for _ in 0..<(recordValueBytes / 8) {
                // Xorshift: bytes that look like payload, never twice the same record.
                state ^= state << 13
                state ^= state >> 7
                state ^= state << 17
                value.writeInteger(state)
            }
            return Record(timestamp: timestamp, key: nil, value: value)
        }
        return RecordBatchBuilder.batch(
            of: values, producerID: producerID, producerEpoch: producerID < 0 ? -1 : 0, baseSequence: producerID < 0 ? -1 : 0)
    }

    static func batches(records: Int = 1) throws -> RecordBatches { try RecordBatches(verifying: batch(records: records)) }

    /// Numbers below `bound` that jump about, the same in every run.
    static func scattered(_ count: Int, below bound: Int) -> [Int] {
        (0..<count).map { Int((UInt64($0) &+ 1) &* 0x9E37_79B9_7F4A_7C15 >> 11) % bound }
    }
}
