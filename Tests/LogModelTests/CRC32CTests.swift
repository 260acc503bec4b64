//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogModel
import NIOCore
import Testing

@Suite struct CRC32CTests {
    /// RFC 3720, appendix B.4, and the check value of the catalogue of CRC algorithms.
    private static let vectors: [([UInt8], UInt32)] = [
        ([UInt8](repeating: 0, count: 32), 0x8A91_36AA),
        ([UInt8](repeating: 0xFF, count: 32), 0x62A8_AB43),
        ([UInt8](0..<32), 0x46DD_794E),
        ([UInt8]((0..<32).reversed()), 0x113F_DB5C),
        ([UInt8]("123456789".utf8), 0xE306_9283),
        ([], 0),
    ]

    @Test(arguments: vectors)
    func knownVectors(_ bytes: [UInt8], _ expected: UInt32) {
        #expect(CRC32C.checksum(of: bytes) == expected)
        #expect(bytes.withUnsafeBytes { CRC32C.extendPortable(0, with: $0) } == expected)
        #expect(CRC32C.checksum(of: ByteBuffer(bytes: bytes)) == expected)
    }

    @Test func instructionAndTableAgreeAtEveryLengthAndAlignment() {
        var generator = SplitMix(seed: 1)
        let bytes = (0..<70_000).map { _ in UInt8.random(in: 0...255, using: &generator) }
        let lengths = Array(0..<300) + [767, 768, 769, 1_023, 4_096, 12_287, 12_289, 24_576, 65_536]
        bytes.withUnsafeBytes { all in
            for (index, length) in lengths.enumerated() {
                for start in [index % 8, (index + 3) % 64] {
                    let part = UnsafeRawBufferPointer(rebasing: all[start..<(start + length)])
                    #expect(CRC32C.extend(7, with: part) == CRC32C.extendPortable(7, with: part), "\(length) bytes at \(start)")
                }
            }
        }
    }

    @Test func aSumContinuesOverAnySplit() {
        var generator = SplitMix(seed: 2)
        let bytes = (0..<9_000).map { _ in UInt8.random(in: 0...255, using: &generator) }
        let whole = CRC32C.checksum(of: bytes)
        bytes.withUnsafeBytes { all in
            for _ in 0..<200 {
                let cut = Int.random(in: 0...9_000, using: &generator)
                let first = CRC32C.extend(0, with: UnsafeRawBufferPointer(rebasing: all[..<cut]))
                #expect(CRC32C.extend(first, with: UnsafeRawBufferPointer(rebasing: all[cut...])) == whole)
            }
        }
        var buffer = ByteBuffer(bytes: [9, 9] + bytes + [9])
        buffer.moveReaderIndex(forwardBy: 1)
        #expect(CRC32C.extend(with: buffer, at: 2, length: 9_000) == whole)
    }
}
