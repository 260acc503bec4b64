//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel

/// One attempt to keep a segment in the object store: KIP-405's `RemoteLogSegmentMetadata`, a record of the metadata store.
///
/// ```
/// (none) ─▶ copyStarted ─▶ copyFinished ─▶ deleteStarted ─▶ (none)
///                 └────────────────────────────▲
/// ```
/// Only a finished copy is read. The id is new at each attempt, so two attempts never write the same object.
package struct RemoteSegment: Codable, Hashable, Sendable {
    package enum State: String, Codable, Sendable {
        case copyStarted
        case copyFinished
        case deleteStarted
    }

    /// 32 hex digits, random.
    package var id: String
    package var state: State
    /// What its objects' keys begin with, up to the dot.
    package var objectKey: String
    package var baseOffset: Offset
    /// Exclusive.
    package var endOffset: Offset
    package var maxTimestamp: Timestamp
    /// Of the segment's `.log`.
    package var sizeInBytes: Int64
    /// Of the segment's whole `.log`.
    package var crc32c: UInt32
    /// Who uploads, and as which leader.
    package var broker: BrokerID
    package var leaderEpoch: LeaderEpoch
    /// Of the last change of state.
    package var eventTime: Timestamp
    /// Of the segment's records; never empty, the first starts at or before ``baseOffset``.
    package var epochs: [EpochStart]
    /// Where each index lies in the `.indexes` object.
    package var indexes: IndexLayout
    /// Of the `.log` object's chunks; nil where it is the segment byte for byte.
    package var compression: ChunkCompression?

    /// Of the `.log` object as it lies in the store.
    package var objectBytes: Int64 { compression?.objectBytes ?? sizeInBytes }

    package func epoch(at offset: Offset) -> LeaderEpoch? { epochs.last { $0.startOffset <= offset }?.epoch }

    package func holds(_ offset: Offset) -> Bool { baseOffset <= offset && offset < endOffset }
}

/// The parts of an `.indexes` object, which is the concatenation of what is there of them, in this order.
package struct IndexLayout: Codable, Hashable, Sendable {
    package struct Section: Codable, Hashable, Sendable {
        package var start: Int64
        package var length: Int
        package var crc32c: UInt32

        package var range: Range<Int64> { start..<(start + Int64(length)) }
    }

    /// Kafka's `.index`: 8 bytes each, relative offset and position, both int32.
    package var offset: Section
    /// Kafka's `.timeindex`: 12 bytes each, timestamp (int64) and relative offset (int32).
    package var time: Section
    /// Kafka's `.txnindex`; nil if the segment has no aborted transaction.
    package var transaction: Section?
    /// Kafka's `.snapshot` at the segment's end; nil if the log had none.
    package var producerSnapshot: Section?
    /// Kafka's `leader-epoch-checkpoint`, from the log's start up to the segment's end.
    package var epochs: Section

    /// Of the whole object.
    package var totalBytes: Int64 {
        [offset, time, transaction, producerSnapshot, epochs].compactMap { $0?.range.upperBound }.max() ?? 0
    }
}
