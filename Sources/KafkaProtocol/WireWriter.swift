//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Glibc
public import LogModel
public import NIOCore

/// Writes the primitives of the Kafka protocol. Record slices are kept beside the bytes, not copied into them.
public struct WireWriter: ~Copyable {
    /// In-memory records up to this size are copied: below it a slice of its own costs more than the copy.
    private static let copiedRecordsMaxBytes = 4096

    /// Slices of a fetch answer for which there is room from the first on.
    private static let insertionsReserved = 16

    /// A slice that stands after the first `position` bytes written.
    private struct Insertion {
        var position: Int
        var slice: LogSlice
    }

    private var memory: UnsafeMutableRawBufferPointer
    private var count = 0
    private var insertions: [Insertion] = []
    private var insertedBytes = 0
    /// Compact lengths and tagged sections (KIP-482). Set by each message for its version.
    public var isFlexible = false

    public init(capacity: Int = 512) {
        memory = Self.allocate(max(capacity, 64))
    }

    deinit { free(memory.baseAddress) }

    /// Bytes written so far, slices included.
    public var sizeInBytes: Int { count + insertedBytes }

    /// All that was written, in order: bytes between two record slices in one buffer each.
    public consuming func finish() -> [LogSlice] {
        guard sizeInBytes > 0 else { return [] }
        // The memory is the buffer's from here on, and nothing is left for `deinit`.
        let bytes = ByteBuffer(takingOver: memory, written: count)
        memory = UnsafeMutableRawBufferPointer(start: nil, count: 0)
        guard !insertions.isEmpty else { return [.bytes(bytes)] }
        var slices: [LogSlice] = []
        slices.reserveCapacity(insertions.count * 2 + 1)
        var position = 0
        func appendBytes(upTo end: Int) {
            guard end > position, let part = bytes.getSlice(at: position, length: end - position) else { return }
            slices.append(.bytes(part))
            position = end
        }
        for insertion in insertions {
            appendBytes(upTo: insertion.position)
            slices.append(insertion.slice)
        }
        appendBytes(upTo: count)
        return slices
    }

    // MARK: Memory

    /// Up to here memory grows fourfold, so that a middling answer is moved once or twice; beyond, twofold.
    private static let fourfoldMaxBytes = 64 << 10

    /// From `malloc`, so that a buffer can take it over.
    private static func allocate(_ size: Int) -> UnsafeMutableRawBufferPointer {
        guard let start = malloc(size) else { fatalError("no memory for \(size) bytes of a message") }
        return UnsafeMutableRawBufferPointer(start: start, count: size)
    }

