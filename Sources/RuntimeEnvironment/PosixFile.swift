//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import CSystemShim
internal import Glibc
public import NIOCore
internal import Synchronization

/// A file of the operating system's. The descriptor closes when ``close()`` was called and the last call under way has ended, so
/// that a late read never meets another file's bytes under a number used again.
public final class PosixFile: DiskFile {
    private struct State {
        var users = 0
        var isClosed = false
        /// The first failed sync: what was written before it may be gone, whatever a later sync says.
        var failedSync: DiskError?
    }

    public let path: String
    let number: CInt
    private let state = Mutex(State())
    /// Until the kernel has said that it cannot.
    private let canDrop = Atomic(true)

    /// Linux takes 1,024 buffers in one call.
    private static let buffersPerCall = 1_024

    init(path: String, descriptor: CInt) {
        self.path = path
        self.number = descriptor
    }

    deinit { close() }

    /// Valid until ``close()``.
    public var descriptor: CInt? { state.withLock { $0.isClosed ? nil : number } }

    public func size() throws(DiskError) -> Int64 { Int64(try status().st_size) }

    /// `st_blocks` counts 512 bytes, whatever the file system's block.
    public func allocatedBytes() throws(DiskError) -> Int64 { Int64(try status().st_blocks) * 512 }

    public func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(DiskError) {
        try using("pread") { () throws(DiskError) in
            var done = 0
            while done < buffer.count {
                let count = try systemCall("pread", path) {
                    pread(number, buffer.baseAddress! + done, buffer.count - done, off_t(offset) + off_t(done))
                }
                guard count > 0 else { throw DiskError(code: .endOfFile, operation: "pread", path: path) }
                done += count
            }
        }
    }

    public func write(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(DiskError) {
        try using("pwrite") { () throws(DiskError) in
            var done = 0
            while done < bytes.count {
                done += try systemCall("pwrite", path) {
                    pwrite(number, bytes.baseAddress! + done, bytes.count - done, off_t(offset) + off_t(done))
                }
            }
        }
    }

    public func write(_ buffers: [ByteBuffer], at offset: Int64) throws(DiskError) {
        try write(buffers, at: offset) { number, vectors, count, position in pwritev(number, vectors, count, position) }
    }

    public func writeDropping(_ buffers: [ByteBuffer], at offset: Int64) throws(DiskError) {
        try write(buffers, at: offset) { number, vectors, count, position in
            if canDrop.load(ordering: .relaxed) {
                let written = ninefold_write_dropping(number, vectors, count, Int64(position))
                guard written < 0, errno == EOPNOTSUPP || errno == EINVAL || errno == ENOSYS else { return written }
                canDrop.store(false, ordering: .relaxed)
            }
            return pwritev(number, vectors, count, position)
        }
    }

    private func write(
        _ buffers: [ByteBuffer], at offset: Int64, by call: (CInt, UnsafePointer<iovec>, CInt, off_t) -> Int
    ) throws(DiskError) {
        var vectors: [iovec] = []
        vectors.reserveCapacity(buffers.count)
        for buffer in buffers where buffer.readableBytes > 0 {
            buffer.withUnsafeReadableBytes { bytes in
                vectors.append(iovec(iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count))
            }
        }
        // The pointers lead into the buffers' heap storage, which stands still and lives as long as they do.
        defer { withExtendedLifetime(buffers) {} }
        try using("pwritev") { () throws(DiskError) in
            var next = 0
            var position = off_t(offset)
            while next < vectors.count {
                let batch = min(vectors.count - next, Self.buffersPerCall)
                var written = try systemCall("pwritev", path) {
                    vectors.withUnsafeBufferPointer { call(number, $0.baseAddress! + next, CInt(batch), position) }
                }
                position += off_t(written)
                while next < vectors.count, written >= vectors[next].iov_len {
                    written -= vectors[next].iov_len
                    next += 1
                }
                if written > 0 {
                    vectors[next].iov_base += written
                    vectors[next].iov_len -= written
                }
            }
        }
    }

    public func truncate(to length: Int64) throws(DiskError) {
        try using("ftruncate") { () throws(DiskError) in
            _ = try systemCall("ftruncate", path) { ftruncate(number, off_t(length)) }
        }
    }

    /// Does nothing where the file system cannot (EOPNOTSUPP).
    public func reserve(_ length: Int64) throws(DiskError) {
        try using("fallocate") { () throws(DiskError) in
            let code = length > 0 ? ninefold_reserve(number, length) : 0
            guard code == 0 || code == EOPNOTSUPP || code == ENOSYS else {
                throw DiskError(errno: code, operation: "fallocate", path: path)
            }
        }
    }

    /// Once failed, it fails for good: Linux reports a lost write to one sync only and drops the page.
    public func synchronize() throws(DiskError) {
        try using("fdatasync") { () throws(DiskError) in
            if let failure = state.withLock({ $0.failedSync }) { throw failure }
            do throws(DiskError) {
                _ = try systemCall("fdatasync", path) { fdatasync(number) }
            } catch {
                state.withLock { $0.failedSync = error }
                throw error
            }
        }
    }

    public func lock() throws(DiskError) {
        try using("flock") { () throws(DiskError) in
            do throws(DiskError) {
                _ = try systemCall("flock", path) { flock(number, LOCK_EX | LOCK_NB) }
            } catch {
                switch error.errno {
                case EWOULDBLOCK: throw DiskError(code: .inUse, operation: "flock", path: path, errno: error.errno)
                case ENOLCK, EOPNOTSUPP, ENOSYS, EINVAL: return
                default: throw error
                }
            }
        }
    }

    public func close() {
        let closeNow = state.withLock { state in
            defer { state.isClosed = true }
            return !state.isClosed && state.users == 0
        }
        if closeNow { _ = Glibc.close(number) }
    }

    private func status() throws(DiskError) -> stat {
        var status = stat()
        try using("fstat") { () throws(DiskError) in _ = try systemCall("fstat", path) { fstat(number, &status) } }
        return status
    }

    func using(_ operation: String, _ body: () throws(DiskError) -> Void) throws(DiskError) {
        let isOpen = state.withLock { state in
            if !state.isClosed { state.users += 1 }
            return !state.isClosed
        }
        guard isOpen else { throw DiskError(errno: EBADF, operation: operation, path: path) }
        defer {
            let closeNow = state.withLock { state in
                state.users -= 1
                return state.isClosed && state.users == 0
            }
            if closeNow { _ = Glibc.close(number) }
        }
        try body()
    }
}
