//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogEngine
package import LogModel

/// Where the engine's records lie in the metadata store. Values are JSON.
///
/// ```
/// /shared/wal/<broker>                             WALOwnership      who may write a broker's WAL, and commit what it holds
/// /shared/wal-trims/<broker>                       WALTrim           where the recovery of an object WAL begins
/// /shared/streams/<topic hex>/<n>                  StreamRecord      one per partition
/// /shared/ranges/<topic hex>/<n>/<start, 16 hex>   RangeRecord       one per piece of a stream in an object
/// /shared/prepared/<object>                        PreparedObject    announced, perhaps put
/// /shared/objects/<object>                         ObjectRecord      committed
/// /shared/destroyed/<object>                       DestroyedObject   no stream needs it; deleted after the grace
/// ```
/// An object is in exactly one of the last three; a transaction moves it from one to the next.
enum SharedKey {
    static let all = "/shared/"
    static let wals = "/shared/wal/"
    static let leftWALs = "/shared/wal-left/"
    static let walTrims = "/shared/wal-trims/"
    static let streams = "/shared/streams/"
    static let ranges = "/shared/ranges/"
    static let prepared = "/shared/prepared/"
    static let objects = "/shared/objects/"
    static let destroyed = "/shared/destroyed/"

    static func wal(_ broker: BrokerID) -> String { wals + String(broker.rawValue) }
    static func leftWAL(_ run: StreamWriter) -> String { "\(leftWALs)\(run.broker)/\(run.epoch)" }
    static func walTrim(_ broker: BrokerID) -> String { walTrims + String(broker.rawValue) }
    static func stream(_ stream: StreamID) -> String { streams + stream.description }
    static func ranges(of stream: StreamID) -> String { "\(ranges)\(stream)/" }
    static func range(_ stream: StreamID, start: Offset) -> String {
        let digits = String(start.rawValue, radix: 16)
        return ranges(of: stream) + String(repeating: "0", count: 16 - digits.count) + digits
    }
    static func prepared(_ object: ObjectID) -> String { prepared + object.text }
    static func object(_ object: ObjectID) -> String { objects + object.text }
    static func destroyed(_ object: ObjectID) -> String { destroyed + object.text }

    /// The stream of a key below ``ranges``.
    static func stream(ofRange key: String) -> StreamID? {
        guard key.hasPrefix(ranges) else { return nil }
        let parts = key.dropFirst(ranges.count).split(separator: "/")
        guard parts.count == 3, let topic = TopicID(hex: String(parts[0])), let partition = Int32(parts[1]) else { return nil }
        return StreamID(topicID: topic, partition: partition)
    }

    /// The stream of a key below ``streams``.
    static func stream(of key: String) -> StreamID? {
        guard key.hasPrefix(streams) else { return nil }
        let parts = key.dropFirst(streams.count).split(separator: "/")
        guard parts.count == 2, let topic = TopicID(hex: String(parts[0])), let partition = Int32(parts[1]) else { return nil }
        return StreamID(topicID: topic, partition: partition)
    }
}

/// `<broker>-<broker epoch>-<number in hex>`: unique without asking anyone, since a broker epoch is given once.
package struct ObjectID: Hashable, Sendable, Codable, CustomStringConvertible {
    package var text: String

    init(text: String) { self.text = text }
    package init(broker: BrokerID, epoch: BrokerEpoch, number: UInt64) { text = "\(broker)-\(epoch)-\(String(number, radix: 16))" }

    package var description: String { text }

    package init(from decoder: any Decoder) throws { text = try decoder.singleValueContainer().decode(String.self) }
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}

/// Who may write a broker's WAL. Every commit of a broker holds its own record as a condition: fencing is changing it.
struct WALOwnership: Codable, Hashable, Sendable {
    enum State: String, Codable, Sendable {
        /// The broker at `epoch` writes and commits.
        case open
        /// `recoverer` reads the WAL and commits in the broker's stead.
        case fenced
        /// Everything in it is committed and its streams are closed.
        case recovered
    }

    var broker: BrokerID
    var epoch: BrokerEpoch
    var state: State
    var recoverer: BrokerID?
    var recovererEpoch: BrokerEpoch?
    /// Whether the run's WAL lies in the object store; nil for a ring on the broker's volume.
    var isInObjects: Bool?
}

