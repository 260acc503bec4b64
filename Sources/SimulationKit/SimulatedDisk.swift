//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import RuntimeEnvironment
internal import Synchronization

/// What a fault may be asked for.
public struct DiskOperation: Sendable {
    public enum Kind: Sendable, Hashable {
        case open, read, write, truncate, reserve, synchronize, makeDirectory, list, rename, link, remove, synchronizeDirectory
    }
    public var kind: Kind
    public var path: String
    /// Of a read or write, in bytes.
    public var offset: Int64 = 0
    public var length = 0
}

/// What faults did to a disk.
public struct DiskLosses: Sendable, Hashable {
    /// Writes and truncations that a power cut took, not synced.
    public var lost = 0
    public var torn = 0
    /// Syncs that succeeded and made nothing durable.
    public var lies = 0
    public var failedSyncs = 0
    /// Writes for which there was no room.
    public var refused = 0
}

/// A disk in memory that forgets, as real ones do, whatever was not synced: bytes (``DiskFile/synchronize()``) and names
/// (``Disk/synchronizeDirectory(_:)``, which a file's own sync does not stand in for).
///
/// An instance is one mount. ``crash(_:)`` ends it: every later call on it or on its files fails, and the next mount finds what
/// is left.
public final class SimulatedDisk: Disk {
    public enum Crash: Sendable, Hashable {
        /// The process died; the system goes on and has all that was written.
        case processKill
        /// What was not synced is kept, lost, or torn, as the seed wants.
        case powerCut
    }

    let medium: SimulatedMedium
    private let mount: Int

    /// - Parameter capacityBytes: Pages of 4 KiB that files may take; nil for no bound.
    public init(seed: UInt64, capacityBytes: Int64? = nil) {
        medium = SimulatedMedium(randomness: SeededRandomSource(seed: seed).fork("disk"), capacityBytes: capacityBytes)
        mount = 0
    }

    private init(medium: SimulatedMedium, mount: Int) {
        self.medium = medium
        self.mount = mount
    }

    /// Ends this mount, and returns the next.
    public func crash(_ crash: Crash) -> SimulatedDisk { SimulatedDisk(medium: medium, mount: medium.remount(crash)) }

    /// Changes the room there is; less than what is taken is allowed.
    public func setCapacity(_ bytes: Int64?) { medium.state.withLock { $0.capacityPages = bytes.map(SimulatedMedium.pages) } }

    /// Asked before every call, from its thread: an answer makes it fail. Outlives a crash.
    ///
    /// A sync that fails loses what it should have made durable for good, though reads still show it and later syncs succeed.
    public func setFault(_ fault: (@Sendable (DiskOperation) -> DiskError.Code?)?) { medium.fault.withLock { $0 = fault } }

    /// While set, syncs succeed and make nothing durable, as some controllers' do. Outlives a crash.
    public func setLiesAboutSync(_ lies: Bool) { medium.state.withLock { $0.liesAboutSync = lies } }

    /// Makes durable all that was written, as a device's cache is in the end.
    public func writeBack() {
        medium.state.withLock { state in
            for inode in state.tree.files(below: state.tree.root) { inode.synced() }
            state.tree.synchronizeAll()
        }
    }

    /// What faults have done so far, on all mounts.
    public var losses: DiskLosses { medium.state.withLock { $0.losses } }

    /// Inverts the bits of `mask` in one byte of a file, unseen: bit rot.
    public func corrupt(_ path: String, at offset: Int64, mask: UInt8 = 0x10) {
        medium.state.withLock { state in
            guard case .file(let inode)? = state.tree.node(path) else { return }
            inode.flipBits(mask, at: Int(offset))
        }
    }

    public var copies: Int { 1 }
    public func physicalPaths(_ path: String) -> [String] { [] }

    public func open(_ path: String, _ mode: OpenMode) throws(DiskError) -> any DiskFile {
        try medium.check(DiskOperation(kind: .open, path: path))
        let inode = try with("open", path) { state throws(DiskError) in
            guard let (directory, name) = state.tree.place(of: path) else { throw Self.failure(.notFound, "open", path) }
            switch directory.names[name] {
            case .directory: throw Self.failure(.other, "open", path)
            case .file(let inode):
                guard mode != .createNew else { throw Self.failure(.alreadyExists, "open", path) }
                inode.handles += 1
                return inode
            case nil:
                guard mode == .createNew || mode == .readWriteCreate else { throw Self.failure(.notFound, "open", path) }
                let inode = SimulatedInode()
                inode.links = 1
                inode.handles = 1
                state.tree.set((directory, name, .file(inode)))
                return inode
            }
        }
        return SimulatedFile(path: path, isReadOnly: mode == .readOnly, inode: inode, medium: medium, mount: mount)
    }

