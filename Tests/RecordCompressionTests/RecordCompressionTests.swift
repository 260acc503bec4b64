//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import CLz4
import CSnappy
import CZlib
import CZstd
import LogModel
import NIOCore
import RecordCompression
import Testing

/// Batches as clients compress them. What real clients wrote is read in `Tests/RealClients/test_import.py`.
@Suite struct RecordCompressionTests {
    enum Form: String, CaseIterable, Sendable, CustomTestStringConvertible {
        case gzip, snappy, snappyJava, lz4, zstd
        var testDescription: String { rawValue }

        var codec: CompressionCodec {
            switch self {
            case .gzip: .gzip
            case .snappy, .snappyJava: .snappy
            case .lz4: .lz4
            case .zstd: .zstd
            }
        }

        func compress(_ bytes: [UInt8]) -> [UInt8] {
            switch self {
            case .gzip: Self.gzip(bytes)
            case .snappy: Self.snappy(bytes)
            case .snappyJava: Self.snappyJava(bytes)
            case .lz4: Self.sized(LZ4F_compressFrameBound(bytes.count, nil)) { LZ4F_compressFrame($0, $1, bytes, bytes.count, nil) }
            case .zstd: Self.sized(ZSTD_compressBound(bytes.count)) { ZSTD_compress($0, $1, bytes, bytes.count, 3) }
            }
        }

        private static func sized(_ bound: Int, _ body: (UnsafeMutableRawPointer, Int) -> Int) -> [UInt8] {
            var output = [UInt8](repeating: 0, count: bound)
            let count = output.withUnsafeMutableBytes { body($0.baseAddress!, bound) }
            return Array(output.prefix(count))
        }

        private static func gzip(_ bytes: [UInt8]) -> [UInt8] {
            var (stream, input) = (z_stream(), bytes)
            deflateInit2_(&stream, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, CInt(MemoryLayout<z_stream>.size))
            defer { deflateEnd(&stream) }
            return input.withUnsafeMutableBufferPointer { input in
                stream.next_in = input.baseAddress
                stream.avail_in = UInt32(input.count)
                return sized(Int(deflateBound(&stream, UInt(input.count)))) { output, bound in
                    stream.next_out = output.assumingMemoryBound(to: UInt8.self)
                    stream.avail_out = UInt32(bound)
                    deflate(&stream, Z_FINISH)
                    return Int(stream.total_out)
                }
            }
        }

        private static func snappy(_ bytes: [UInt8]) -> [UInt8] {
            let bound = snappy_max_compressed_length(bytes.count)
            return sized(bound) { output, _ in
                var count = bound
                bytes.withUnsafeBytes {
                    _ = snappy_compress(
                        $0.assumingMemoryBound(to: CChar.self).baseAddress, bytes.count, output.assumingMemoryBound(to: CChar.self),
                        &count)
                }
                return count
            }
        }

        /// The header, then blocks of at most 1,000 bytes.
        private static func snappyJava(_ bytes: [UInt8]) -> [UInt8] {
            var output: [UInt8] = [0x82, 0x53, 0x4E, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1]
            var rest = bytes[...]
            while !rest.isEmpty {
                let block = snappy(Array(rest.prefix(1_000)))
                output += [
                    UInt8(block.count >> 24), UInt8(block.count >> 16 & 255), UInt8(block.count >> 8 & 255),
                    UInt8(block.count & 255),
                ]
                output += block
                rest = rest.dropFirst(1_000)
            }
            return output
        }
    }

    private func batch(_ form: Form, _ records: [Record], _ change: (inout [UInt8]) -> Void = { _ in }) throws -> RecordBatches {
        var batch = RecordBatchBuilder.batch(of: records, attributes: UInt16(form.codec.rawValue))
        var body = form.compress(Array(batch.readableBytesView.dropFirst(RecordBatchHeader.size)))
        change(&body)
        batch.moveWriterIndex(to: RecordBatchHeader.size)
        batch.writeBytes(body)
        batch.setInteger(Int32(batch.readableBytes - 12), at: 8)
        let crc = CRC32C.extend(0, with: batch, at: 21, length: batch.readableBytes - 21)
        batch.setInteger(crc, at: 17)
        return try RecordBatches(verifying: batch)
    }

    private func records(_ count: Int, size: Int = 100) -> [Record] {
        (0..<count).map { number in
            let time = Timestamp(1_000 + Int64(number * 7 % 50))
            let bytes = (0..<size).map { index -> UInt8 in UInt8(truncatingIfNeeded: (index + 1) * (number + 3)) }
            return Record(offset: Offset(Int64(number)), timestamp: time, key: nil, value: ByteBuffer(bytes: bytes))
        }
    }

    @Test(arguments: Form.allCases) func recordsAreAsTheyWere(_ form: Form) throws {
        for count in [1, 50, 3_000] {
            let sent = records(count)
            let batches = try batch(form, sent)
            #expect(try batches.records(of: batches.entries[0], decompressingAtMost: 1 << 20) == sent)
            let found = try batches.first(of: batches.entries[0]) { $0 >= Offset(2) && $1 >= Timestamp(1_040) }
            let expected = sent.first { $0.offset >= Offset(2) && $0.timestamp >= Timestamp(1_040) }
            #expect(found?.offset == expected?.offset && found?.timestamp == expected?.timestamp)
        }
    }

    /// Sixteen MiB of the same byte take a few kilobytes.
    @Test(arguments: Form.allCases) func noMoreThanTheBoundIsMade(_ form: Form) throws {
        let value = ByteBuffer(repeating: 7, count: 16 << 20)
        let batches = try batch(form, [Record(timestamp: Timestamp(1_000), key: nil, value: value)])
        let entry = batches.entries[0]
        #expect(throws: RecordBatchError.malformed) { try batches.records(of: entry, decompressingAtMost: 8 << 20) }
        #expect(try batches.records(of: entry, decompressingAtMost: 17 << 20).count == 1)
    }

    /// Who asks by time is led to the batch's beginning where it cannot be looked into.
    @Test(arguments: Form.allCases) func damageIsAnError(_ form: Form) throws {
        let sent = records(200)
        var failures = 0
        for cut in stride(from: 0, through: 400, by: 7) {
            let batches = try batch(form, sent) { $0 = Array($0.prefix(cut)) }
            let entry = batches.entries[0]
            #expect(throws: RecordBatchError.self) { try batches.records(of: entry, decompressingAtMost: 1 << 20) }
            let found = try batches.first(of: entry) { $1 >= Timestamp(1_040) }
            #expect(found?.offset == .zero && found?.timestamp == sent[0].timestamp)
        }
        for seed in 0..<300 {
            let batches = try batch(form, sent) { bytes in
                bytes[seed * 31 % bytes.count] ^= UInt8(1 << (seed % 8))
                bytes[seed * 17 % bytes.count] = UInt8(seed & 255)
            }
            do { _ = try batches.records(of: batches.entries[0], decompressingAtMost: 1 << 20) } catch { failures += 1 }
        }
        #expect(failures > 0)
    }

    @Test func bytesOfAnotherCodecAreAnError() throws {
        for form in Form.allCases {
            for other in Form.allCases where other.codec != form.codec {
                let batches = try batch(form, records(3)) { $0 = other.compress($0) }
                #expect(throws: RecordBatchError.self, "\(form) \(other)") {
                    try batches.records(of: batches.entries[0], decompressingAtMost: 1 << 20)
                }
            }
        }
    }
}
