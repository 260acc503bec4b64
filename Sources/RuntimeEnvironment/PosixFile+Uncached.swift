//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import CSystemShim
internal import Glibc
public import NIOCore
internal import Synchronization

extension PosixFile {
    /// Whole blocks go out by direct I/O (`O_DIRECT`), what is left by way of the page cache; all of it where the file system has no direct
    /// I/O. As with ``write(_:at:)-(_,_)``, durable after ``synchronize()``.
    public func writeUncached(_ buffers: [ByteBuffer], at offset: Int64) throws(DiskError) {
        var source = BufferReader(buffers)
        guard source.remaining >= DirectBlocks.worthwhile, offset.isMultiple(of: Int64(DirectBlocks.size)),
            ninefold_set_direct(number, 1) == 0
        else { return try write(buffers, at: offset) }
        let blocks = DirectBlocks.take()
        defer { DirectBlocks.giveBack(blocks) }
        var position = offset
        while source.remaining >= DirectBlocks.size {
            position += Int64(
                try source.withBlocks(orCopiedInto: blocks) { (bytes) throws(DiskError) in
                    try writeDirect(bytes, at: position)
                })
        }
        let code = ninefold_set_direct(number, 0)
        guard code == 0 else { throw DiskError(errno: code, operation: "fcntl", path: path) }
        let rest = source.remaining
        guard rest > 0 else { return }
        source.copy(into: UnsafeMutableRawBufferPointer(rebasing: blocks[..<rest]))
        try write(UnsafeRawBufferPointer(rebasing: blocks[..<rest]), at: position)
    }

    private func writeDirect(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(DiskError) {
        do throws(DiskError) {
            try write(bytes, at: offset)
        } catch {
            guard error.errno == EINVAL else { throw error }
            // The flag was taken and the call is not: larger blocks than ours.
            _ = ninefold_set_direct(number, 0)
            try write(bytes, at: offset)
        }
    }
}

/// Memory for direct I/O, whose addresses, lengths and offsets are whole blocks. Kept for the next writer: fresh pages cost more than the
/// copying.
private enum DirectBlocks {
    /// Bytes. The largest logical block of the disks about.
    static let size = 4_096
    static let length = 1 << 20
    /// Fewer bytes are not worth the two calls that turn direct I/O on and off.
    static let worthwhile = 128 << 10
    private static let keptMax = 4
    private static let kept = Mutex<[UInt]>([])

    static func take() -> UnsafeMutableRawBufferPointer {
        if let address = kept.withLock({ $0.popLast() }) {
            return UnsafeMutableRawBufferPointer(start: UnsafeMutableRawPointer(bitPattern: address), count: length)
        }
        return .allocate(byteCount: length, alignment: size)
    }

    static func giveBack(_ blocks: UnsafeMutableRawBufferPointer) {
        let isKept = kept.withLock { kept in
            guard kept.count < keptMax else { return false }
            kept.append(UInt(bitPattern: blocks.baseAddress!))
            return true
        }
        if !isKept { blocks.deallocate() }
    }
}

/// Reads through several buffers as if they were one.
private struct BufferReader {
    private let buffers: [ByteBuffer]
    private var index = 0
    private var offset = 0
    private(set) var remaining: Int

    init(_ buffers: [ByteBuffer]) {
        self.buffers = buffers
        remaining = buffers.reduce(0) { $0 + $1.readableBytes }
    }

    /// Hands on the next whole blocks, from where they lie if that is at a block's start, else by way of `blocks`.
    ///
    /// - Returns: Bytes handed on.
    mutating func withBlocks(
        orCopiedInto blocks: UnsafeMutableRawBufferPointer, _ body: (UnsafeRawBufferPointer) throws(DiskError) -> Void
    ) throws(DiskError) -> Int {
        while offset == buffers[index].readableBytes {
            index += 1
            offset = 0
        }
        var (count, failure) = (0, DiskError?.none)
        buffers[index].withUnsafeReadableBytes { bytes in
            let run = UnsafeRawBufferPointer(rebasing: bytes[offset...])
            guard UInt(bitPattern: run.baseAddress).isMultiple(of: UInt(DirectBlocks.size)), run.count >= DirectBlocks.size else {
                return
            }
            count = run.count / DirectBlocks.size * DirectBlocks.size
            do throws(DiskError) { try body(UnsafeRawBufferPointer(rebasing: run[..<count])) } catch { failure = error }
        }
        if let failure { throw failure }
        guard count == 0 else {
            offset += count
            remaining -= count
            return count
        }
        count = min(remaining / DirectBlocks.size * DirectBlocks.size, blocks.count)
        let space = UnsafeMutableRawBufferPointer(rebasing: blocks[..<count])
        copy(into: space)
        try body(UnsafeRawBufferPointer(space))
        return count
    }

    /// Fills `target`, which is no longer than what remains.
    mutating func copy(into target: UnsafeMutableRawBufferPointer) {
        var done = 0
        while done < target.count {
            let count = buffers[index].withUnsafeReadableBytes { bytes in
                let count = min(bytes.count - offset, target.count - done)
                if count > 0 { (target.baseAddress! + done).copyMemory(from: bytes.baseAddress! + offset, byteCount: count) }
                return count
            }
            done += count
            offset += count
            if offset == buffers[index].readableBytes {
                index += 1
                offset = 0
            }
        }
        remaining -= target.count
    }
}
