//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogModel
import NIOCore
import Testing

@Suite struct RecordBatchTests {
    private func records(_ count: Int, _ generator: inout SplitMix) -> [Record] {
        func bytes() -> ByteBuffer? {
            let length = Int.random(in: -1...60, using: &generator)
            return length < 0 ? nil : ByteBuffer(bytes: (0..<length).map { _ in UInt8.random(in: 0...255, using: &generator) })
        }
        return (0..<count).map { index in
            let headers = (0..<Int.random(in: 0...3, using: &generator)).map { Record.Header(key: "h\($0)", value: bytes()) }
            return Record(
                offset: Offset(Int64(index)), timestamp: Timestamp(.random(in: 0...2_000_000_000_000, using: &generator)),
                key: bytes(), value: bytes(), headers: headers)
        }
    }

    @Test func recordsComeBackAsTheyWentIn() throws {
        var generator = SplitMix(seed: 3)
        for _ in 0..<100 {
            let original = records(Int.random(in: 1...40, using: &generator), &generator)
            let batches = try RecordBatches(
                verifying: RecordBatchBuilder.batch(of: original, producerID: 5, producerEpoch: 2, baseSequence: 8))
            let header = try #require(batches.entries.first).header
            #expect(try batches.records(of: batches.entries[0]) == original)
            #expect(header.recordCount == original.count)
            #expect(header.lastOffset == Offset(Int64(original.count - 1)))
            #expect(header.maxTimestamp == original.map(\.timestamp).max())
            #expect((header.producerID, header.producerEpoch, header.baseSequence) == (5, 2, 8))
            #expect(header.lastSequence == 8 + Int32(original.count) - 1)
            #expect(header.codec == CompressionCodec.none)
        }
    }

