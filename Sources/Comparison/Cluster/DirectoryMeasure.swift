//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Glibc

/// What the files below a directory take on the medium, found by walking them: `st_blocks` × 512, as `du` counts, each inode once.
package struct DirectoryMeasure: Sendable, Hashable {
    /// A file whatever its names.
    struct Inode: Hashable, Sendable {
        var device: UInt64
        var number: UInt64
    }

    /// All files and directories.
    package var allocatedBytes: Int64 = 0
    /// By what the file's name says it is: `hotLog`, `index`, `wal`, `object`, `metadata`.
    package var allocatedByKind: [String: Int64] = [:]
    /// Lengths of the files, by kind.
    package var lengthByKind: [String: Int64] = [:]
    package var files: Int64 = 0

    /// - Parameter kind: From the path below `root` to the kind of the file.
    package static func walk(_ root: String, kind: (String) -> String = DirectoryMeasure.kind(ofPath:)) -> DirectoryMeasure {
        var seen: Set<Inode> = []
        return walk(root, seen: &seen, kind: kind)
    }

    /// - Parameter seen: Files and directories counted before: they are passed over, and those counted now are added.
    static func walk(
        _ root: String, seen: inout Set<Inode>, kind: (String) -> String = DirectoryMeasure.kind(ofPath:)
    ) -> DirectoryMeasure {
        var measure = DirectoryMeasure()
        measure.add(directory: root, relative: "", seen: &seen, kind: kind)
        return measure
    }

    package mutating func add(_ other: DirectoryMeasure) {
        allocatedBytes += other.allocatedBytes
        allocatedByKind.merge(other.allocatedByKind) { $0 + $1 }
        lengthByKind.merge(other.lengthByKind) { $0 + $1 }
        files += other.files
    }

    private mutating func add(directory: String, relative: String, seen: inout Set<Inode>, kind: (String) -> String) {
        var status = stat()
        if lstat(directory, &status) == 0, seen.insert(Inode(status)).inserted {
            let bytes = Int64(status.st_blocks) * 512
            allocatedBytes += bytes
            allocatedByKind[kind(relative.isEmpty ? "." : relative + "/."), default: 0] += bytes
        }
        guard let stream = opendir(directory) else { return }
        defer { closedir(stream) }
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name == "." || name == ".." { continue }
            let path = directory + "/" + name
            let below = relative.isEmpty ? name : relative + "/" + name
            // Files come and go while brokers run: one that went is not counted.
            guard lstat(path, &status) == 0 else { continue }
            if status.st_mode & S_IFMT == S_IFDIR {
                add(directory: path, relative: below, seen: &seen, kind: kind)
            } else if seen.insert(Inode(status)).inserted {
                let bytes = Int64(status.st_blocks) * 512
                let kind = kind(below)
                allocatedBytes += bytes
                allocatedByKind[kind, default: 0] += bytes
                lengthByKind[kind, default: 0] += Int64(status.st_size)
                files += 1
            }
        }
    }

    /// Kafka's file names, the WAL's and the object store's folder tell what a file is. A directory's path ends in `/.`.
    package static func kind(ofPath path: String) -> String {
        let parts = path.split(separator: "/")
        guard let name = parts.last, name != "." else { return "metadata" }
        // The store's directories carry a sign of their own.
        if parts.contains(where: { $0.hasPrefix("shared-wal") }) { return "wal" }
        if parts.contains("objects") { return "object" }
        if parts.contains("wal") || name.hasSuffix(".wal") { return "wal" }
        let bare = name.hasSuffix(".deleted") ? name.dropLast(".deleted".count) : name
        if bare.hasSuffix(".log") { return "hotLog" }
        for suffix in [".index", ".timeindex", ".txnindex", ".snapshot"] where bare.hasSuffix(suffix) { return "index" }
        return "metadata"
    }
}

extension DirectoryMeasure.Inode {
    fileprivate init(_ status: stat) {
        self.init(device: UInt64(status.st_dev), number: UInt64(status.st_ino))
    }
}
