//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import NIOCore

/// How a batch's records are compressed: bits 0-2 of its attributes.
public enum CompressionCodec: UInt8, Sendable, Hashable, CaseIterable {
    case none = 0
    case gzip = 1
    case snappy = 2
    case lz4 = 3
    case zstd = 4
}

/// What is wrong with the bytes of a record batch.
public enum RecordBatchError: Error, Hashable, Sendable {
    /// Fewer bytes than the header or its length field asks for.
    case truncated
    /// The length field is below a header's size or negative.
    case invalidLength(Int32)
    /// Not magic 2: formats older than Kafka 0.11 are refused (KIP-724).
    case unsupportedMagic(Int8)
    case crcMismatch(stored: UInt32, computed: UInt32)
    /// Codec bits 5-7.
    case unknownCompression(UInt8)
    /// The counts, deltas or varints contradict each other.
    case malformed
}

/// The 61 bytes before a batch's records (Kafka's `RecordBatch`, magic 2; KIP-98).
///
/// ```
///  at  size field                       at  size field
///   0     8 base offset                 27     8 base timestamp, ms
///   8     4 batch length (after it)     35     8 max timestamp, ms
///  12     4 partition leader epoch      43     8 producer id, -1 none
///  16     1 magic = 2                   51     2 producer epoch
///  17     4 CRC-32C of 21 ..< end       53     4 base sequence
///  21     2 attributes                  57     4 record count
///  23     4 last offset delta           61     … records
/// ```
/// Big-endian. Base offset and leader epoch lie outside the CRC, so a leader patches them in place.
public struct RecordBatchHeader: Hashable, Sendable {
    public var baseOffset: Offset
    /// Bytes after this field: the whole batch less 12.
    public var batchLength: Int32
    public var partitionLeaderEpoch: LeaderEpoch
    public var crc: UInt32
    public var attributes: UInt16
    public var lastOffsetDelta: Int32
    public var baseTimestamp: Timestamp
    public var maxTimestamp: Timestamp
    public var producerID: Int64
    public var producerEpoch: Int16
    public var baseSequence: Int32
    public var recordCount: Int32

    public static let size = 61
    /// Base offset and length, which tell where the next batch begins.
    public static let lengthPrefixSize = 12
    /// Where the bytes that the CRC covers begin; they end with the batch.
    package static let crcStart = 21

    /// Bytes of the whole batch, header included.
    public var sizeInBytes: Int { Int(batchLength) + Self.lengthPrefixSize }
    /// Inclusive. Wraps for a hostile header rather than trap: the base offset lies outside the CRC.
    public var lastOffset: Offset { Offset(baseOffset.rawValue &+ Int64(lastOffsetDelta)) }
    /// Exclusive: the offset of the record after this batch, kept even where compaction removed the last records.
    public var endOffset: Offset { Offset(lastOffset.rawValue &+ 1) }
    public var lastSequence: Int32 { Self.sequence(baseSequence, plus: lastOffsetDelta) }

    public var codecBits: UInt8 { UInt8(attributes & 0x7) }
    public var codec: CompressionCodec? { CompressionCodec(rawValue: codecBits) }
    public var usesLogAppendTime: Bool { attributes & 0x8 != 0 }
    public var isTransactional: Bool { attributes & 0x10 != 0 }
    public var isControl: Bool { attributes & 0x20 != 0 }
    public var hasProducerID: Bool { producerID >= 0 }

    /// Sequences wrap from 2^31-1 to 0.
    public static func sequence(_ base: Int32, plus delta: Int32) -> Int32 {
        let sum = Int64(base) + Int64(delta)
        return Int32(truncatingIfNeeded: sum > Int64(Int32.max) ? sum - Int64(Int32.max) - 1 : sum)
    }

    /// Reads the header at the start of `bytes`, without a look at the CRC.
    ///
    /// - Throws: ``RecordBatchError/truncated`` below 61 bytes, ``RecordBatchError/unsupportedMagic(_:)``,
    ///   ``RecordBatchError/invalidLength(_:)`` if the length field cannot hold a header.
    public init(parsing bytes: UnsafeRawBufferPointer) throws(RecordBatchError) {
        guard bytes.count >= Self.size else { throw .truncated }
        func load<Value: FixedWidthInteger>(_ at: Int, as type: Value.Type) -> Value {
            Value(bigEndian: bytes.loadUnaligned(fromByteOffset: at, as: Value.self))
        }
        let magic = load(16, as: Int8.self)
        guard magic == 2 else { throw .unsupportedMagic(magic) }
        batchLength = load(8, as: Int32.self)
        guard batchLength >= Int32(Self.size - Self.lengthPrefixSize) else { throw .invalidLength(batchLength) }
        baseOffset = Offset(load(0, as: Int64.self))
        partitionLeaderEpoch = LeaderEpoch(load(12, as: Int32.self))
        crc = load(17, as: UInt32.self)
        attributes = load(21, as: UInt16.self)
        lastOffsetDelta = load(23, as: Int32.self)
        baseTimestamp = Timestamp(load(27, as: Int64.self))
        maxTimestamp = Timestamp(load(35, as: Int64.self))
        producerID = load(43, as: Int64.self)
        producerEpoch = load(51, as: Int16.self)
        baseSequence = load(53, as: Int32.self)
        recordCount = load(57, as: Int32.self)
    }

