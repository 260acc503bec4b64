//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import NIOCore

/// One record, decoded. For readers that need records (groups, tests, the load generator); the data path never makes one.
public struct Record: Hashable, Sendable {
    public struct Header: Hashable, Sendable {
        public var key: String
        public var value: ByteBuffer?

        public init(key: String, value: ByteBuffer?) {
            self.key = key
            self.value = value
        }
    }

    public var offset: Offset
    public var timestamp: Timestamp
    public var key: ByteBuffer?
    public var value: ByteBuffer?
    public var headers: [Header]

    public init(offset: Offset = .zero, timestamp: Timestamp, key: ByteBuffer?, value: ByteBuffer?, headers: [Header] = []) {
        self.offset = offset
        self.timestamp = timestamp
        self.key = key
        self.value = value
        self.headers = headers
    }
}

extension RecordBatches {
    /// The records of an *uncompressed* batch, in offset order.
    ///
    /// - Throws: ``RecordBatchError/unknownCompression(_:)`` for a compressed batch, ``RecordBatchError/malformed``.
    public func records(of entry: Entry) throws(RecordBatchError) -> [Record] {
        guard entry.header.codec == CompressionCodec.none else { throw .unknownCompression(entry.header.codecBits) }
        let start = buffer.readerIndex + entry.position + RecordBatchHeader.size
        guard let bytes = buffer.getSlice(at: start, length: entry.header.sizeInBytes - RecordBatchHeader.size) else {
            throw .truncated
        }
        return try records(of: entry.header, in: bytes)
    }

    /// The records of a batch, decompressed, as they follow its header.
    package func records(of header: RecordBatchHeader, in bytes: ByteBuffer) throws(RecordBatchError) -> [Record] {
        var records: [Record] = []
        // A hostile count must not reserve memory: a record takes seven bytes at the least.
        records.reserveCapacity(min(Int(max(0, header.recordCount)), bytes.readableBytes / 7))
        try forEachRecord(of: header, in: bytes) { record in
            records.append(record)
            return true
        }
        return records
    }

    /// As ``records(of:in:)``, one at a time, until `body` answers false.
    package func forEachRecord(
        of header: RecordBatchHeader, in bytes: ByteBuffer, _ body: (Record) -> Bool
    ) throws(RecordBatchError) {
        var bytes = bytes
        for _ in 0..<max(0, header.recordCount) {
            guard let length = bytes.readVarint(), length >= 0, var record = bytes.readSlice(length: Int(length)),
                record.readInteger(as: Int8.self) != nil, let timestampDelta = record.readVarint(),
                let offsetDelta = record.readVarint(), (0...Int64(max(0, header.lastOffsetDelta))).contains(offsetDelta)
            else { throw .malformed }
            let key = try record.readRecordBytes()
            let value = try record.readRecordBytes()
            guard let headerCount = record.readVarint(), headerCount >= 0, headerCount <= record.readableBytes else {
                throw .malformed
            }
            var headers: [Record.Header] = []
            for _ in 0..<headerCount {
                guard let headerKey = try record.readRecordBytes() else { throw .malformed }
                headers.append(Record.Header(key: String(buffer: headerKey), value: try record.readRecordBytes()))
            }
            guard record.readableBytes == 0 else { throw .malformed }
            let timestamp =
                header.usesLogAppendTime
                ? header.maxTimestamp : Timestamp(header.baseTimestamp.rawValue &+ timestampDelta)
            let goesOn = body(
                Record(
                    offset: Offset(header.baseOffset.rawValue &+ offsetDelta), timestamp: timestamp, key: key, value: value,
                    headers: headers))
            if !goesOn { return }
        }
    }
}

/// Makes uncompressed record batches, for what the broker itself writes (group offsets) and for the load generator.
public enum RecordBatchBuilder {
    /// One batch of `records` (their ``Record/offset`` is not read: deltas run 0, 1, 2, …), base offset 0, leader epoch -1.
    public static func batch(
        of records: some Collection<Record>, producerID: Int64 = -1, producerEpoch: Int16 = -1, baseSequence: Int32 = -1,
        attributes: UInt16 = 0
    ) -> ByteBuffer {
        precondition(!records.isEmpty, "a batch holds at least one record")
        let baseTimestamp = records.first!.timestamp
        var maxTimestamp = baseTimestamp
        var buffer = ByteBuffer()
        buffer.writeRepeatingByte(0, count: RecordBatchHeader.size)
        var body = ByteBuffer()
        for (delta, record) in records.enumerated() {
            maxTimestamp = max(maxTimestamp, record.timestamp)
            body.clear()
            body.writeInteger(Int8(0))
            body.writeVarint(record.timestamp.rawValue - baseTimestamp.rawValue)
            body.writeVarint(Int64(delta))
            body.writeRecordBytes(record.key)
            body.writeRecordBytes(record.value)
            body.writeVarint(Int64(record.headers.count))
            for header in record.headers {
                body.writeRecordBytes(ByteBuffer(string: header.key))
                body.writeRecordBytes(header.value)
            }
            buffer.writeVarint(Int64(body.readableBytes))
            buffer.writeBuffer(&body)
        }
        buffer.setInteger(Int64(0), at: 0)
        buffer.setInteger(Int32(buffer.writerIndex - RecordBatchHeader.lengthPrefixSize), at: 8)
        buffer.setInteger(Int32(-1), at: 12)
        buffer.setInteger(Int8(2), at: 16)
        buffer.setInteger(attributes, at: 21)
        buffer.setInteger(Int32(records.count - 1), at: 23)
        buffer.setInteger(baseTimestamp.rawValue, at: 27)
        buffer.setInteger(maxTimestamp.rawValue, at: 35)
        buffer.setInteger(producerID, at: 43)
        buffer.setInteger(producerEpoch, at: 51)
        buffer.setInteger(baseSequence, at: 53)
        buffer.setInteger(Int32(records.count), at: 57)
        let start = RecordBatchHeader.crcStart
        buffer.setInteger(CRC32C.extend(0, with: buffer, at: start, length: buffer.writerIndex - start), at: 17)
        return buffer
    }
}

extension ByteBuffer {
    /// A zig-zag varint of at most ten bytes; nil when cut off or longer.
    public mutating func readVarint() -> Int64? {
        guard let raw = readUnsignedVarint() else { return nil }
        return Int64(bitPattern: raw >> 1) ^ -Int64(bitPattern: raw & 1)
    }

    public mutating func readUnsignedVarint() -> UInt64? {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while shift < 70 {
            guard let byte = readInteger(as: UInt8.self) else { return nil }
            if shift == 63, byte > 1 { return nil }
            value |= UInt64(byte & 0x7F) << shift
            if byte & 0x80 == 0 { return value }
            shift += 7
        }
        return nil
    }

    public mutating func writeVarint(_ value: Int64) {
        writeUnsignedVarint(UInt64(bitPattern: (value << 1) ^ (value >> 63)))
    }

    public mutating func writeUnsignedVarint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            writeInteger(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        writeInteger(UInt8(rest))
    }

    fileprivate mutating func readRecordBytes() throws(RecordBatchError) -> ByteBuffer? {
        guard let length = readVarint(), length >= -1 else { throw .malformed }
        if length == -1 { return nil }
        guard length <= readableBytes, let bytes = readSlice(length: Int(length)) else { throw .malformed }
        return bytes
    }

    fileprivate mutating func writeRecordBytes(_ bytes: ByteBuffer?) {
        guard let bytes else { return writeVarint(-1) }
        writeVarint(Int64(bytes.readableBytes))
        writeImmutableBuffer(bytes)
    }
}
