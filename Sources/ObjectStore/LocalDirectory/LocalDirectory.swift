//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Metering
internal import NIOCore
internal import RuntimeEnvironment
internal import Synchronization

/// The files behind a ``LocalDirectoryStore``. Every call blocks and belongs on a worker thread.
///
/// ```
/// DIR/.ninefold-object-store        what this is: version, number of copies
/// DIR/.temporary/MILLISECONDS-HEX   objects being written
/// DIR/topics+/t-0+/00000000.log     objects (``ObjectPath``)
/// ```
/// With N > 1 copies all of it stands in each of `DIR/copy-0` to `DIR/copy-(N-1)`. What exists is decided in `copy-0`: a name is made
/// there first, by `rename(2)` or, for the one who must be first, by `link(2)`.
final class LocalDirectory: Sendable {
    static let markerName = ".ninefold-object-store"
    static let temporaryName = ".temporary"
    /// Temporary files older than this belong to nobody.
    static let temporaryLifetime = Duration.seconds(24 * 3_600)

    let disk: any Disk
    /// One path for each copy.
    let roots: [String]
    let environment: RuntimeEnvironment
    let meters: Meters
    /// Directories that exist and whose names are durable.
    private let known = Mutex<Set<String>>([])

    init(disk: any Disk, copies: Int, environment: RuntimeEnvironment, meters: Meters) throws(ObjectStoreError) {
        precondition(copies >= 1, "a store keeps at least one copy")
        self.disk = disk
        self.roots = copies == 1 ? [""] : (0..<copies).map { "copy-\($0)" }
        self.environment = environment
        self.meters = meters
        do throws(DiskError) {
            try claim()
            for root in roots { try removeForgottenTemporaries(root) }
        } catch {
            throw ObjectStoreError(error, doing: "open the object store")
        }
    }

    /// `name` below the root of a copy.
    static func join(_ root: String, _ name: String) -> String {
        root.isEmpty ? name : name.isEmpty ? root : "\(root)/\(name)"
    }

    func path(_ key: String) throws(ObjectStoreError) -> String {
        guard let path = ObjectPath.path(ofKey: key) else {
            throw ObjectStoreError(
                .unsupported, "object key of \(key.utf8.count) bytes: a key has 1 to \(ObjectPath.keyLengthMax) bytes of UTF-8")
        }
        return path
    }

    // MARK: What the directory is

    /// Whether the copy is there, or was lost as a whole (an unmounted or emptied disk).
    func isHealthy(_ root: String) -> Bool {
        (try? disk.exists(Self.join(root, Self.markerName))) ?? false
    }

    private func claim() throws(DiskError) {
        let other = roots.count == 1 ? "copy-0" : ""
        if try disk.exists(Self.join(other, Self.markerName)) {
            throw DiskError(describing: "it was made with another number of copies; use that number, or an empty directory")
        }
        let marker = "ninefold object store\nversion 1\ncopies \(roots.count)\n"
        var missing: [String] = []
        var present: [String] = []
        for root in roots {
            let path = Self.join(root, Self.markerName)
            guard try disk.exists(path) else {
                missing.append(root)
                continue
            }
            let content = String(buffer: try disk.readFile(path))
            guard content == marker else {
                throw DiskError(
                    describing: content.contains("version 1\n")
                        ? "it was made with another number of copies; use that number, or an empty directory"
                        : "its format is not known to this version; use the version that made it, or an empty directory")
            }
            present.append(root)
        }
        guard !missing.isEmpty else { return }
        for root in present where try disk.list(root).contains(where: { !$0.name.hasPrefix(".") }) {
            // Unless another process has just finished making the store and begun to use it.
            for lost in missing where try !disk.exists(Self.join(lost, Self.markerName)) {
                throw DiskError(describing: "\(lost) is missing while \(root) holds objects; restore it from \(root)")
            }
        }
        for root in missing {
            try makeDirectory(Self.join(root, Self.temporaryName))
            let temporary = temporaryPath(root)
            let file = try disk.open(temporary, .createNew)
            defer { file.close() }
            try file.write([ByteBuffer(string: marker)], at: 0)
            try file.synchronize()
            // Another process may be doing the same: the name appears with its content, once.
            do throws(DiskError) {
                try disk.link(temporary, to: Self.join(root, Self.markerName))
            } catch {
                guard error.code == .alreadyExists else { throw error }
            }
            try disk.remove(temporary)
            try disk.synchronizeDirectory(root)
        }
    }

    // MARK: Directories and temporary files

    func temporaryPath(_ root: String) -> String {
        let name = "\(environment.clock.wallMilliseconds())-\(String(environment.randomness.next(), radix: 16))"
        return Self.join(Self.join(root, Self.temporaryName), name)
    }

    private func removeForgottenTemporaries(_ root: String) throws(DiskError) {
        let directory = Self.join(root, Self.temporaryName)
        try makeDirectory(directory)
        let oldest = environment.clock.wallMilliseconds() - Self.temporaryLifetime.inMilliseconds
        for entry in try disk.list(directory) {
            let began = entry.name.split(separator: "-").first.flatMap { Int64($0) }
            if let began, began < oldest { try disk.remove(Self.join(directory, entry.name)) }
        }
    }

    /// The directory exists and is durable, with all above it.
    func makeDirectory(_ path: String) throws(DiskError) {
        guard !known.withLock({ $0.contains(path) }) else { return }
        try disk.makeDirectory(path)
        var child = path
        while !child.isEmpty, !known.withLock({ $0.contains(child) }) {
            try synchronizeDirectory(child.parentDirectory)
            child = child.parentDirectory
        }
        known.withLock { known in
            var each = path
            while !each.isEmpty, known.insert(each).inserted { each = each.parentDirectory }
        }
    }

    func forgetDirectories() { known.withLock { $0.removeAll() } }

    func synchronizeDirectory(_ path: String) throws(DiskError) {
        meters.synchronizations.add(Int64(disk.copies))
        try disk.synchronizeDirectory(path)
    }

    func synchronize(_ file: any DiskFile) throws(DiskError) {
        meters.synchronizations.add(Int64(disk.copies))
        try file.synchronize()
    }
}

extension DiskError {
    /// A refusal in our own words.
    init(describing reason: String) {
        self.init(code: .other, operation: "", path: reason)
    }
}

extension ObjectStoreError {
    init(_ error: DiskError, doing what: String) {
        let code: Code =
            switch error.code {
            case .notFound: .other
            case .noSpace: .noSpace
            case .permissionDenied: .forbidden
            case .endOfFile: .corrupt
            case .alreadyExists, .inputOutput, .inUse, .other: .other
            }
        let reason = error.operation.isEmpty ? error.path : error.description
        self.init(code, "cannot \(what): \(reason)")
    }
}
