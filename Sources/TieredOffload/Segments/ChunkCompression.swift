//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import CZstd
internal import NIOCore
internal import ObjectStore

/// How a `.log` object is kept whose chunks are compressed one by one: frame after frame, so that a range of the segment is still one
/// range of the object.
///
/// ```
/// segment   | chunk 0, chunkBytes | chunk 1, chunkBytes | ... | the last, perhaps shorter |
/// object    | frame 0, lengths[0] | frame 1  | ...                                        |
/// ```
public struct ChunkCompression: Codable, Hashable, Sendable {
    public enum Codec: String, Codable, Sendable, CaseIterable {
        case zstd
    }

    public var codec: Codec
    /// Bytes of the segment in one chunk.
    public var chunkBytes: Int
    /// Bytes of each frame.
    public var lengths: [Int]

    var objectBytes: Int64 { lengths.reduce(0) { $0 + Int64($1) } }

    /// Where the frames of `chunks` lie in the object.
    func range(of chunks: ClosedRange<Int64>) -> Range<Int64> {
        let start = lengths.prefix(Int(chunks.lowerBound)).reduce(0) { $0 + Int64($1) }
        return start..<lengths[Int(chunks.lowerBound)...Int(chunks.upperBound)].reduce(start) { $0 + Int64($1) }
    }

    /// The chunks that hold a range of the segment, which is not empty.
    func chunks(of range: Range<Int64>) -> ClosedRange<Int64> {
        range.lowerBound / Int64(chunkBytes)...(range.upperBound - 1) / Int64(chunkBytes)
    }

    /// The bytes of the segment in `chunks`, out of their frames.
    ///
    /// - Throws: ``ObjectStore/ObjectStoreError/Code/corrupt``.
    func decompressed(_ frames: ByteBuffer, chunks: ClosedRange<Int64>, size: Int64, object: String) throws(ObjectStoreError)
        -> ByteBuffer
    {
        var whole = ByteBuffer()
        var frames = frames
        for index in chunks {
            let plain = Int(min(Int64(chunkBytes), size - index * Int64(chunkBytes)))
            guard let frame = frames.readSlice(length: lengths[Int(index)]), let chunk = Self.decompress(frame, length: plain)
            else {
                throw ObjectStoreError(.corrupt, "object \(object): chunk \(index) cannot be decompressed")
            }
            whole.writeImmutableBuffer(chunk)
        }
        return whole
    }

    // MARK: zstd

    private static let level: CInt = 3

    static func compress(_ plain: ByteBuffer) -> ByteBuffer {
        var frame = ByteBuffer()
        frame.writeWithUnsafeMutableBytes(minimumWritableBytes: ZSTD_compressBound(plain.readableBytes)) { target in
            plain.withUnsafeReadableBytes { source in
                let written = ZSTD_compress(target.baseAddress, target.count, source.baseAddress, source.count, Self.level)
                precondition(ZSTD_isError(written) == 0, "a buffer of the bound's size takes every frame")
                return written
            }
        }
        return frame
    }

    /// nil unless `frame` is one whole frame of exactly `length` bytes.
    static func decompress(_ frame: ByteBuffer, length: Int) -> ByteBuffer? {
        var plain = ByteBuffer()
        let written = plain.writeWithUnsafeMutableBytes(minimumWritableBytes: max(1, length)) { target in
            frame.withUnsafeReadableBytes { source in
                let written = ZSTD_decompress(target.baseAddress, length, source.baseAddress, source.count)
                return ZSTD_isError(written) == 0 ? written : 0
            }
        }
        return written == length ? plain : nil
    }
}