/// An ended run's WAL, all of it committed but for a few streams, which cannot be yet.
struct LeftWAL: Codable, Hashable, Sendable {
    /// The run.
    var writer: StreamWriter
    var isInObjects: Bool?
    /// Of an object WAL: the first object that is needed.
    var firstObject: Int64?
    /// Open still in the run's name, or with a tail of its.
    var streams: [StreamID]
    /// Who brings them.
    var recoverer: StreamWriter
}

/// Objects of the run's WAL with lower numbers are not needed, and may be gone.
struct WALTrim: Codable, Hashable, Sendable {
    var epoch: BrokerEpoch
    var number: Int64
}

/// A broker in one of its runs: whose WAL holds what.
struct StreamWriter: Codable, Hashable, Sendable {
    var broker: BrokerID
    var epoch: BrokerEpoch
}

/// Batches below a stream's logical end that are still in a former owner's WAL only.
struct StreamTail: Codable, Hashable, Sendable {
    var writer: StreamWriter
    var start: Offset
    /// Exclusive.
    var end: Offset
    var bytes: Int64
}

/// One partition's stream.
///
/// Objects hold `startOffset ..< committedEnd`, the tails what follows up to the last tail's end, the owner's WAL the rest.
struct StreamRecord: Codable, Hashable, Sendable {
    var topic: String
    /// Leader epoch of the owner that opened it last. Only a higher one may open it again.
    var epoch: LeaderEpoch
    var owner: StreamWriter
    var isOpen: Bool
    var startOffset: Offset
    /// Exclusive end of what lies in committed objects without a gap.
    var committedEnd: Offset
    /// Logical end at the last close; where the next owner goes on.
    var closedEnd: Offset
    /// Oldest first; only the first one's writer may commit.
    var tails: [StreamTail]
    /// Producers and epochs as of `stateEnd`, which is `committedEnd` or, after a close, the logical end.
    var stateEnd: Offset
    var producers: [ProducerStates.Entry]
    var epochs: [EpochStart]

    /// Exclusive end of what former owners have left: where an owner's own records begin or go on.
    var tailsEnd: Offset { tails.last?.end ?? committedEnd }
}

/// One stretch of a stream in one object.
package struct RangeRecord: Codable, Hashable, Sendable {
    package var object: ObjectID
    package var key: String
    package var isStreamObject: Bool
    package var start: Offset
    /// Exclusive.
    package var end: Offset
    /// Bytes of record batches.
    package var recordBytes: Int64
    package var maxTimestamp: Timestamp
    /// Of the whole object.
    package var objectBytes: Int64
    /// Where its index begins; it ends with the object.
    package var indexPosition: Int64

    package init(
        object: ObjectID, key: String, isStreamObject: Bool, start: Offset, end: Offset, recordBytes: Int64,
        maxTimestamp: Timestamp,
        objectBytes: Int64, indexPosition: Int64
    ) {
        self.object = object
        self.key = key
        self.isStreamObject = isStreamObject
        self.start = start
        self.end = end
        self.recordBytes = recordBytes
        self.maxTimestamp = maxTimestamp
        self.objectBytes = objectBytes
        self.indexPosition = indexPosition
    }
}

struct PreparedObject: Codable, Hashable, Sendable {
    var key: String
    var writer: StreamWriter
    var recordBytes: Int64
    /// Milliseconds since 1970; not committed by then, it is garbage.
    var expires: Int64
}

struct ObjectRecord: Codable, Hashable, Sendable {
    struct Piece: Codable, Hashable, Sendable {
        var stream: StreamID
        var start: Offset
        var recordBytes: Int64
    }

    var key: String
    var objectBytes: Int64
    /// Bytes of record batches it was made with.
    var recordBytes: Int64
    /// Stretches that streams still need. With the last one the object goes.
    var live: [Piece]

    var deadBytes: Int64 { recordBytes - live.reduce(0) { $0 + $1.recordBytes } }
}

struct DestroyedObject: Codable, Hashable, Sendable {
    var key: String
    var recordBytes: Int64
    /// Milliseconds since 1970.
    var destroyed: Int64
}
