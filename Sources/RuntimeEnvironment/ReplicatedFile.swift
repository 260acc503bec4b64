//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import NIOCore
internal import Synchronization

/// One file in all its copies. What is opened for reading holds one descriptor only, until that copy fails.
final class ReplicatedFile: DiskFile {
    let path: String
    private let disk: ReplicatedDisk
    private let isReadOnly: Bool
    /// By copy.
    private let files: Mutex<[(any DiskFile)?]>
    /// True once the copies are known to be alike; before that no write may pass.
    private let isAgreed: Mutex<Bool>

    init(path: String, disk: ReplicatedDisk, files: [Int: any DiskFile], isReadOnly: Bool) {
        self.path = path
        self.disk = disk
        self.isReadOnly = isReadOnly
        self.files = Mutex(disk.disks.indices.map { files[$0] })
        isAgreed = Mutex(isReadOnly || files.count == 1 || disk.agreed.withLock { $0.contains(path) })
    }

    deinit { close() }

    /// The first healthy copy's.
    var descriptor: CInt? {
        files.withLock { files in
            for copy in disk.health.healthy { if let file = files[copy] { return file.descriptor } }
            return nil
        }
    }

    func size() throws(DiskError) -> Int64 {
        try disk.firstHealthy { (copy, _) throws(DiskError) in try file(copy).size() }.value
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(DiskError) {
        _ = try disk.firstHealthy { (copy, _) throws(DiskError) in try file(copy).read(into: buffer, at: offset) }
    }

    func allocatedBytes() throws(DiskError) -> Int64 {
        var sum: Int64 = 0
        for copy in disk.health.healthy { sum += try file(copy).allocatedBytes() }
        return sum
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(DiskError) {
        try agree()
        try disk.onAll { (copy, _) throws(DiskError) in try file(copy).write(bytes, at: offset) }
    }

    func write(_ buffers: [ByteBuffer], at offset: Int64) throws(DiskError) {
        try agree()
        try disk.onAll { (copy, _) throws(DiskError) in try file(copy).write(buffers, at: offset) }
    }

    func writeUncached(_ buffers: [ByteBuffer], at offset: Int64) throws(DiskError) {
        try agree()
        try disk.onAll { (copy, _) throws(DiskError) in try file(copy).writeUncached(buffers, at: offset) }
    }

    func writeDropping(_ buffers: [ByteBuffer], at offset: Int64) throws(DiskError) {
        try agree()
        try disk.onAll { (copy, _) throws(DiskError) in try file(copy).writeDropping(buffers, at: offset) }
    }

    func truncate(to length: Int64) throws(DiskError) {
        try agree()
        try disk.onAll { (copy, _) throws(DiskError) in try file(copy).truncate(to: length) }
    }

    func reserve(_ length: Int64) throws(DiskError) {
        try disk.onAll { (copy, _) throws(DiskError) in try file(copy).reserve(length) }
    }

    func synchronize() throws(DiskError) {
        try disk.onAllAtOnce { (copy, _) throws(DiskError) in try self.file(copy).synchronize() }
    }

    func lock() throws(DiskError) {
        // In one order, so that of two who race for them one gets all. A copy that somebody else has is not a sick one.
        for copy in disk.health.healthy { try file(copy).lock() }
    }

    func close() {
        let open = files.withLock { files in
            defer { files = files.map { _ in nil } }
            return files.compactMap { $0 }
        }
        for file in open { file.close() }
    }

    private func file(_ copy: Int) throws(DiskError) -> any DiskFile {
        if let file = files.withLock({ $0[copy] }) { return file }
        // Only a reader comes to another copy than it began with; a writer has them all, or was closed.
        guard isReadOnly else { throw DiskError(code: .other, operation: "use after close of", path: path) }
        let opened = try disk.disks[copy].open(path, .readOnly)
        files.withLock { $0[copy] = opened }
        return opened
    }

    /// Makes the copies of a file from an earlier run alike, once.
    private func agree() throws(DiskError) {
        // Held while comparing, so that no write slips between; only the first write after a start ever waits here.
        let failure: DiskError? = isAgreed.withLock { isAgreed in
            guard !isAgreed else { return nil }
            do throws(DiskError) {
                let authority = disk.health.healthy[0]
                let original = try file(authority)
                try disk.onAll { (copy, _) throws(DiskError) in
                    if copy != authority { try ReplicatedDisk.equalize(try file(copy), with: original) }
                }
            } catch { return error }
            isAgreed = true
            disk.agreed.withLock { _ = $0.insert(path) }
            return nil
        }
        if let failure { throw failure }
    }
}
