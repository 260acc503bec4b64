//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import NIOCore
internal import RuntimeEnvironment
internal import Synchronization

/// Calls of a disk, each of which is one system call or a few.
final class DiskCounts: Sendable {
    private let state = Mutex<[Int64]>([0, 0, 0, 0])
    private static let metrics: [Metric] = [.diskOpens, .diskReads, .diskWrites, .diskSyncs]

    enum Call: Int { case open, read, write, sync }

    func add(_ call: Call) { state.withLock { $0[call.rawValue] += 1 } }
    func reset() { state.withLock { $0 = [0, 0, 0, 0] } }
    var values: [Metric: Int64] { Dictionary(uniqueKeysWithValues: zip(Self.metrics, state.withLock { $0 })) }
}

/// Hands everything on to the disk below, and counts it.
struct CountingDisk: Disk {
    let counts = DiskCounts()
    private let disk: any Disk

    init(_ disk: any Disk) { self.disk = disk }

    var copies: Int { disk.copies }
    func physicalPaths(_ path: String) -> [String] { disk.physicalPaths(path) }

    func open(_ path: String, _ mode: OpenMode) throws(DiskError) -> any DiskFile {
        counts.add(.open)
        return CountingFile(try disk.open(path, mode), counts)
    }

    func synchronizeDirectory(_ path: String) throws(DiskError) {
        counts.add(.sync)
        try disk.synchronizeDirectory(path)
    }

    func makeDirectory(_ path: String) throws(DiskError) { try disk.makeDirectory(path) }
    func list(_ path: String) throws(DiskError) -> [DiskEntry] { try disk.list(path) }
    func exists(_ path: String) throws(DiskError) -> Bool { try disk.exists(path) }
    func rename(_ source: String, to target: String) throws(DiskError) { try disk.rename(source, to: target) }
    func link(_ source: String, to target: String) throws(DiskError) { try disk.link(source, to: target) }
    func remove(_ path: String) throws(DiskError) { try disk.remove(path) }
    func removeTree(_ path: String) throws(DiskError) { try disk.removeTree(path) }
    func freeBytes() throws(DiskError) -> Int64 { try disk.freeBytes() }
}

private final class CountingFile: DiskFile {
    private let file: any DiskFile
    private let counts: DiskCounts

    init(_ file: any DiskFile, _ counts: DiskCounts) {
        self.file = file
        self.counts = counts
    }

    var path: String { file.path }
    var descriptor: CInt? { file.descriptor }
    func size() throws(DiskError) -> Int64 { try file.size() }
    func allocatedBytes() throws(DiskError) -> Int64 { try file.allocatedBytes() }
    func truncate(to length: Int64) throws(DiskError) { try file.truncate(to: length) }
    func reserve(_ length: Int64) throws(DiskError) { try file.reserve(length) }
    func lock() throws(DiskError) { try file.lock() }
    func close() { file.close() }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(DiskError) {
        counts.add(.read)
        try file.read(into: buffer, at: offset)
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(DiskError) {
        counts.add(.write)
        try file.write(bytes, at: offset)
    }

    func write(_ buffers: [ByteBuffer], at offset: Int64) throws(DiskError) {
        counts.add(.write)
        try file.write(buffers, at: offset)
    }

    func synchronize() throws(DiskError) {
        counts.add(.sync)
        try file.synchronize()
    }
}
