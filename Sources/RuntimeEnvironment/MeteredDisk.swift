//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import Metering
internal import NIOCore

/// Counts what the disk below is given to write, and how often it is asked to make it durable, once it has done so.
///
/// Each copy of a replicated volume is wrapped by itself, so that copies are counted and not multiplied.
public struct MeteredDisk: Disk {
    private let disk: any Disk
    private let meters: Meters
    private let classify: @Sendable (String) -> WriteClass
    private let isVolumeCopy: Bool

    /// - Parameters:
    ///   - classify: What a path's bytes are for; asked once per opened file.
    ///   - isVolumeCopy: Counts the bytes as `network.volumeCopies` too: a distributed file system would carry them over its wires.
    public init(
        _ disk: any Disk, meters: Meters, classify: @escaping @Sendable (String) -> WriteClass, isVolumeCopy: Bool = false
    ) {
        self.disk = disk
        self.meters = meters
        self.classify = classify
        self.isVolumeCopy = isVolumeCopy
    }

    public var copies: Int { disk.copies }
    public func physicalPaths(_ path: String) -> [String] { disk.physicalPaths(path) }

    public func open(_ path: String, _ mode: OpenMode) throws(DiskError) -> any DiskFile {
        let file = try disk.open(path, mode)
        guard mode != .readOnly else { return file }
        return MeteredFile(
            file, written: meters.bytesWritten[classify(path)]!, carried: isVolumeCopy ? meters.network[.volumeCopies] : nil,
            synchronizations: meters.synchronizations)
    }

    public func synchronizeDirectory(_ path: String) throws(DiskError) {
        try disk.synchronizeDirectory(path)
        meters.synchronizations.add()
    }

    public func makeDirectory(_ path: String) throws(DiskError) { try disk.makeDirectory(path) }
    public func list(_ path: String) throws(DiskError) -> [DiskEntry] { try disk.list(path) }
    public func exists(_ path: String) throws(DiskError) -> Bool { try disk.exists(path) }
    public func rename(_ source: String, to target: String) throws(DiskError) { try disk.rename(source, to: target) }
    public func link(_ source: String, to target: String) throws(DiskError) { try disk.link(source, to: target) }
    public func remove(_ path: String) throws(DiskError) { try disk.remove(path) }
    public func removeTree(_ path: String) throws(DiskError) { try disk.removeTree(path) }
    public func freeBytes() throws(DiskError) -> Int64 { try disk.freeBytes() }
}

private final class MeteredFile: DiskFile {
    private let file: any DiskFile
    private let written: Counter
    private let carried: Counter?
    private let synchronizations: Counter

    init(_ file: any DiskFile, written: Counter, carried: Counter?, synchronizations: Counter) {
        self.file = file
        self.written = written
        self.carried = carried
        self.synchronizations = synchronizations
    }

    var path: String { file.path }
    var descriptor: CInt? { file.descriptor }
    func size() throws(DiskError) -> Int64 { try file.size() }
    func allocatedBytes() throws(DiskError) -> Int64 { try file.allocatedBytes() }
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(DiskError) {
        try file.read(into: buffer, at: offset)
    }
    func truncate(to length: Int64) throws(DiskError) { try file.truncate(to: length) }
    func reserve(_ length: Int64) throws(DiskError) { try file.reserve(length) }
    func lock() throws(DiskError) { try file.lock() }
    func close() { file.close() }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int64) throws(DiskError) {
        try file.write(bytes, at: offset)
        count(bytes.count)
    }

    func write(_ buffers: [ByteBuffer], at offset: Int64) throws(DiskError) {
        try file.write(buffers, at: offset)
        count(buffers.reduce(0) { $0 + $1.readableBytes })
    }

    func writeUncached(_ buffers: [ByteBuffer], at offset: Int64) throws(DiskError) {
        try file.writeUncached(buffers, at: offset)
        count(buffers.reduce(0) { $0 + $1.readableBytes })
    }

    func writeDropping(_ buffers: [ByteBuffer], at offset: Int64) throws(DiskError) {
        try file.writeDropping(buffers, at: offset)
        count(buffers.reduce(0) { $0 + $1.readableBytes })
    }

    func synchronize() throws(DiskError) {
        try file.synchronize()
        synchronizations.add()
    }

    private func count(_ bytes: Int) {
        written.add(Int64(bytes))
        carried?.add(Int64(bytes))
    }
}
