//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import CLz4
internal import CSnappy
internal import CZlib
internal import CZstd
internal import LogModel
internal import NIOCore

/// Why compressed bytes were not decompressed.
enum DecompressionError: Error, Hashable {
    case damaged
    /// More than the bound.
    case tooLarge
}

/// The records of a compressed batch as they were, at most `limit` bytes of them, whatever the input claims.
func decompress(_ bytes: ByteBuffer, _ codec: CompressionCodec, limit: Int) throws(DecompressionError) -> ByteBuffer {
    switch codec {
    case .none: return bytes
    case .gzip: return try Output.filled(from: bytes, limit: limit, inflate)
    case .snappy: return try snappy(bytes, limit: limit)
    case .lz4: return try Output.filled(from: bytes, limit: limit, lz4)
    case .zstd: return try Output.filled(from: bytes, limit: limit, zstd)
    }
}

/// Grows by chunks, never beyond the bound.
private struct Output {
    private static let chunk = 64 << 10
    private let limit: Int
    private var bytes = ByteBuffer()

    static func filled(
        from input: ByteBuffer, limit: Int, _ body: (UnsafeRawBufferPointer, inout Output) throws(DecompressionError) -> Void
    ) throws(DecompressionError) -> ByteBuffer {
        var output = Output(limit: limit)
        let result = input.withUnsafeReadableBytes { input -> Result<Void, DecompressionError> in
            do throws(DecompressionError) { return .success(try body(input, &output)) } catch { return .failure(error) }
        }
        try result.get()
        return output.bytes
    }

    private init(limit: Int) { self.limit = limit }

    /// - Parameter body: Fills the beginning of what it is given, and returns how much of it.
    mutating func write(
        _ body: (UnsafeMutableRawBufferPointer) throws(DecompressionError) -> Int
    ) throws(DecompressionError) {
        guard bytes.readableBytes < limit else { throw .tooLarge }
        var failure: DecompressionError?
        let room = min(Self.chunk, limit - bytes.readableBytes)
        bytes.writeWithUnsafeMutableBytes(minimumWritableBytes: room) { space in
            do throws(DecompressionError) { return try body(UnsafeMutableRawBufferPointer(rebasing: space[..<room])) } catch {
                failure = error
                return 0
            }
        }
        if let failure { throw failure }
    }
}

private func inflate(_ input: UnsafeRawBufferPointer, _ output: inout Output) throws(DecompressionError) {
    var stream = z_stream()
    // 15 bits of window, and gzip's header rather than zlib's.
    guard inflateInit2_(&stream, 15 + 16, ZLIB_VERSION, CInt(MemoryLayout<z_stream>.size)) == Z_OK else { throw .damaged }
    defer { inflateEnd(&stream) }
    stream.next_in = UnsafeMutablePointer(mutating: input.bindMemory(to: UInt8.self).baseAddress)
    stream.avail_in = UInt32(input.count)
    while true {
        var state = Z_OK
        try output.write { (space) throws(DecompressionError) in
            stream.next_out = space.bindMemory(to: UInt8.self).baseAddress
            stream.avail_out = UInt32(space.count)
            state = CZlib.inflate(&stream, Z_NO_FLUSH)
            return space.count - Int(stream.avail_out)
        }
        if state == Z_STREAM_END { return }
        // What is cut off asks for more input than there is.
        guard state == Z_OK, stream.avail_in > 0 || stream.avail_out == 0 else { throw .damaged }
    }
}

private func zstd(_ input: UnsafeRawBufferPointer, _ output: inout Output) throws(DecompressionError) {
    guard let context = ZSTD_createDCtx() else { throw .damaged }
    defer { ZSTD_freeDCtx(context) }
    var source = ZSTD_inBuffer(src: input.baseAddress, size: input.count, pos: 0)
    while true {
        var state = 0
        var isFull = false
        try output.write { (space) throws(DecompressionError) in
            var target = ZSTD_outBuffer(dst: space.baseAddress, size: space.count, pos: 0)
            state = ZSTD_decompressStream(context, &target, &source)
            isFull = target.pos == space.count
            return target.pos
        }
        guard ZSTD_isError(state) == 0 else { throw .damaged }
        // A frame may be followed by another, or by nothing.
        if state == 0, source.pos == source.size { return }
        guard isFull || source.pos < source.size else { throw .damaged }
    }
}

private func lz4(_ input: UnsafeRawBufferPointer, _ output: inout Output) throws(DecompressionError) {
    var context: OpaquePointer?
    guard LZ4F_isError(LZ4F_createDecompressionContext(&context, UInt32(LZ4F_VERSION))) == 0, let context else { throw .damaged }
    defer { LZ4F_freeDecompressionContext(context) }
    var position = 0
    while true {
        var state = 0
        var isFull = false
        try output.write { (space) throws(DecompressionError) in
            var written = space.count
            var read = input.count - position
            state = LZ4F_decompress(context, space.baseAddress, &written, input.baseAddress.map { $0 + position }, &read, nil)
            guard LZ4F_isError(state) == 0 else { return 0 }
            position += read
            isFull = written == space.count
            return written
        }
        guard LZ4F_isError(state) == 0 else { throw .damaged }
        if state == 0, position == input.count { return }
        guard isFull || position < input.count else { throw .damaged }
    }
}

/// As one block, or in the frame of snappy-java, which Java's clients write: a header of 16 bytes, then blocks behind their lengths.
private func snappy(_ bytes: ByteBuffer, limit: Int) throws(DecompressionError) -> ByteBuffer {
    var rest = bytes
    var output = ByteBuffer()
    guard rest.readableBytesView.starts(with: snappyJavaMagic) else {
        try appendSnappyBlock(rest, to: &output, limit: limit)
        return output
    }
    guard rest.readBytes(length: 16) != nil else { throw .damaged }
    while rest.readableBytes > 0 {
        guard let block = rest.readLengthPrefixedSlice(as: Int32.self) else { throw .damaged }
        try appendSnappyBlock(block, to: &output, limit: limit)
    }
    return output
}

private let snappyJavaMagic: [UInt8] = [0x82, 0x53, 0x4E, 0x41, 0x50, 0x50, 0x59, 0x00]

private func appendSnappyBlock(_ block: ByteBuffer, to output: inout ByteBuffer, limit: Int) throws(DecompressionError) {
    let room = limit - output.readableBytes
    var failure: DecompressionError?
    block.withUnsafeReadableBytes { block in
        let source = block.bindMemory(to: CChar.self).baseAddress
        var length = 0
        guard snappy_uncompressed_length(source, block.count, &length) == SNAPPY_OK else {
            failure = .damaged
            return
        }
        // Each block claims its length; none is believed beyond what its bytes could hold (three become sixty-four at the most).
        guard length <= room, length <= 64 * (block.count + 1) else {
            failure = length > room ? .tooLarge : .damaged
            return
        }
        output.writeWithUnsafeMutableBytes(minimumWritableBytes: length) { space in
            var written = length
            guard snappy_uncompress(source, block.count, space.bindMemory(to: CChar.self).baseAddress, &written) == SNAPPY_OK else {
                failure = .damaged
                return 0
            }
            return written
        }
    }
    if let failure { throw failure }
}
