//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation

/// The file system that a path lies on, as `/proc/mounts` tells it.
package struct MountPoint: Sendable, Hashable {
    /// Absolute, without a slash at its end (but for the root itself).
    package let path: String
    package let device: String
    package let type: String

    /// File systems that keep their bytes on a disk of this machine, once.
    private static let localTypes: Set<String> = [
        "ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "bcachefs", "tmpfs", "overlay", "ramfs", "rootfs", "9p", "virtiofs",
    ]

    var isLocal: Bool { Self.localTypes.contains(type) }

    /// nil only where `/proc/mounts` cannot be read. The path need not exist yet.
    package static func of(_ path: String) -> MountPoint? {
        let directory = resolved(path)
        guard let table = try? String(contentsOfFile: "/proc/mounts", encoding: .utf8) else { return nil }
        var best: MountPoint?
        for line in table.split(separator: "\n") {
            let parts = line.split(separator: " ").map { unescaped(String($0)) }
            guard parts.count > 2, relative(directory, below: parts[1]) != nil else { continue }
            // Of two mounts on one place the later hides the earlier.
            if best == nil || parts[1].count >= best!.path.count {
                best = MountPoint(path: parts[1], device: parts[0], type: parts[2])
            }
        }
        return best
    }

    /// What follows `root` in `path`: "" for itself, nil if it does not lie below.
    package static func relative(_ path: String, below root: String) -> String? {
        if path == root { return "" }
        let start = root == "/" ? "/" : root + "/"
        return path.hasPrefix(start) ? String(path.dropFirst(start.count)) : nil
    }

    /// Without symbolic links and dots, also where the last parts do not exist yet.
    package static func resolved(_ path: String) -> String {
        var existing = URL(fileURLWithPath: path).standardizedFileURL.path
        var missing: [String] = []
        while existing != "/", !FileManager.default.fileExists(atPath: existing) {
            missing.insert((existing as NSString).lastPathComponent, at: 0)
            existing = (existing as NSString).deletingLastPathComponent
        }
        let real = URL(fileURLWithPath: existing).resolvingSymlinksInPath().path
        return missing.isEmpty ? real : (real == "/" ? "" : real) + "/" + missing.joined(separator: "/")
    }

    /// `/proc/mounts` writes space, tab, newline and backslash as `\` and three octal digits.
    private static func unescaped(_ text: String) -> String {
        guard text.contains("\\") else { return text }
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\\"), let value = UInt8(String(decoding: rest.prefix(3), as: UTF8.self), radix: 8) {
                bytes.append(value)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