    @inline(never)
    private mutating func grow(by size: Int) {
        let factor = memory.count <= Self.fourfoldMaxBytes / 4 ? 4 : 2
        let larger = Self.allocate(max(memory.count * factor, count + size))
        larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: memory[..<count]))
        free(memory.baseAddress)
        memory = larger
    }

    /// Makes room for `size` bytes and returns where they go.
    @inline(__always)
    private mutating func extend(by size: Int) -> UnsafeMutableRawPointer {
        if memory.count &- count < size { grow(by: size) }
        let place = memory.baseAddress.unsafelyUnwrapped + count
        count &+= size
        return place
    }

    @inline(__always)
    private mutating func store<Integer: FixedWidthInteger>(_ value: Integer) {
        extend(by: MemoryLayout<Integer>.size).storeBytes(of: value.bigEndian, as: Integer.self)
    }

    private mutating func copy(_ bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress, bytes.count > 0 else { return }
        extend(by: bytes.count).copyMemory(from: source, byteCount: bytes.count)
    }

    // MARK: Fixed sizes

    public mutating func bool(_ value: Bool) { store(value ? 1 as UInt8 : 0) }
    public mutating func int8(_ value: Int8) { store(value) }
    public mutating func int16(_ value: Int16) { store(value) }
    public mutating func uint16(_ value: UInt16) { store(value) }
    public mutating func int32(_ value: Int32) { store(value) }
    public mutating func int64(_ value: Int64) { store(value) }
    public mutating func float64(_ value: Double) { store(value.bitPattern) }
    public mutating func errorCode(_ value: ErrorCode) { store(value.rawValue) }
    public mutating func uuid(_ value: TopicID) {
        store(value.high)
        store(value.low)
    }

    // MARK: Lengths

    public mutating func unsignedVarint(_ value: UInt32) {
        var rest = value
        while rest >= 0x80 {
            store(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        store(UInt8(truncatingIfNeeded: rest))
    }

    /// The length of a field or nil for null; throws where the length does not fit its field.
    @inline(__always)
    private mutating func length<Integer: FixedWidthInteger & SignedInteger>(
        _ length: Int?, classic: Integer.Type, isFlexible: Bool, _ field: String
    ) throws(CodecError) {
        let length = length ?? -1
        if isFlexible {
            guard length < Int(Int32.max) else { throw .invalid(field: field) }
            unsignedVarint(UInt32(length + 1))
        } else {
            guard let length = Integer(exactly: length) else { throw .invalid(field: field) }
            store(length)
        }
    }

    // MARK: Strings

    private mutating func text(_ value: String?, isFlexible: Bool, _ field: String) throws(CodecError) {
        guard var value else { return try length(nil, classic: Int16.self, isFlexible: isFlexible, field) }
        try length(value.utf8.count, classic: Int16.self, isFlexible: isFlexible, field)
        value.withUTF8 { copy(UnsafeRawBufferPointer($0)) }
    }

    public mutating func string(_ value: String, _ field: String) throws(CodecError) {
        try text(value, isFlexible: isFlexible, field)
    }

    public mutating func nullableString(_ value: String?, _ field: String, nullable: Bool = true) throws(CodecError) {
        guard value != nil || nullable else { throw .invalid(field: field) }
        try text(value, isFlexible: isFlexible, field)
    }

    /// With a two-byte length in flexible versions too: the client id of the request header.
    public mutating func classicNullableString(_ value: String?, _ field: String) throws(CodecError) {
        try text(value, isFlexible: false, field)
    }

    // MARK: Bytes and records

    public mutating func nullableBytes(_ value: ByteBuffer?, _ field: String, nullable: Bool = true) throws(CodecError) {
        guard value != nil || nullable else { throw .invalid(field: field) }
        try length(value?.readableBytes, classic: Int32.self, isFlexible: isFlexible, field)
        value?.withUnsafeReadableBytes { copy($0) }
    }

    public mutating func bytes(_ value: ByteBuffer, _ field: String) throws(CodecError) { try nullableBytes(value, field) }

    public mutating func nullableRecords(_ value: LogSlices?, _ field: String, nullable: Bool = true) throws(CodecError) {
        guard value != nil || nullable else { throw .invalid(field: field) }
        try length(value?.sizeInBytes, classic: Int32.self, isFlexible: isFlexible, field)
        guard let slices = value else { return }
        for slice in slices {
            let size = slice.sizeInBytes
            if size <= Self.copiedRecordsMaxBytes, case .bytes(let buffer) = slice {
                buffer.withUnsafeReadableBytes { copy($0) }
            } else if size > 0 {
                if insertions.isEmpty { insertions.reserveCapacity(Self.insertionsReserved) }
                insertions.append(Insertion(position: count, slice: slice))
                insertedBytes += size
            }
        }
    }

    public mutating func records(_ value: LogSlices, _ field: String) throws(CodecError) { try nullableRecords(value, field) }

    // MARK: Arrays

    private mutating func arrayCount(_ count: Int?, _ field: String, nullable: Bool) throws(CodecError) {
        guard count != nil || nullable else { throw .invalid(field: field) }
        try length(count, classic: Int32.self, isFlexible: isFlexible, field)
    }

    public mutating func nullableArray<Element: KafkaStruct>(
        _ values: [Element]?, _ version: Int16, _ field: String, nullable: Bool = true
    ) throws(CodecError) {
        try arrayCount(values?.count, field, nullable: nullable)
        // By address: iterating would retain and release what each element holds.
        try values?.withUnsafeBufferPointer { (values) throws(CodecError) in
            for index in values.indices { try values[index].encode(into: &self, version: version) }
        }
    }

    public mutating func array<Element: KafkaStruct>(
        _ values: [Element], _ version: Int16, _ field: String
    ) throws(CodecError) {
        try nullableArray(values, version, field)
    }

    @inline(__always)
    private mutating func integers(_ values: [some FixedWidthInteger]?, _ field: String, nullable: Bool = true) throws(CodecError) {
        try arrayCount(values?.count, field, nullable: nullable)
        guard let values else { return }
        for value in values { store(value) }
    }

    public mutating func arrayOfInt8(_ values: [Int8], _ field: String) throws(CodecError) { try integers(values, field) }
    public mutating func arrayOfInt16(_ values: [Int16], _ field: String) throws(CodecError) { try integers(values, field) }
    public mutating func arrayOfInt32(_ values: [Int32], _ field: String) throws(CodecError) { try integers(values, field) }
    public mutating func arrayOfInt64(_ values: [Int64], _ field: String) throws(CodecError) { try integers(values, field) }
    public mutating func nullableArrayOfInt32(_ values: [Int32]?, _ field: String, nullable: Bool = true) throws(CodecError) {
        try integers(values, field, nullable: nullable)
    }

    public mutating func arrayOfUuid(_ values: [TopicID], _ field: String) throws(CodecError) {
        try arrayCount(values.count, field, nullable: false)
        for value in values { uuid(value) }
    }

    public mutating func nullableArrayOfString(_ values: [String]?, _ field: String, nullable: Bool = true) throws(CodecError) {
        try arrayCount(values?.count, field, nullable: nullable)
        guard let values else { return }
        for value in values { try string(value, field) }
    }

    public mutating func arrayOfString(_ values: [String], _ field: String) throws(CodecError) {
        try nullableArrayOfString(values, field)
    }

    // MARK: Structs and tagged fields

    public mutating func nullableStruct(
        _ value: (some KafkaStruct)?, _ version: Int16, _ field: String, nullable: Bool = true
    ) throws(CodecError) {
        guard let value else {
            guard nullable else { throw .invalid(field: field) }
            return int8(-1)
        }
        int8(1)
        try value.encode(into: &self, version: version)
    }

    /// The tagged section of a struct that has nothing to tag; nothing in versions that are not flexible.
    public mutating func noTaggedFields() {
        if isFlexible { store(0 as UInt8) }
    }

    /// One tagged field: tag, size, and what `body` writes, which must not be records.
    public mutating func taggedField(
        _ tag: UInt32, _ body: (inout WireWriter) throws(CodecError) -> Void
    ) throws(CodecError) {
        unsignedVarint(tag)
        let start = count
        let insertionsBefore = insertions.count
        try body(&self)
        precondition(insertions.count == insertionsBefore, "the schemas have no records in a tagged field")
        let size = count - start
        // The size stands before the payload and is a varint: write it behind, then swap the two.
        unsignedVarint(UInt32(size))
        let lengthOfSize = count - start - size
        withUnsafeTemporaryAllocation(byteCount: lengthOfSize, alignment: 1) { scratch in
            let base = memory.baseAddress.unsafelyUnwrapped + start
            scratch.copyMemory(from: UnsafeRawBufferPointer(start: base + size, count: lengthOfSize))
            (base + lengthOfSize).copyMemory(from: base, byteCount: size)
            base.copyMemory(from: scratch.baseAddress.unsafelyUnwrapped, byteCount: lengthOfSize)
        }
    }
}
