//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Glibc

/// What the files below a directory take on the medium, found by walking them: `st_blocks` × 512, as `du` counts.
package struct DirectoryMeasure: Sendable, Hashable {
    /// All files and directories.
    package var allocatedBytes: Int64 = 0
    /// By what the file's name says it is: `hotLog`, `index`, `wal`, `object`, `metadata`.
    package var allocatedByKind: [String: Int64] = [:]
    /// Lengths of the files, by kind.
    package var lengthByKind: [String: Int64] = [:]
    package var files: Int64 = 0

    /// - Parameter kind: From the path below `root` to the kind of the file.
    package static func walk(_ root: String, kind: (String) -> String = DirectoryMeasure.kind(ofPath:)) -> DirectoryMeasure {
        var measure = DirectoryMeasure()
        measure.add(directory: root, relative: "", kind: kind)
        return measure
    }

    private mutating func add(directory: String, relative: String, kind: (String) -> String) {
        var status = stat()
        if lstat(directory, &status) == 0 {
            let bytes = Int64(status.st_blocks) * 512
            allocatedBytes += bytes
            allocatedByKind["metadata", default: 0] += bytes
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
                add(directory: path, relative: below, kind: kind)
            } else {
                let bytes = Int64(status.st_blocks) * 512
                let kind = kind(below)
                allocatedBytes += bytes
                allocatedByKind[kind, default: 0] += bytes
                lengthByKind[kind, default: 0] += Int64(status.st_size)
                files += 1
            }
        }
    }

    /// Kafka's file names, the WAL's and the object store's folder tell what a file is.
    package static func kind(ofPath path: String) -> String {
        let parts = path.split(separator: "/")
        if parts.contains("objects") { return "object" }
        guard let name = parts.last else { return "metadata" }
        if parts.contains("wal") || name.hasSuffix(".wal") { return "wal" }
        let bare = name.hasSuffix(".deleted") ? name.dropLast(".deleted".count) : name
        if bare.hasSuffix(".log") { return "hotLog" }
        for suffix in [".index", ".timeindex", ".txnindex", ".snapshot"] where bare.hasSuffix(suffix) { return "index" }
        return "metadata"
    }
}
