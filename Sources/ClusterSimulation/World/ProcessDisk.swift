//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import NIOCore
import RuntimeEnvironment
import SharedStorage
import SimulationKit

/// A machine's disk, or a folder of it, as one process sees it: after its death every call fails, and it may die in any of them.
///
/// The machine may be another's: a survivor opens a dead broker's write-ahead log, which lies on a volume that both can mount.
struct ProcessDisk: Disk {
    let machine: SimulatedMachine
    let folder: String
    let process: SimulatedProcess

    private func path(_ path: String) -> String { path.isEmpty ? folder : "\(folder)/\(path)" }

    private func call<Value>(
        _ operation: String, _ path: String, _ body: (SimulatedDisk) throws(DiskError) -> Value
    ) throws(DiskError) -> Value {
        // As it is mounted when the call is carried out.
        try process.onDisk(operation, path) { () throws(DiskError) in try body(machine.disk) }
    }

    var copies: Int { 1 }
    func physicalPaths(_ path: String) -> [String] { [] }

    func open(_ path: String, _ mode: OpenMode) throws(DiskError) -> any DiskFile {
        try call("open", path) { disk throws(DiskError) in
            let file = ProcessFile(base: try disk.open(self.path(path), mode), process: process)
            process.opened(file.base)
            return file
        }
    }

    func makeDirectory(_ path: String) throws(DiskError) {
        try call("mkdir", path) { disk throws(DiskError) in try disk.makeDirectory(self.path(path)) }
    }

    func list(_ path: String) throws(DiskError) -> [DiskEntry] {
        try call("list", path) { disk throws(DiskError) in try disk.list(self.path(path)) }
    }

    func exists(_ path: String) throws(DiskError) -> Bool {
        try call("exists", path) { disk throws(DiskError) in try disk.exists(self.path(path)) }
    }

    func rename(_ source: String, to target: String) throws(DiskError) {
        try call("rename", source) { disk throws(DiskError) in try disk.rename(path(source), to: path(target)) }
    }

    func link(_ source: String, to target: String) throws(DiskError) {
        try call("link", source) { disk throws(DiskError) in try disk.link(path(source), to: path(target)) }
    }

    func remove(_ path: String) throws(DiskError) {
        try call("remove", path) { disk throws(DiskError) in try disk.remove(self.path(path)) }
    }

    func removeTree(_ path: String) throws(DiskError) {
        try call("remove", path) { disk throws(DiskError) in try disk.removeTree(self.path(path)) }
    }

    func synchronizeDirectory(_ path: String) throws(DiskError) {
        try call("sync", path) { disk throws(DiskError) in try disk.synchronizeDirectory(self.path(path)) }
    }

    func freeBytes() throws(DiskError) -> Int64 {
        try call("statvfs", "") { disk throws(DiskError) in try disk.freeBytes() }
    }
}

private final class ProcessFile: DiskFile {
    let base: any DiskFile
    private let process: SimulatedProcess
    /// Where the last write was. Touched on the loop's thread only.
    nonisolated(unsafe) private var writtenTo: Int64 = 0

    init(base: any DiskFile, process: SimulatedProcess) {
        self.base = base
        self.process = process
    }

    deinit { close() }

    var path: String { base.path }
    var descriptor: CInt? { nil }

    func size() throws(DiskError) -> Int64 { try base.size() }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(DiskError) {
        try process.onDisk("read", path) { () throws(DiskError) in try base.read(into: buffer, at: offset) }
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(DiskError) {
        try process.onDisk("write", path) { () throws(DiskError) in try base.write(bytes, at: offset) }
    }

    func write(_ buffers: [ByteBuffer], at offset: Int64) throws(DiskError) {
        if offset == WALHeader.ringStart, writtenTo > offset, path.contains("wal") { process.tally.add(.wrapped) }
        writtenTo = offset + 1
        try process.onDisk("write", path) { () throws(DiskError) in try base.write(buffers, at: offset) }
    }

    func truncate(to length: Int64) throws(DiskError) {
        try process.onDisk("truncate", path) { () throws(DiskError) in try base.truncate(to: length) }
    }

    func reserve(_ length: Int64) throws(DiskError) {
        try process.onDisk("reserve", path) { () throws(DiskError) in try base.reserve(length) }
    }

    func synchronize() throws(DiskError) {
        try process.onDisk("sync", path) { () throws(DiskError) in try base.synchronize() }
    }

    func lock() throws(DiskError) {
        try process.onDisk("lock", path) { () throws(DiskError) in try base.lock() }
    }

    func allocatedBytes() throws(DiskError) -> Int64 { try base.allocatedBytes() }

    func close() {
        base.close()
        process.closed(base)
    }
}
