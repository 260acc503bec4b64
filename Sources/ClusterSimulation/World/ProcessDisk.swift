//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import NIOCore
import RuntimeEnvironment
import SimulationKit

/// A machine's disk, or a folder of it, as one process sees it: after its death every call fails, and it may die in any of them.
///
/// The machine may be another's: a survivor opens a dead broker's write-ahead log, which lies on a volume that both can mount.
struct ProcessDisk: Disk {
    let machine: SimulatedMachine
    let folder: String
    let process: SimulatedProcess

    private func path(_ path: String) -> String { path.isEmpty ? folder : "\(folder)/\(path)" }

    /// The disk, if the process lives to use it.
    private func base(_ operation: String, _ path: String) throws(DiskError) -> SimulatedDisk {
        try process.callsDisk(operation, path)
        return machine.disk
    }

    var copies: Int { 1 }
    func physicalPaths(_ path: String) -> [String] { [] }

    func open(_ path: String, _ mode: OpenMode) throws(DiskError) -> any DiskFile {
        let file = ProcessFile(base: try base("open", path).open(self.path(path), mode), process: process)
        process.opened(file.base)
        return file
    }

    func makeDirectory(_ path: String) throws(DiskError) { try base("mkdir", path).makeDirectory(self.path(path)) }
    func list(_ path: String) throws(DiskError) -> [DiskEntry] { try base("list", path).list(self.path(path)) }
    func exists(_ path: String) throws(DiskError) -> Bool { try base("exists", path).exists(self.path(path)) }

    func rename(_ source: String, to target: String) throws(DiskError) {
        try base("rename", source).rename(path(source), to: path(target))
    }

    func link(_ source: String, to target: String) throws(DiskError) {
        try base("link", source).link(path(source), to: path(target))
    }

    func remove(_ path: String) throws(DiskError) { try base("remove", path).remove(self.path(path)) }
    func removeTree(_ path: String) throws(DiskError) { try base("remove", path).removeTree(self.path(path)) }

    func synchronizeDirectory(_ path: String) throws(DiskError) {
        try base("sync", path).synchronizeDirectory(self.path(path))
    }

    func freeBytes() throws(DiskError) -> Int64 { try base("statvfs", "").freeBytes() }
}

extension SimulatedProcess {
    /// - Throws: Input/output error where the process is dead, or dies of this call.
    func callsDisk(_ operation: String, _ path: String) throws(DiskError) {
        if let left = diskCallsLeft {
            diskCallsLeft = left - 1
            if left <= 1, !isDead { die() }
        }
        guard !isDead else { throw DiskError(code: .inputOutput, operation: "after death: \(operation)", path: path) }
    }
}

private final class ProcessFile: DiskFile {
    let base: any DiskFile
    private let process: SimulatedProcess

    init(base: any DiskFile, process: SimulatedProcess) {
        self.base = base
        self.process = process
    }

    deinit { close() }

    var path: String { base.path }
    var descriptor: CInt? { nil }

    func size() throws(DiskError) -> Int64 { try base.size() }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(DiskError) {
        try process.callsDisk("read", path)
        try base.read(into: buffer, at: offset)
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(DiskError) {
        try process.callsDisk("write", path)
        try base.write(bytes, at: offset)
    }

    func write(_ buffers: [ByteBuffer], at offset: Int64) throws(DiskError) {
        try process.callsDisk("write", path)
        try base.write(buffers, at: offset)
    }

    func truncate(to length: Int64) throws(DiskError) {
        try process.callsDisk("truncate", path)
        try base.truncate(to: length)
    }

    func reserve(_ length: Int64) throws(DiskError) {
        try process.callsDisk("reserve", path)
        try base.reserve(length)
    }

    func synchronize() throws(DiskError) {
        try process.callsDisk("sync", path)
        try base.synchronize()
    }

    func lock() throws(DiskError) {
        try process.callsDisk("lock", path)
        try base.lock()
    }

    func allocatedBytes() throws(DiskError) -> Int64 { try base.allocatedBytes() }

    func close() {
        base.close()
        process.closed(base)
    }
}
