//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// A record's position in its partition, dense and starting at 0. 64 bits everywhere, on the wire and on disk.
public struct Offset: RawRepresentable, Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    public var rawValue: Int64

    @inlinable public init(rawValue: Int64) { self.rawValue = rawValue }
    @inlinable public init(_ value: Int64) { self.rawValue = value }

    public static let zero = Offset(0)

    @inlinable public static func < (left: Offset, right: Offset) -> Bool { left.rawValue < right.rawValue }
    @inlinable public static func + (left: Offset, right: Int64) -> Offset { Offset(left.rawValue + right) }
    @inlinable public static func - (left: Offset, right: Int64) -> Offset { Offset(left.rawValue - right) }
    /// Records between two offsets.
    @inlinable public static func - (left: Offset, right: Offset) -> Int64 { left.rawValue - right.rawValue }

    public var description: String { String(rawValue) }

    public init(from decoder: any Decoder) throws { rawValue = try decoder.singleValueContainer().decode(Int64.self) }
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(rawValue)
    }
}

/// Counts the leaders a partition has had (KIP-101). Grows at each change of leader; -1 where none is known.
public struct LeaderEpoch: RawRepresentable, Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    public var rawValue: Int32

    @inlinable public init(rawValue: Int32) { self.rawValue = rawValue }
    @inlinable public init(_ value: Int32) { self.rawValue = value }

    public static let none = LeaderEpoch(-1)

    @inlinable public static func < (left: LeaderEpoch, right: LeaderEpoch) -> Bool { left.rawValue < right.rawValue }
    public var next: LeaderEpoch { LeaderEpoch(rawValue + 1) }
    public var description: String { String(rawValue) }

    public init(from decoder: any Decoder) throws { rawValue = try decoder.singleValueContainer().decode(Int32.self) }
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(rawValue)
    }
}

/// A broker's `node.id`.
public struct BrokerID: RawRepresentable, Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    public var rawValue: Int32

    @inlinable public init(rawValue: Int32) { self.rawValue = rawValue }
    @inlinable public init(_ value: Int32) { self.rawValue = value }

    @inlinable public static func < (left: BrokerID, right: BrokerID) -> Bool { left.rawValue < right.rawValue }
    public var description: String { String(rawValue) }

    public init(from decoder: any Decoder) throws { rawValue = try decoder.singleValueContainer().decode(Int32.self) }
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(rawValue)
    }
}

/// One run of a broker: grows at each registration, so that a restarted broker is told from its former self (KIP-903).
public struct BrokerEpoch: RawRepresentable, Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    public var rawValue: Int64

    @inlinable public init(rawValue: Int64) { self.rawValue = rawValue }
    @inlinable public init(_ value: Int64) { self.rawValue = value }

    public static let none = BrokerEpoch(-1)

    @inlinable public static func < (left: BrokerEpoch, right: BrokerEpoch) -> Bool { left.rawValue < right.rawValue }
    public var description: String { String(rawValue) }

    public init(from decoder: any Decoder) throws { rawValue = try decoder.singleValueContainer().decode(Int64.self) }
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(rawValue)
    }
}

/// A topic's identity over deletion and re-creation (KIP-516): 128 bits, all zero for none.
public struct TopicID: Hashable, Sendable, Codable, Comparable, CustomStringConvertible {
    public var high: UInt64
    public var low: UInt64

    @inlinable public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    public static let zero = TopicID(high: 0, low: 0)

    public static func < (left: TopicID, right: TopicID) -> Bool {
        left.high != right.high ? left.high < right.high : left.low < right.low
    }

    /// 32 lower-case hex digits.
    public var hex: String { Self.hex(high) + Self.hex(low) }

    /// Kafka's text form: 22 characters of URL-safe base64 without padding.
    public var description: String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
        let bytes = self.bytes
        var text: [UInt8] = []
        text.reserveCapacity(22)
        var index = 0
        while index < 16 {
            let group = (0..<3).map { index + $0 < 16 ? UInt32(bytes[index + $0]) : 0 }
            let word = group[0] << 16 | group[1] << 8 | group[2]
            for digit in 0..<4 where text.count < 22 { text.append(alphabet[Int(word >> (18 - 6 * UInt32(digit)) & 63)]) }
            index += 3
        }
        return String(decoding: text, as: UTF8.self)
    }

    public var bytes: [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: high >> (56 - 8 * UInt64($0))) }
            + (0..<8).map { UInt8(truncatingIfNeeded: low >> (56 - 8 * UInt64($0))) }
    }

    /// Reads ``hex`` back; nil unless it is 32 hex digits.
    public init?(hex: String) {
        let digits = Array(hex.utf8)
        // The number's own parser would take a sign.
        guard digits.count == 32, hex.allSatisfy(\.isHexDigit),
            let high = UInt64(String(decoding: digits[..<16], as: UTF8.self), radix: 16),
            let low = UInt64(String(decoding: digits[16...], as: UTF8.self), radix: 16)
        else { return nil }
        self.init(high: high, low: low)
    }

    /// A random (version 4) id.
    public static func random(using generator: inout some RandomNumberGenerator) -> TopicID {
        let high = (generator.next() & 0xFFFF_FFFF_FFFF_0FFF) | 0x4000
        let low = (generator.next() & 0x3FFF_FFFF_FFFF_FFFF) | 0x8000_0000_0000_0000
        return TopicID(high: high, low: low)
    }

    private static func hex(_ word: UInt64) -> String {
        let digits = String(word, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let id = TopicID(hex: try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "a topic id is 32 hex digits")
        }
        self = id
    }
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(hex)
    }
}

/// Names one partition: the topic's id, its name (for files, logs and old protocol versions) and the partition's number.
public struct PartitionID: Hashable, Sendable, Codable, Comparable, CustomStringConvertible {
    public var topicID: TopicID
    public var topic: String
    public var partition: Int32

    public init(topicID: TopicID, topic: String, partition: Int32) {
        self.topicID = topicID
        self.topic = topic
        self.partition = partition
    }

    public static func == (left: PartitionID, right: PartitionID) -> Bool {
        left.partition == right.partition && left.topicID == right.topicID
    }
    public func hash(into hasher: inout Hasher) {
        hasher.combine(topicID)
        hasher.combine(partition)
    }
    public static func < (left: PartitionID, right: PartitionID) -> Bool {
        left.topic != right.topic ? left.topic < right.topic : left.partition < right.partition
    }

    /// Kafka's directory name, `topic-partition`.
    public var description: String { "\(topic)-\(partition)" }
}

/// Milliseconds since 1970-01-01T00:00:00Z, as records carry it. -1 for none.
public struct Timestamp: RawRepresentable, Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    public var rawValue: Int64

    @inlinable public init(rawValue: Int64) { self.rawValue = rawValue }
    @inlinable public init(_ value: Int64) { self.rawValue = value }

    public static let none = Timestamp(-1)

    @inlinable public static func < (left: Timestamp, right: Timestamp) -> Bool { left.rawValue < right.rawValue }
    public var description: String { String(rawValue) }

    /// How much later than `earlier` this is; what 64 bits cannot say is their largest or smallest number. Clients send any times.
    @inlinable public func milliseconds(since earlier: Timestamp) -> Int64 {
        let (difference, overflows) = rawValue.subtractingReportingOverflow(earlier.rawValue)
        return overflows ? (self < earlier ? .min : .max) : difference
    }

    public init(from decoder: any Decoder) throws { rawValue = try decoder.singleValueContainer().decode(Int64.self) }
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(rawValue)
    }
}
