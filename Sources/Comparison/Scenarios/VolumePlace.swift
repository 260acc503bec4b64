//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// Where one mode of one run keeps what its brokers write, and how the bytes below that place can be counted.
struct VolumePlace: Sendable, Hashable {
    /// `replicated:N:` or nothing.
    let prefix: String
    /// Everything below it is the mode's.
    let directory: String
    /// Copies that we make and count ourselves; 1 for a plain directory.
    let ownCopies: Int
    /// Directories in which the file system mounted at `directory` keeps its bytes; empty where there are none or none were named.
    let backing: [String]
    /// A file system that may keep copies which nobody named to us.
    let hidesCopies: Bool

    /// - Parameter specification: `DIR` or `replicated:N:DIR`, absolute; nil for three copies below `ownDirectory`.
    init(_ specification: String?, backing: [String], ownDirectory: String, mode: String) {
        self.backing = backing
        guard let specification else {
            (prefix, directory, ownCopies, hidesCopies) = ("replicated:3:", "\(ownDirectory)/volume", 3, false)
            return
        }
        let parts = specification.split(separator: ":", maxSplits: 2).map(String.init)
        if parts.count == 3, parts[0] == "replicated", let copies = Int(parts[1]) {
            (prefix, directory, ownCopies) = ("replicated:\(copies):", "\(parts[2])/ninefold-\(mode)", copies)
            hidesCopies = false
        } else {
            (prefix, directory, ownCopies) = ("", "\(specification)/ninefold-\(mode)", 1)
            hidesCopies = backing.isEmpty && !(MountPoint.of(specification)?.isLocal ?? true)
        }
    }

    var specification: String { prefix + directory }
    /// `measured`, or `not measured` where the mount may keep copies that cannot be seen.
    var basis: String { hidesCopies ? "not measured" : "measured" }
}