    /// One record, bytes worked out by hand from Kafka's protocol guide.
    @Test func oneRecordLiesAsTheProtocolGuideDraws() {
        let batch = RecordBatchBuilder.batch(of: [Record(timestamp: Timestamp(5), key: nil, value: ByteBuffer(string: "v"))])
        let bytes = Array(batch.readableBytesView)
        let header: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 57, 0xFF, 0xFF, 0xFF, 0xFF, 2]
        #expect(Array(bytes[..<17]) == header)
        let rest: [UInt8] =
            [0, 0, 0, 0, 0, 0] + [0, 0, 0, 0, 0, 0, 0, 5] + [0, 0, 0, 0, 0, 0, 0, 5] + [UInt8](repeating: 0xFF, count: 14)
            + [0, 0, 0, 1] + [14, 0, 0, 0, 1, 2, UInt8(ascii: "v"), 0]
        #expect(Array(bytes[21...]) == rest)
    }

    @Test func assigningPatchesOnlyOffsetAndEpoch() throws {
        var generator = SplitMix(seed: 4)
        var buffer = ByteBuffer(string: "before")
        for count in [3, 1, 5] { buffer.writeImmutableBuffer(RecordBatchBuilder.batch(of: records(count, &generator))) }
        buffer.moveReaderIndex(forwardBy: 6)
        var batches = try RecordBatches(verifying: buffer)
        #expect(batches.offsetCount == 9)
        #expect(batches.assign(baseOffset: Offset(100), epoch: LeaderEpoch(7)) == Offset(100)..<Offset(109))
        #expect(batches.entries.map(\.header.baseOffset) == [Offset(100), Offset(103), Offset(104)])
        let again = try RecordBatches(verifying: batches.buffer)
        #expect(again.entries == batches.entries)
        #expect(again.entries.allSatisfy { $0.header.partitionLeaderEpoch == LeaderEpoch(7) })
        let (old, new) = (Array(buffer.readableBytesView), Array(batches.buffer.readableBytesView))
        for (index, (one, other)) in zip(old, new).enumerated() where one != other {
            let position = index - batches.entries.last { $0.position <= index }!.position
            #expect(position < 8 || (12..<16).contains(position))
        }
    }

    @Test func logAppendTimeRenewsTheChecksum() throws {
        var generator = SplitMix(seed: 5)
        var batches = try RecordBatches(verifying: RecordBatchBuilder.batch(of: records(4, &generator)))
        batches.assign(baseOffset: Offset(9), epoch: LeaderEpoch(1), logAppendTime: Timestamp(1_234))
        let again = try RecordBatches(verifying: batches.buffer)
        #expect(again.entries == batches.entries)
        #expect(again.entries[0].header.usesLogAppendTime)
        #expect(try again.records(of: again.entries[0]).allSatisfy { $0.timestamp == Timestamp(1_234) })
    }

    @Test func aCutOffTailIsDroppedOrRefused() throws {
        var generator = SplitMix(seed: 6)
        let first = RecordBatchBuilder.batch(of: records(2, &generator))
        let second = RecordBatchBuilder.batch(of: records(3, &generator))
        for cut in 1..<second.readableBytes {
            var buffer = first
            buffer.writeBytes(second.readableBytesView.prefix(cut))
            #expect(throws: RecordBatchError.truncated) { try RecordBatches(verifying: buffer) }
            let kept = try RecordBatches(verifying: buffer, allowsPartialTail: true)
            #expect(kept.entries.count == 1)
            #expect(kept.sizeInBytes == first.readableBytes)
        }
    }

    @Test func everyFlippedBitUnderTheChecksumIsFound() {
        let batch = RecordBatchBuilder.batch(of: [Record(timestamp: Timestamp(5), key: nil, value: ByteBuffer(string: "value"))])
        for index in 16..<batch.readableBytes {
            for bit in 0..<8 {
                var broken = batch
                broken.setInteger(batch.getInteger(at: index, as: UInt8.self)! ^ (1 << bit), at: index)
                #expect(throws: RecordBatchError.self, "byte \(index), bit \(bit)") { try RecordBatches(verifying: broken) }
            }
        }
    }

    @Test func hostileBytesAreErrorsNotCrashes() {
        var generator = SplitMix(seed: 7)
        var accepted = 0
        for round in 0..<4_000 {
            var bytes = Array(RecordBatchBuilder.batch(of: records(1 + round % 5, &generator)).readableBytesView)
            // From random bytes to a batch with a few changed ones, its checksum made good.
            if round % 4 == 0 { bytes = bytes.map { _ in UInt8.random(in: 0...255, using: &generator) } }
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let interesting: [UInt8] = [0, 1, 0x7F, 0x80, 0xFF]
                let index = Int.random(in: 0..<bytes.count, using: &generator)
                bytes[index] = interesting.randomElement(using: &generator)!
            }
            if round % 4 == 3 { bytes.removeLast(Int.random(in: 0..<bytes.count, using: &generator)) }
            var buffer = ByteBuffer(bytes: bytes)
            if bytes.count > 21 { buffer.setInteger(CRC32C.checksum(of: Array(bytes[21...])), at: 17) }
            guard let batches = try? RecordBatches(verifying: buffer) else { continue }
            accepted += 1
            for entry in batches.entries {
                _ = try? batches.records(of: entry)
                _ = (entry.header.lastOffset, entry.header.endOffset, entry.header.lastSequence)
            }
        }
        #expect(accepted > 100, "the checksum does not hide the rest from the test")
    }

    @Test func extremeHeadersDoNotTrap() throws {
        var buffer = RecordBatchBuilder.batch(of: [Record(timestamp: Timestamp(5), key: nil, value: nil)])
        buffer.setInteger(Int64.max, at: 0)
        buffer.setInteger(Int32.max, at: 23)
        let header = try RecordBatchHeader(in: buffer, at: 0)
        #expect(header.endOffset < header.baseOffset)
        buffer.setInteger(Int32.min, at: 23)
        buffer.setInteger(Int32.min, at: 53)
        _ = try RecordBatchHeader(in: buffer, at: 0).lastSequence
        #expect(throws: RecordBatchError.truncated) { try RecordBatchHeader(in: buffer, at: 1_000) }
    }

    @Test func sequencesWrapToZero() {
        #expect(RecordBatchHeader.sequence(.max, plus: 1) == 0)
        #expect(RecordBatchHeader.sequence(.max - 1, plus: 3) == 1)
        #expect(RecordBatchHeader.sequence(5, plus: 3) == 8)
    }

    @Test(arguments: [0, 1, -1, 63, 64, -64, -65, 300, Int64.max, Int64.min])
    func varintsRoundTrip(_ value: Int64) {
        var buffer = ByteBuffer()
        buffer.writeVarint(value)
        let encoded = buffer
        #expect(buffer.readVarint() == value)
        #expect(buffer.readableBytes == 0)
        var cut = encoded.getSlice(at: 0, length: encoded.readableBytes - 1)!
        #expect(cut.readVarint() == nil)
    }

    @Test func endlessVarintsAreRefused() {
        var endless = ByteBuffer(repeating: 0x80, count: 20)
        #expect(endless.readVarint() == nil)
        var tooLarge = ByteBuffer(bytes: [UInt8](repeating: 0xFF, count: 9) + [2])
        #expect(tooLarge.readUnsignedVarint() == nil)
    }
}
