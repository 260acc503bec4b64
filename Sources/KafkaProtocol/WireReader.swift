//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import LogModel
public import NIOCore

/// Reads the primitives of the Kafka protocol from one frame.
///
/// Works on the frame's memory directly and is therefore lent for the length of a closure by ``read(_:_:)``; byte and record
/// fields are given out as slices of the frame's buffer. Every method takes the name of the field it reads, for its error.
public struct WireReader {
    /// The frame, for slices.
    private let buffer: ByteBuffer
    private let base: UnsafeRawPointer
    /// Bytes read so far. Invariant: 0 <= position <= end <= readable bytes of `buffer`.
    private var position: Int
    private var end: Int
    /// Compact lengths and tagged sections (KIP-482). Set by each message for its version.
    public var isFlexible = false

    private init(_ buffer: ByteBuffer, over bytes: UnsafeRawBufferPointer) {
        self.buffer = buffer
        // An empty buffer may have no memory; nothing is read from it then.
        self.base = bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 1)!
        self.position = 0
        self.end = bytes.count
    }

    /// Lends a reader over the readable bytes of `buffer`. It must not be kept beyond `body`.
    public static func read<Value>(
        _ buffer: ByteBuffer, _ body: (inout WireReader) throws(CodecError) -> Value
    ) throws(CodecError) -> Value {
        try buffer.withUnsafeReadableBytes { (bytes) throws(CodecError) -> Value in
            var reader = WireReader(buffer, over: bytes)
            return try body(&reader)
        }
    }

    public var remainingBytes: Int { end - position }

    /// What has not been read yet, as a slice.
    public func rest() -> ByteBuffer { slice(at: position, length: end - position) }

    /// Whether the next bytes are `value`; reads nothing.
    func beginsWith(_ value: Int16) -> Bool {
        remainingBytes >= 2 && base.loadUnaligned(fromByteOffset: position, as: Int16.self) == value.bigEndian
    }

    // MARK: Fixed sizes

    @inline(__always)
    private mutating func load<Integer: FixedWidthInteger>(
        _ field: String, as type: Integer.Type = Integer.self
    ) throws(CodecError) -> Integer {
        let size = MemoryLayout<Integer>.size
        guard end &- position >= size else { throw .truncated(field: field) }
        let value = base.loadUnaligned(fromByteOffset: position, as: Integer.self)
        position &+= size
        return Integer(bigEndian: value)
    }

    public mutating func bool(_ field: String) throws(CodecError) -> Bool { try load(field, as: Int8.self) != 0 }
    public mutating func int8(_ field: String) throws(CodecError) -> Int8 { try load(field) }
    public mutating func int16(_ field: String) throws(CodecError) -> Int16 { try load(field) }
    public mutating func uint16(_ field: String) throws(CodecError) -> UInt16 { try load(field) }
    public mutating func int32(_ field: String) throws(CodecError) -> Int32 { try load(field) }
    public mutating func int64(_ field: String) throws(CodecError) -> Int64 { try load(field) }
    public mutating func float64(_ field: String) throws(CodecError) -> Double { Double(bitPattern: try load(field)) }
    public mutating func uuid(_ field: String) throws(CodecError) -> TopicID {
        TopicID(high: try load(field), low: try load(field))
    }
    public mutating func errorCode(_ field: String) throws(CodecError) -> ErrorCode { ErrorCode(rawValue: try load(field)) }

    // MARK: Lengths

    /// At most five bytes, the last of which holds four bits.
    public mutating func unsignedVarint(_ field: String) throws(CodecError) -> UInt32 {
        var value: UInt32 = 0
        var shift: UInt32 = 0
        while true {
            let byte = try load(field, as: UInt8.self)
            if shift == 28, byte > 0x0F { throw .invalid(field: field) }
            value |= UInt32(byte & 0x7F) << shift
            if byte & 0x80 == 0 { return value }
            shift += 7
        }
    }

    /// A length of bytes that are all there, or nil for null. `classic` reads the length of the non-flexible versions.
    @inline(__always)
    private mutating func length<Integer: FixedWidthInteger & SignedInteger>(
        _ field: String, classic: Integer.Type, isFlexible: Bool
    ) throws(CodecError) -> Int? {
        let length = isFlexible ? Int(try unsignedVarint(field)) - 1 : Int(try load(field, as: Integer.self))
        guard length >= 0 else {
            if length == -1 { return nil }
            throw .invalid(field: field)
        }
        guard length <= end &- position else { throw .truncated(field: field) }
        return length
    }

    // MARK: Strings

    private mutating func text(_ field: String, isFlexible: Bool) throws(CodecError) -> String? {
        guard let length = try length(field, classic: Int16.self, isFlexible: isFlexible) else { return nil }
        let bytes = UnsafeRawBufferPointer(start: base + position, count: length)
        guard let text = bytes.withMemoryRebound(to: UInt8.self, { String(validating: $0, as: UTF8.self) }) else {
            throw .invalid(field: field)
        }
        position += length
        return text
    }

    public mutating func string(_ field: String) throws(CodecError) -> String {
        guard let text = try text(field, isFlexible: isFlexible) else { throw .invalid(field: field) }
        return text
    }

    public mutating func nullableString(_ field: String, nullable: Bool = true) throws(CodecError) -> String? {
        let text = try text(field, isFlexible: isFlexible)
        guard text != nil || nullable else { throw .invalid(field: field) }
        return text
    }

    /// With a two-byte length in flexible versions too: the client id of the request header.
    public mutating func classicNullableString(_ field: String) throws(CodecError) -> String? {
        try text(field, isFlexible: false)
    }

    // MARK: Bytes and records

    private func slice(at position: Int, length: Int) -> ByteBuffer {
        guard let slice = buffer.getSlice(at: buffer.readerIndex + position, length: length) else {
            preconditionFailure("lengths are checked against the frame before a slice is taken")
        }
        return slice
    }

    public mutating func nullableBytes(_ field: String, nullable: Bool = true) throws(CodecError) -> ByteBuffer? {
        guard let length = try length(field, classic: Int32.self, isFlexible: isFlexible) else {
            if nullable { return nil }
            throw .invalid(field: field)
        }
        defer { position += length }
        return slice(at: position, length: length)
    }

    public mutating func bytes(_ field: String) throws(CodecError) -> ByteBuffer {
        guard let bytes = try nullableBytes(field) else { throw .invalid(field: field) }
        return bytes
    }

    public mutating func nullableRecords(_ field: String, nullable: Bool = true) throws(CodecError) -> LogSlices? {
        try nullableBytes(field, nullable: nullable).map { LogSlices($0) }
    }

    public mutating func records(_ field: String) throws(CodecError) -> LogSlices { LogSlices(try bytes(field)) }

    // MARK: Arrays

    /// How many elements follow, or nil for null. As each takes `minimumSize` bytes at least, a count beyond what the frame can
    /// hold is refused before anything is reserved for it.
    private mutating func count(minimumSize: Int, _ field: String) throws(CodecError) -> Int? {
        let count = isFlexible ? Int(try unsignedVarint(field)) - 1 : Int(try load(field, as: Int32.self))
        guard count >= 0 else {
            if count == -1 { return nil }
            throw .invalid(field: field)
        }
        guard count <= (end &- position) / minimumSize else { throw .truncated(field: field) }
        return count
    }

    @inline(__always)
    private mutating func elements<Element>(
        minimumSize: Int, _ field: String, _ next: (inout WireReader) throws(CodecError) -> Element
    ) throws(CodecError) -> [Element]? {
        guard let count = try count(minimumSize: minimumSize, field) else { return nil }
        var elements: [Element] = []
        elements.reserveCapacity(count)
        for _ in 0..<count { elements.append(try next(&self)) }
        return elements
    }

    @inline(__always)
    private func present<Value>(_ value: Value?, _ field: String) throws(CodecError) -> Value {
        guard let value else { throw .invalid(field: field) }
        return value
    }

    public mutating func nullableArray<Element: KafkaStruct>(
        of type: Element.Type, _ version: Int16, minimumSize: Int, _ field: String, nullable: Bool = true
    ) throws(CodecError) -> [Element]? {
        let array = try elements(minimumSize: minimumSize, field) { (reader) throws(CodecError) in
            try Element(from: &reader, version: version)
        }
        guard array != nil || nullable else { throw .invalid(field: field) }
        return array
    }

    public mutating func array<Element: KafkaStruct>(
        of type: Element.Type, _ version: Int16, minimumSize: Int, _ field: String
    ) throws(CodecError) -> [Element] {
        try present(try nullableArray(of: type, version, minimumSize: minimumSize, field), field)
    }

    @inline(__always)
    private mutating func integers<Integer: FixedWidthInteger>(_ field: String) throws(CodecError) -> [Integer]? {
        try elements(minimumSize: MemoryLayout<Integer>.size, field) { (reader) throws(CodecError) in try reader.load(field) }
    }

    public mutating func arrayOfInt8(_ field: String) throws(CodecError) -> [Int8] { try present(try integers(field), field) }
    public mutating func arrayOfInt16(_ field: String) throws(CodecError) -> [Int16] { try present(try integers(field), field) }
    public mutating func arrayOfInt32(_ field: String) throws(CodecError) -> [Int32] { try present(try integers(field), field) }
    public mutating func arrayOfInt64(_ field: String) throws(CodecError) -> [Int64] { try present(try integers(field), field) }

    public mutating func nullableArrayOfInt32(_ field: String, nullable: Bool = true) throws(CodecError) -> [Int32]? {
        let array: [Int32]? = try integers(field)
        guard array != nil || nullable else { throw .invalid(field: field) }
        return array
    }

    public mutating func arrayOfUuid(_ field: String) throws(CodecError) -> [TopicID] {
        try present(try elements(minimumSize: 16, field) { (reader) throws(CodecError) in try reader.uuid(field) }, field)
    }

    public mutating func nullableArrayOfString(_ field: String, nullable: Bool = true) throws(CodecError) -> [String]? {
        let array = try elements(minimumSize: isFlexible ? 1 : 2, field) { (reader) throws(CodecError) in try reader.string(field) }
        guard array != nil || nullable else { throw .invalid(field: field) }
        return array
    }

    public mutating func arrayOfString(_ field: String) throws(CodecError) -> [String] {
        try present(try nullableArrayOfString(field), field)
    }

    // MARK: Structs and tagged fields

    public mutating func nullableStruct<Value: KafkaStruct>(
        _ type: Value.Type, _ version: Int16, _ field: String, nullable: Bool = true
    ) throws(CodecError) -> Value? {
        switch try load(field, as: Int8.self) {
        case 1: return try Value(from: &self, version: version)
        case -1 where nullable: return nil
        default: throw .invalid(field: field)
        }
    }

    /// The tagged section of a struct without tagged fields; nothing in versions that are not flexible.
    public mutating func skipTaggedFields() throws(CodecError) {
        guard isFlexible else { return }
        try readTaggedFields { (_, _) throws(CodecError) in false }
    }

    /// The tagged section; nothing in versions that are not flexible. `known` reads the field of a tag and says true, or leaves it
    /// alone and says false: it is skipped then, as a later version's.
    public mutating func readTaggedFields(
        _ known: (UInt32, inout WireReader) throws(CodecError) -> Bool
    ) throws(CodecError) {
        guard isFlexible else { return }
        var left = try unsignedVarint("tagged fields")
        while left > 0 {
            left -= 1
            let tag = try unsignedVarint("tag")
            let size = Int(try unsignedVarint("tagged field's size"))
            guard size <= end - position else { throw .truncated(field: "tagged field \(tag)") }
            let outerEnd = end
            let fieldEnd = position + size
            end = fieldEnd
            if try known(tag, &self) {
                guard position == fieldEnd else { throw .invalid(field: "tagged field \(tag)") }
            }
            position = fieldEnd
            end = outerEnd
        }
    }
}
