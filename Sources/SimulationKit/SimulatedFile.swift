//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import NIOCore
import RuntimeEnvironment
import Synchronization

final class SimulatedFile: DiskFile {
    let path: String
    private let isReadOnly: Bool
    private let inode: SimulatedInode
    private let medium: SimulatedMedium
    private let mount: Int
    private let isClosed = Atomic<Bool>(false)

    init(path: String, isReadOnly: Bool, inode: SimulatedInode, medium: SimulatedMedium, mount: Int) {
        self.path = path
        self.isReadOnly = isReadOnly
        self.inode = inode
        self.medium = medium
        self.mount = mount
    }

    deinit { close() }

    var descriptor: CInt? { nil }

    func size() throws(DiskError) -> Int64 {
        try with("stat") { _ throws(DiskError) in Int64(inode.size) }
    }

    func allocatedBytes() throws(DiskError) -> Int64 {
        try with("stat") { _ throws(DiskError) in Int64(inode.allocatedPages * SimulatedInode.pageSize) }
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(DiskError) {
        try medium.check(DiskOperation(kind: .read, path: path, offset: offset, length: buffer.count))
        let bytes = try with("read") { _ throws(DiskError) in
            guard offset >= 0, Int(offset) + buffer.count <= inode.size else {
                throw SimulatedDisk.failure(.endOfFile, "read", path)
            }
            return inode.read(buffer.count, at: Int(offset))
        }
        buffer.copyBytes(from: bytes)
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(DiskError) { try write(Array(bytes), at: offset) }

    func write(_ buffers: [ByteBuffer], at offset: Int64) throws(DiskError) {
        try write(buffers.flatMap { Array($0.readableBytesView) }, at: offset)
    }

    private func write(_ bytes: [UInt8], at offset: Int64) throws(DiskError) {
        try medium.check(DiskOperation(kind: .write, path: path, offset: offset, length: bytes.count))
        try withWritable("write") { state throws(DiskError) in
            let start = Int(offset)
            var fits = bytes.count
            // As write(2): what fits is written before the error.
            while fits > 0, inode.newPages(for: start..<(start + fits)) > max(0, state.room) {
                fits = max(0, (start + fits - 1) / SimulatedInode.pageSize * SimulatedInode.pageSize - start)
            }
            state.booking(inode) { inode.write(Array(bytes[..<fits]), at: start) }
            if fits < bytes.count {
                state.losses.refused += 1
                throw SimulatedDisk.failure(.noSpace, "write", path)
            }
        }
    }

    func truncate(to length: Int64) throws(DiskError) {
        try medium.check(DiskOperation(kind: .truncate, path: path, length: Int(length)))
        try withWritable("truncate") { state throws(DiskError) in
            state.booking(inode) { inode.truncate(to: Int(length)) }
        }
    }

    func reserve(_ length: Int64) throws(DiskError) {
        try medium.check(DiskOperation(kind: .reserve, path: path, length: Int(length)))
        try withWritable("reserve") { state throws(DiskError) in
            guard inode.newPages(for: 0..<Int(length)) <= max(0, state.room) else {
                state.losses.refused += 1
                throw SimulatedDisk.failure(.noSpace, "reserve", path)
            }
            state.booking(inode) { inode.reserve(Int(length)) }
        }
    }

    func synchronize() throws(DiskError) {
        do throws(DiskError) {
            try medium.check(DiskOperation(kind: .synchronize, path: path))
        } catch {
            try with("sync") { state throws(DiskError) in
                state.losses.failedSyncs += 1
                inode.syncFailed()
            }
            throw error
        }
        try with("sync") { state throws(DiskError) in
            if state.liesAboutSync { state.losses.lies += 1 } else { inode.synced() }
        }
    }

    func lock() throws(DiskError) {
        try with("lock") { _ throws(DiskError) in
            guard inode.locker == nil || inode.locker == ObjectIdentifier(self) else {
                throw SimulatedDisk.failure(.inUse, "lock", path)
            }
            inode.locker = ObjectIdentifier(self)
        }
    }

    func close() {
        guard !isClosed.exchange(true, ordering: .acquiringAndReleasing) else { return }
        // After a crash there is nothing to close.
        try? medium.with(mount, "close", path) { state throws(DiskError) in
            if inode.locker == ObjectIdentifier(self) { inode.locker = nil }
            state.closed(inode)
        }
    }

    private func withWritable(_ operation: String, _ body: (inout SimulatedMedium.State) throws(DiskError) -> Void)
        throws(DiskError)
    {
        guard !isReadOnly else { throw SimulatedDisk.failure(.permissionDenied, operation, path) }
        try with(operation, body)
    }

    private func with<Value>(
        _ operation: String, _ body: (inout SimulatedMedium.State) throws(DiskError) -> Value
    ) throws(DiskError) -> Value {
        guard !isClosed.load(ordering: .acquiring) else { throw SimulatedDisk.failure(.other, "\(operation) after close", path) }
        return try medium.with(mount, operation, path, body)
    }
}