    /// Reads the header at absolute index `index` of `buffer`.
    public init(in buffer: ByteBuffer, at index: Int) throws(RecordBatchError) {
        guard index >= buffer.readerIndex, index <= buffer.writerIndex else { throw .truncated }
        let result = buffer.withUnsafeReadableBytes { readable -> Result<RecordBatchHeader, RecordBatchError> in
            do throws(RecordBatchError) {
                return .success(try Self(parsing: UnsafeRawBufferPointer(rebasing: readable[(index - buffer.readerIndex)...])))
            } catch { return .failure(error) }
        }
        self = try result.get()
    }

    /// The CRC of the batch at the start of `batch`, which must hold at least ``sizeInBytes`` bytes.
    public func computeCRC(of batch: UnsafeRawBufferPointer) -> UInt32 {
        CRC32C.extend(0, with: UnsafeRawBufferPointer(rebasing: batch[Self.crcStart..<sizeInBytes]))
    }
}

/// One or more whole record batches in one buffer, each with a good CRC. What an engine appends.
///
/// The buffer is a slice of what came from the socket; base offset and leader epoch are patched in it by the log.
public struct RecordBatches: Sendable {
    public struct Entry: Sendable, Hashable {
        /// Relative to the buffer's reader index.
        public var position: Int
        public var header: RecordBatchHeader
    }

    public private(set) var buffer: ByteBuffer
    public private(set) var entries: [Entry]

    public var sizeInBytes: Int { buffer.readableBytes }
    public var isEmpty: Bool { entries.isEmpty }
    /// Offsets the batches take: the sum of last offset deltas + 1.
    public var offsetCount: Int64 { entries.reduce(0) { $0 + Int64($1.header.lastOffsetDelta) + 1 } }
    public var maxTimestamp: Timestamp { entries.reduce(.none) { max($0, $1.header.maxTimestamp) } }

    /// Checks every batch of `buffer` to its end: length, magic, CRC, codec.
    ///
    /// - Parameter allowsPartialTail: Drops a cut-off last batch, as in a fetch answer, instead of throwing.
    public init(verifying buffer: ByteBuffer, allowsPartialTail: Bool = false) throws(RecordBatchError) {
        var entries: [Entry] = []
        let outcome = buffer.withUnsafeReadableBytes { readable -> Result<Int, RecordBatchError> in
            do throws(RecordBatchError) {
                return .success(try Self.scan(readable, into: &entries, allowsPartialTail: allowsPartialTail))
            } catch { return .failure(error) }
        }
        let verified = try outcome.get()
        self.buffer = buffer.getSlice(at: buffer.readerIndex, length: verified) ?? ByteBuffer()
        self.entries = entries
    }

    private static func scan(
        _ readable: UnsafeRawBufferPointer, into entries: inout [Entry], allowsPartialTail: Bool
    ) throws(RecordBatchError) -> Int {
        var position = 0
        while position < readable.count {
            let rest = UnsafeRawBufferPointer(rebasing: readable[position...])
            let header: RecordBatchHeader
            do throws(RecordBatchError) {
                header = try RecordBatchHeader(parsing: rest)
            } catch RecordBatchError.truncated where allowsPartialTail { break } catch { throw error }
            guard header.sizeInBytes <= rest.count else {
                if allowsPartialTail { break }
                throw .truncated
            }
            let computed = header.computeCRC(of: rest)
            guard computed == header.crc else { throw .crcMismatch(stored: header.crc, computed: computed) }
            guard header.codec != nil else { throw .unknownCompression(header.codecBits) }
            guard header.lastOffsetDelta >= 0, header.recordCount >= 0 else { throw .malformed }
            entries.append(Entry(position: position, header: header))
            position += header.sizeInBytes
        }
        return position
    }

    /// Gives the batches consecutive offsets from `baseOffset` and stamps `epoch`, in the buffer and in ``entries``.
    ///
    /// - Returns: The half-open range taken. With `logAppendTime`, each batch's max timestamp becomes that time and its
    ///   timestamp-type bit is set, which lies inside the CRC, so the CRC is renewed.
    @discardableResult
    public mutating func assign(
        baseOffset: Offset, epoch: LeaderEpoch, logAppendTime: Timestamp? = nil
    ) -> Range<Offset> {
        var next = baseOffset
        for index in entries.indices {
            let at = buffer.readerIndex + entries[index].position
            buffer.setInteger(next.rawValue, at: at)
            buffer.setInteger(epoch.rawValue, at: at + 12)
            entries[index].header.baseOffset = next
            entries[index].header.partitionLeaderEpoch = epoch
            if let logAppendTime {
                let attributes = entries[index].header.attributes | 0x8
                buffer.setInteger(attributes, at: at + 21)
                buffer.setInteger(logAppendTime.rawValue, at: at + 35)
                let length = entries[index].header.sizeInBytes - RecordBatchHeader.crcStart
                let crc = CRC32C.extend(0, with: buffer, at: at + RecordBatchHeader.crcStart, length: length)
                buffer.setInteger(crc, at: at + 17)
                entries[index].header.attributes = attributes
                entries[index].header.maxTimestamp = logAppendTime
                entries[index].header.crc = crc
            }
            next = entries[index].header.endOffset
        }
        return baseOffset..<next
    }

    /// The same batches in a buffer of their own. A slice keeps all of its receive buffer alive, so whoever keeps batches for long
    /// keeps such a copy. Copies nothing where the storage is little larger than the batches.
    public func copiedToSize() -> RecordBatches {
        guard buffer.storageCapacity > 2 * buffer.readableBytes + 4096 else { return self }
        var copy = self
        copy.buffer = ByteBuffer(copyToSizeOf: buffer)
        return copy
    }
}
