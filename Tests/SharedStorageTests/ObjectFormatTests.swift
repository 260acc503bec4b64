//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogEngine
import LogModel
import NIOCore
import RuntimeEnvironment
import SharedStorage
import SimulationKit
import Testing

@Suite struct ObjectFormatTests {
    private static let streams = (0..<3).map { StreamID(topicID: TopicID(high: 4, low: 5), partition: Int32($0)) }

    /// Three streams, the middle one with offsets beyond 32 bits and gaps as compaction leaves them.
    private static func object(blockBytes: Int) -> (built: ObjectBuilder.Built, bytes: ByteBuffer) {
        var builder = ObjectBuilder(blockBytes: blockBytes)
        for (number, stream) in streams.enumerated() {
            let base: Int64 = number == 1 ? 1 << 40 : 0
            let stride: Int64 = number == 1 ? 3_000_000_000 : 1
            builder.add(
                stream,
                (0..<20).map { index in
                    ObjectBuilder.Chunk(
                        start: Offset(base + Int64(index) * stride), end: Offset(base + Int64(index) * stride + 1), batchCount: 1,
                        maxTimestamp: Timestamp(Int64(index)), data: ByteBuffer(repeating: UInt8(index), count: 50 + index))
                })
        }
        let built = builder.finish()
        var bytes = ByteBuffer()
        for part in built.body { bytes.writeImmutableBuffer(part) }
        return (built, bytes)
    }

    private static func index(_ bytes: ByteBuffer, _ built: ObjectBuilder.Built) throws -> ObjectIndex {
        try ObjectIndex.decode(
            indexAndFooter: bytes.getSlice(at: Int(built.indexPosition), length: bytes.readableBytes - Int(built.indexPosition))!,
            indexPosition: built.indexPosition)
    }

    @Test(arguments: [1, 200, 1 << 20])
    func whatWasBuiltIsFoundAgain(_ blockBytes: Int) throws {
        let (built, bytes) = Self.object(blockBytes: blockBytes)
        #expect(bytes.readableBytes == Int(built.size))
        let index = try Self.index(bytes, built)
        #expect(index == built.index)
        #expect(built.pieces.map(\.recordBytes) == [1_190, 1_190, 1_190])
        for (number, stream) in Self.streams.enumerated() {
            var data: [UInt8] = []
            for entry in index.entries(of: stream, from: .zero) {
                let block = try DataBlock(
                    decoding: bytes.getSlice(at: Int(entry.position), length: Int(entry.length))!, entry: entry)
                data += block.data.readableBytesView
            }
            #expect(data == (0..<20).flatMap { [UInt8](repeating: UInt8($0), count: 50 + $0) })
            #expect(built.pieces[number].start == Offset(number == 1 ? 1 << 40 : 0))
            #expect(built.pieces[number].end == Offset(number == 1 ? (1 << 40) + 19 * 3_000_000_000 + 1 : 20))
        }
    }

    @Test func anOffsetInAGapFindsTheNextBlock() throws {
        let (built, _) = Self.object(blockBytes: 1)
        let base: Int64 = 1 << 40
        for (asked, found) in [
            (base, base), (base + 1, base + 3_000_000_000), (base + 2_999_999_999, base + 3_000_000_000), (0, base),
            (base + 19 * 3_000_000_000, base + 19 * 3_000_000_000),
        ] {
            #expect(built.index.entries(of: Self.streams[1], from: Offset(asked)).first?.start == Offset(found))
        }
        #expect(built.index.entries(of: Self.streams[1], from: Offset(base + 20 * 3_000_000_000)).isEmpty)
        #expect(built.index.entries(of: StreamID(topicID: .zero, partition: 0), from: .zero).isEmpty)
    }

    @Test func everyFlippedBitIsNoticed() throws {
        let (built, bytes) = Self.object(blockBytes: 300)
        for at in 0..<bytes.readableBytes {
            var damaged = bytes
            damaged.setInteger(bytes.getInteger(at: at, as: UInt8.self)! ^ (1 << UInt8(at % 8)), at: at)
            let isNoticed: Bool
            if at >= Int(built.indexPosition) {
                isNoticed = (try? Self.index(damaged, built)) == nil
            } else {
                let entry = built.index.entries.first { Int64(at) >= $0.position && Int64(at) < $0.position + $0.length }!
                isNoticed =
                    (try? DataBlock(decoding: damaged.getSlice(at: Int(entry.position), length: Int(entry.length))!, entry: entry))
                    == nil
            }
            #expect(isNoticed, "byte \(at)")
        }
    }

    @Test func everyCutOfTheIndexIsNoticed() {
        let (built, bytes) = Self.object(blockBytes: 300)
        let tail = bytes.getSlice(at: Int(built.indexPosition), length: bytes.readableBytes - Int(built.indexPosition))!
        for length in 0..<tail.readableBytes {
            #expect(throws: ObjectFormatError.self) {
                try ObjectIndex.decode(
                    indexAndFooter: tail.getSlice(at: tail.readerIndex, length: length)!, indexPosition: built.indexPosition)
            }
            #expect(throws: ObjectFormatError.self) {
                try ObjectIndex.decode(
                    indexAndFooter: tail.getSlice(at: tail.readerIndex + tail.readableBytes - length, length: length)!,
                    indexPosition: built.indexPosition)
            }
        }
    }

    /// Found by the fuzzer: blocks are looked up by halving, and one out of order would pass as never written.
    @Test func anIndexOutOfOrderIsRefused() throws {
        var (built, bytes) = Self.object(blockBytes: 1)
        let (start, size) = (Int(built.indexPosition), ObjectFormat.indexEntrySize)
        let first = try #require(bytes.getBytes(at: start, length: size))
        let second = try #require(bytes.getBytes(at: start + size, length: size))
        bytes.setBytes(second + first, at: start)
        // With checksums that hold.
        let footer = bytes.writerIndex - ObjectFormat.footerSize
        bytes.setInteger(CRC32C.extend(0, with: bytes, at: start, length: footer - start), at: footer + 32)
        bytes.setInteger(CRC32C.extend(0, with: bytes, at: footer, length: 36), at: footer + 36)
        let error = #expect(throws: ObjectFormatError.self) { _ = try Self.index(bytes, built) }
        #expect(error?.problem == "the object's index contradicts itself")
    }

    /// Found by reading for the fuzzer: sums of positions would leave 64 bits.
    @Test func aRingThatNoBrokerCouldHaveWrittenIsDamaged() throws {
        let disk = SimulatedDisk(seed: 1)
        for (capacity, trim) in [(Int64(1) << 61, Int64(0)), (8_192, Int64.max - 4_095)] {
            var file = WALHeader(
                brokerID: BrokerID(1), epoch: BrokerEpoch(1), capacity: capacity, trimPosition: trim, sequence: 0, isClean: false
            ).encode()
            file.writeRepeatingByte(0, count: 8_192)
            try disk.replaceFile("wal", with: file)
            let error = #expect(throws: LogError.self) { _ = try WriteAheadLog.readHeader(disk: disk, path: "wal") }
            #expect(error?.code == .corruptLog)
        }
    }
}
