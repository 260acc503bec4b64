//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import NIOCore
internal import Synchronization

/// Keeps every file on each of several disks: a real copy in each, written and synced in each. A laptop's stand-in for a
/// distributed file system.
///
/// Copies are written in order and read from the first healthy one, which therefore has what any other has. A process that dies
/// between two copies leaves them apart: a file that was there at start is compared, and the others made like the first, before
/// this disk first writes to it. How failures of single copies are judged is said at ``unhealthyCopies``.
public final class ReplicatedDisk: Disk {
    let disks: [any Disk]
    let health: CopyHealth
    private let copiesPerMedium: Int
    /// Files made, or compared, since this disk was made: their copies are alike.
    let agreed = Mutex<Set<String>>([])
    /// Syncs copy 1 and up while the caller syncs copy 0. Empty: all in the caller's turn.
    let workers: [any Worker]

    /// Where the numbers of copies left out are noted, in every other copy's root.
    package static let unhealthyNote = ".unhealthy-copies"

    /// - Parameters:
    ///   - copies: At least one.
    ///   - copiesPerMedium: How many of the copies share the room that one of them reports as free.
    ///   - workers: Gives each further copy a thread for its syncs; nil syncs one after the other, as a simulation wants.
    ///   - onUnhealthy: Told once per copy that was left out, from the thread that found it.
    /// - Throws: ``DiskError/Code/inputOutput`` if no majority of the copies is healthy by an earlier run's notes.
    public init(
        copies: [any Disk], copiesPerMedium: Int = 1, workers: (any WorkerPool)? = nil,
        onUnhealthy: @escaping @Sendable (_ copy: Int, _ failure: DiskError) -> Void = { _, _ in }
    ) throws(DiskError) {
        precondition(!copies.isEmpty, "a replicated disk has a copy")
        disks = copies
        self.copiesPerMedium = copiesPerMedium
        self.workers = copies.indices.dropFirst().compactMap { workers?.makeWorker(named: "volume-copy-\($0)") }
        let noted = Self.readNotes(copies)
        health = CopyHealth(
            copies: copies.count, unhealthy: noted,
            persist: { (unhealthy, healthy) throws(DiskError) in
                let note = ByteBuffer(string: unhealthy.map(String.init).joined(separator: "\n") + "\n")
                for copy in healthy { try copies[copy].replaceFile(Self.unhealthyNote, with: note) }
            }, report: onUnhealthy)
        guard copies.count - noted.count > copies.count / 2 else { throw noted.first!.value }
    }

    public var copies: Int { disks.count }

    public var copiesAlone: [any Disk] { health.healthy.map { disks[$0] } }

    /// Copies left out, and why. They get no more writes and are not read, until an operator restores them from another copy and
    /// removes the note `.unhealthy-copies` from all, the broker being stopped.
    ///
    /// A copy is left out when it alone fails while a majority of all copies succeeds (so one of three may fail, none of two). A
    /// full copy is not: the write fails with ``DiskError/Code/noSpace`` and may have reached other copies, as a write that fails
    /// may in any file.
    public var unhealthyCopies: [Int: DiskError] { health.unhealthy }

    public func physicalPaths(_ path: String) -> [String] { disks.flatMap { $0.physicalPaths(path) } }

    public func open(_ path: String, _ mode: OpenMode) throws(DiskError) -> any DiskFile {
        if mode == .readOnly {
            let (copy, file) = try firstHealthy { (_, disk) throws(DiskError) in try disk.open(path, .readOnly) }
            return ReplicatedFile(path: path, disk: self, files: [copy: file], isReadOnly: true)
        }
        // The first copy says whether the file is there; the others follow it, whatever a crash left in them.
        let existed = mode == .createNew ? false : try exists(path)
        var files: [Int: any DiskFile] = [:]
        var outcomes: [(copy: Int, failure: DiskError?)] = []
        for copy in health.healthy {
            do throws(DiskError) {
                let file = try disks[copy].open(path, files.isEmpty ? mode : .readWriteCreate)
                if !existed { try file.truncate(to: 0) }
                files[copy] = file
                outcomes.append((copy, nil))
            } catch {
                // The operation's own failure, found at the first copy: do not make the file in the others.
                if files.isEmpty, error.code == .notFound || error.code == .alreadyExists { throw error }
                outcomes.append((copy, error))
            }
        }
        do throws(DiskError) { try health.settle(outcomes) } catch {
            for file in files.values { file.close() }
            throw error
        }
        if !existed { agreed.withLock { _ = $0.insert(path) } }
        return ReplicatedFile(path: path, disk: self, files: files, isReadOnly: false)
    }

