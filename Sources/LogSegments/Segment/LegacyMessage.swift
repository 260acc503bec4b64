//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import NIOCore

/// Messages of formats 0 and 1 (Kafka before 0.11), known only to be left alone: cut off for damage, somebody's records would be lost.
///
/// `offset int64, size int32, crc uint32, magic int8, attributes int8, …`; the CRC (that of zlib) covers all from the magic on.
enum LegacyMessage {
    private static let crcStart = 12
    private static let magicStart = 16
    /// Magic, attributes, and a key and a value that are null.
    private static let bodyMin = 10

    /// - Returns: Bytes of the one that may begin at absolute index `index`; nil if none does.
    static func length(in bytes: ByteBuffer, at index: Int) -> Int? {
        guard let magic = bytes.getInteger(at: index + magicStart, as: Int8.self), magic == 0 || magic == 1,
            let size = bytes.getInteger(at: index + 8, as: Int32.self), size >= Int32(magicStart - crcStart + bodyMin)
        else { return nil }
        return crcStart + Int(size)
    }

    /// - Returns: Whether one begins there that lies in `bytes` as a whole and matches its CRC.
    static func isWhole(in bytes: ByteBuffer, at index: Int) -> Bool {
        guard let length = length(in: bytes, at: index), let crc = bytes.getInteger(at: index + crcStart, as: UInt32.self),
            let body = bytes.viewBytes(at: index + magicStart, length: length - magicStart)
        else { return false }
        return crc32(body) == crc
    }

    /// IEEE 802.3, bit by bit: of one message, once.
    private static func crc32(_ bytes: ByteBufferView) -> UInt32 {
        var crc = ~UInt32(0)
        for byte in bytes {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 0 ? crc >> 1 : crc >> 1 ^ 0xEDB8_8320 }
        }
        return ~crc
    }
}