    public func makeDirectory(_ path: String) throws(DiskError) {
        try medium.check(DiskOperation(kind: .makeDirectory, path: path))
        try with("mkdir", path) { state throws(DiskError) in
            var directory = state.tree.root
            for part in path.split(separator: "/") {
                let name = String(part)
                switch directory.names[name] {
                case .directory(let next): directory = next
                case .file: throw Self.failure(.alreadyExists, "mkdir", path)
                case nil:
                    let next = SimulatedTree.Directory()
                    state.tree.set((directory, name, .directory(next)))
                    directory = next
                }
            }
        }
    }

    public func list(_ path: String) throws(DiskError) -> [DiskEntry] {
        try medium.check(DiskOperation(kind: .list, path: path))
        return try with("list", path) { state throws(DiskError) in
            guard let directory = state.tree.directory(path) else { throw Self.failure(.notFound, "list", path) }
            return directory.names.map { name, node in
                switch node {
                case .directory: DiskEntry(name: name, isDirectory: true, size: 0)
                case .file(let inode): DiskEntry(name: name, isDirectory: false, size: Int64(inode.size))
                }
            }.sorted { $0.name < $1.name }
        }
    }

    public func exists(_ path: String) throws(DiskError) -> Bool {
        try with("exists", path) { state throws(DiskError) in state.tree.node(path) != nil }
    }

    public func rename(_ source: String, to target: String) throws(DiskError) {
        try medium.check(DiskOperation(kind: .rename, path: source))
        try with("rename", source) { state throws(DiskError) in
            guard let (from, name) = state.tree.place(of: source), let node = from.names[name],
                let (to, newName) = state.tree.place(of: target)
            else { throw Self.failure(.notFound, "rename", source) }
            switch (node, to.names[newName]) {
            case (_, nil): break
            case (.file(let inode), .file(let replaced)):
                // Two names of one file: rename(2) does nothing.
                if inode === replaced { return }
                state.unlinked(replaced)
            case (.directory, .directory(let replaced)) where replaced.names.isEmpty: break
            default: throw Self.failure(.other, "rename", target)
            }
            state.tree.set((from, name, nil), (to, newName, node))
        }
    }

    public func link(_ source: String, to target: String) throws(DiskError) {
        try medium.check(DiskOperation(kind: .link, path: target))
        try with("link", target) { state throws(DiskError) in
            guard case .file(let inode)? = state.tree.node(source), let (directory, name) = state.tree.place(of: target) else {
                throw Self.failure(.notFound, "link", source)
            }
            guard directory.names[name] == nil else { throw Self.failure(.alreadyExists, "link", target) }
            inode.links += 1
            state.tree.set((directory, name, .file(inode)))
        }
    }

    public func remove(_ path: String) throws(DiskError) {
        try medium.check(DiskOperation(kind: .remove, path: path))
        try with("remove", path) { state throws(DiskError) in
            guard let (directory, name) = state.tree.place(of: path), let node = directory.names[name] else { return }
            guard case .file(let inode) = node else { throw Self.failure(.other, "remove", path) }
            state.tree.set((directory, name, nil))
            state.unlinked(inode)
        }
    }

    public func removeTree(_ path: String) throws(DiskError) {
        try medium.check(DiskOperation(kind: .remove, path: path))
        try with("remove", path) { state throws(DiskError) in
            guard let node = state.tree.node(path) else { return }
            switch node {
            case .file(let inode): state.unlinked(inode)
            case .directory(let directory): for inode in state.tree.files(below: directory) { state.unlinked(inode) }
            }
            if let (directory, name) = state.tree.place(of: path) {
                state.tree.set((directory, name, nil))
            } else {
                for name in state.tree.root.names.keys.sorted() { state.tree.set((state.tree.root, name, nil)) }
            }
        }
    }

    public func synchronizeDirectory(_ path: String) throws(DiskError) {
        try medium.check(DiskOperation(kind: .synchronizeDirectory, path: path))
        try with("fsync", path) { state throws(DiskError) in
            guard let directory = state.tree.directory(path) else { throw Self.failure(.notFound, "fsync", path) }
            if state.liesAboutSync { state.losses.lies += 1 } else { state.tree.synchronize(directory) }
        }
    }

    public func freeBytes() throws(DiskError) -> Int64 {
        try with("statvfs", "") { state throws(DiskError) in
            Int64(max(0, state.room)) * Int64(SimulatedInode.pageSize)
        }
    }

    private func with<Value>(
        _ operation: String, _ path: String, _ body: (inout SimulatedMedium.State) throws(DiskError) -> Value
    ) throws(DiskError) -> Value {
        try medium.with(mount, operation, path, body)
    }

    static func failure(_ code: DiskError.Code, _ operation: String, _ path: String) -> DiskError {
        DiskError(code: code, operation: operation, path: path)
    }
}
