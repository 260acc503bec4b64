//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import KafkaProtocol
import LogModel
import NIOCore

/// A type with random values: fields that the version lacks are left at their defaults.
protocol Sampled {
    static func sample(using source: inout SampleSource, version: Int16) -> Self
}

/// Random values from a seed (SplitMix64). Prefers the values at which codecs go wrong: zero, extremes, empty, one byte more than
/// a length field's single byte can say.
struct SampleSource: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }

    private mutating func integer<Integer: FixedWidthInteger>() -> Integer {
        switch next() % 8 {
        case 0: 0
        case 1: .min
        case 2: .max
        case 3: Integer(truncatingIfNeeded: -1)
        default: Integer(truncatingIfNeeded: next())
        }
    }

    mutating func bool() -> Bool { next() & 1 == 1 }
    mutating func int8() -> Int8 { integer() }
    mutating func int16() -> Int16 { integer() }
    mutating func uint16() -> UInt16 { integer() }
    mutating func int32() -> Int32 { integer() }
    mutating func int64() -> Int64 { integer() }
    mutating func float64() -> Double { Double(Int32(truncatingIfNeeded: next())) / 1024 }
    mutating func errorCode() -> ErrorCode { ErrorCode(rawValue: integer()) }
    mutating func uuid() -> TopicID { TopicID(high: integer(), low: integer()) }

    mutating func string() -> String {
        switch next() % 8 {
        case 0: ""
        case 1: String(repeating: "x", count: 127)
        case 2: String(repeating: "y", count: 128)
        case 3: "Füße, 東京, 🪵"
        default: "topic-\(next() % 1000)"
        }
    }

    mutating func bytes() -> ByteBuffer {
        ByteBuffer(bytes: (0..<(next() % 40)).map { _ in UInt8(truncatingIfNeeded: next()) })
    }

    mutating func records() -> LogSlices { LogSlices(bytes()) }

    mutating func array<Element>(_ element: (inout SampleSource) -> Element) -> [Element] {
        (0..<(next() % 4)).map { _ in element(&self) }
    }

    mutating func nullable<Value>(_ mayBeNull: Bool, _ value: (inout SampleSource) -> Value) -> Value? {
        mayBeNull && next() % 3 == 0 ? nil : value(&self)
    }

    mutating func nullableArray<Element>(_ mayBeNull: Bool, _ element: (inout SampleSource) -> Element) -> [Element]? {
        nullable(mayBeNull) { $0.array(element) }
    }
}