    public func list(_ path: String) throws(DiskError) -> [DiskEntry] {
        let entries = try firstHealthy { (_, disk) throws(DiskError) in try disk.list(path) }.value
        guard path.isEmpty else { return entries }
        return entries.filter { !$0.name.hasPrefix(Self.unhealthyNote) && !$0.name.hasPrefix(CopyIdentity.name) }
    }

    public func exists(_ path: String) throws(DiskError) -> Bool {
        try firstHealthy { (_, disk) throws(DiskError) in try disk.exists(path) }.value
    }

    public func makeDirectory(_ path: String) throws(DiskError) {
        try onAll { (_, disk) throws(DiskError) in try disk.makeDirectory(path) }
    }

    public func rename(_ source: String, to target: String) throws(DiskError) {
        let authority = health.healthy[0]
        try disks[authority].rename(source, to: target)
        try onAll { (copy, disk) throws(DiskError) in
            guard copy != authority else { return }
            do throws(DiskError) { try disk.rename(source, to: target) } catch  where error.code == .notFound {
                // A crash kept the source from this copy, or renamed it here already.
                try self.copyFile(target, from: self.disks[authority], to: disk)
            }
        }
        agreed.withLock { agreed in
            agreed.remove(target)
            if agreed.remove(source) != nil { agreed.insert(target) }
        }
    }

    /// Won at the first copy; in the others a target that a crash left behind gives way.
    public func link(_ source: String, to target: String) throws(DiskError) {
        let authority = health.healthy[0]
        try disks[authority].link(source, to: target)
        try onAll { (copy, disk) throws(DiskError) in
            guard copy != authority else { return }
            try disk.remove(target)
            do throws(DiskError) { try disk.link(source, to: target) } catch  where error.code == .notFound {
                try self.copyFile(target, from: self.disks[authority], to: disk)
            }
        }
        agreed.withLock { agreed in if agreed.contains(source) { agreed.insert(target) } }
    }

    public func remove(_ path: String) throws(DiskError) {
        try onAll { (_, disk) throws(DiskError) in try disk.remove(path) }
        agreed.withLock { _ = $0.remove(path) }
    }

    public func removeTree(_ path: String) throws(DiskError) {
        try onAll { (_, disk) throws(DiskError) in try disk.removeTree(path) }
        agreed.withLock { agreed in agreed = agreed.filter { $0 != path && !$0.hasPrefix(path + "/") } }
    }

    public func synchronizeDirectory(_ path: String) throws(DiskError) {
        try onAllAtOnce { (_, disk) throws(DiskError) in try disk.synchronizeDirectory(path) }
    }

    public func freeBytes() throws(DiskError) -> Int64 {
        var least = Int64.max
        for copy in health.healthy { least = min(least, try disks[copy].freeBytes()) }
        return least / Int64(copiesPerMedium)
    }

    /// The numbers of copies noted by any copy as left out.
    private static func readNotes(_ disks: [any Disk]) -> [Int: DiskError] {
        var noted: [Int: DiskError] = [:]
        for disk in disks {
            guard let note = try? disk.readFile(unhealthyNote) else { continue }
            for line in String(buffer: note).split(separator: "\n") {
                guard let copy = Int(line), disks.indices.contains(copy) else { continue }
                let path = disks[copy].physicalPaths("").first ?? "copy \(copy)"
                noted[copy] = DiskError(code: .inputOutput, operation: "left out since an earlier failure:", path: path)
            }
        }
        return noted
    }
}
