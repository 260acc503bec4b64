//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// What a directory of a mounted file system takes in the directories where that file system keeps its bytes: a GlusterFS volume's
/// bricks, a CubeFS data node's disks.
///
/// Counted is how much the backing directories have grown since ``init(directory:backing:)``, as `du` counts, a file with several names
/// (hard links) once. Where a backing directory shows the files under their own paths, as a brick does, they are told apart by name; what
/// else has grown beside them is the file system's own: `.glusterfs` with its directories, index and identity links. Where it does not
/// (chunks, extents), the growth is divided as the files' own lengths are.
package struct BackingMeasure: Sendable {
    /// The kind of bytes that the file system keeps for itself.
    package static let ownKind = "volumeOwn"

    package struct Result: Sendable, Hashable {
        /// In the backing directories.
        package var physical = DirectoryMeasure()
        /// Bytes of the files' content in the backing directories ÷ on the mount: copies, or an erasure code's factor. By kind.
        package var copiesByKind: [String: Double] = [:]
        /// The same over all kinds.
        package var copies = 0.0
    }

    private let directory: String
    private let backing: [String]
    /// Path of `directory` on its file system.
    private let relative: String
    private let allocatedBefore: Int64

    /// - Parameter directory: On the mount; does not exist yet, or holds nothing.
    package init(directory: String, backing: [String]) {
        self.directory = directory
        self.backing = backing
        let real = MountPoint.resolved(directory)
        relative = MountPoint.of(real).flatMap { MountPoint.relative(real, below: $0.path) } ?? ""
        allocatedBefore = backing.reduce(0) { $0 + DirectoryMeasure.walk($1).allocatedBytes }
    }

    package func measure() -> Result {
        let mounted = DirectoryMeasure.walk(directory)
        var shown = DirectoryMeasure()
        var allocated: Int64 = 0
        for root in backing {
            // By their own names first: the other names of the same files are passed over then.
            var seen: Set<DirectoryMeasure.Inode> = []
            let named = relative.isEmpty ? DirectoryMeasure() : DirectoryMeasure.walk("\(root)/\(relative)", seen: &seen)
            shown.add(named)
            allocated += named.allocatedBytes + DirectoryMeasure.walk(root, seen: &seen).allocatedBytes
        }
        return Self.result(mounted: mounted, shown: shown, grown: max(0, allocated - allocatedBefore))
    }

    static func result(mounted: DirectoryMeasure, shown: DirectoryMeasure, grown: Int64) -> Result {
        var result = Result()
        let mountedLength = mounted.lengthByKind.values.reduce(0, +)
        guard shown.files > 0 else {
            let factor = mounted.allocatedBytes > 0 ? Double(grown) / Double(mounted.allocatedBytes) : 0
            result.physical.allocatedBytes = grown
            result.physical.files = mounted.files
            result.physical.allocatedByKind = mounted.allocatedByKind.mapValues { Int64((Double($0) * factor).rounded()) }
            result.physical.lengthByKind = mounted.lengthByKind.mapValues { Int64((Double($0) * factor).rounded()) }
            result.copies = factor
            result.copiesByKind = mounted.lengthByKind.mapValues { _ in factor }
            return result
        }
        result.physical = shown
        result.physical.allocatedBytes = max(grown, shown.allocatedBytes)
        result.physical.allocatedByKind[ownKind] = max(0, grown - shown.allocatedBytes)
        result.copies = mountedLength > 0 ? Double(shown.lengthByKind.values.reduce(0, +)) / Double(mountedLength) : 0
        for (kind, length) in mounted.lengthByKind where length > 0 {
            result.copiesByKind[kind] = Double(shown.lengthByKind[kind] ?? 0) / Double(length)
        }
        return result
    }
}
