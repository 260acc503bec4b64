//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import RuntimeEnvironment

extension LocalDirectory {
    /// Objects of one copy in byte order of their keys, looking only into directories that can hold one.
    func walk(root: String, prefix: String, startAfter: String?, limit: Int) throws(DiskError) -> [ObjectInfo] {
        var walk = Walk(prefix: Array(prefix.utf8), startAfter: startAfter.map { Array($0.utf8) }, limit: limit)
        if limit > 0 { try visit(root, base: [], &walk) }
        return walk.found
    }

    private struct Walk {
        let prefix: [UInt8]
        let startAfter: [UInt8]?
        let limit: Int
        var found: [ObjectInfo] = []

        func mayHold(_ base: [UInt8]) -> Bool {
            guard base.starts(with: prefix) || prefix.starts(with: base) else { return false }
            guard let startAfter else { return true }
            // All keys below are behind us if their beginning is, unless `startAfter` itself lies below.
            return startAfter.starts(with: base) || startAfter.lexicographicallyPrecedes(base)
        }

        func wants(_ key: [UInt8]) -> Bool {
            guard key.starts(with: prefix) else { return false }
            guard let startAfter else { return true }
            return startAfter.lexicographicallyPrecedes(key)
        }
    }

    /// - Parameter base: The bytes with which all keys in the directory begin.
    private func visit(_ directory: String, base: [UInt8], _ walk: inout Walk) throws(DiskError) {
        // Directories are never removed: one that is missing means a lost copy.
        let entries = try disk.list(directory)
        var children: [(bytes: [UInt8], entry: DiskEntry)] = []
        children.reserveCapacity(entries.count)
        for entry in entries {
            switch ObjectPath.decode(entry.name, isDirectory: entry.isDirectory) {
            case .object(let bytes): if walk.wants(base + bytes) { children.append((base + bytes, entry)) }
            case .directory(let bytes): if walk.mayHold(base + bytes) { children.append((base + bytes, entry)) }
            case nil: continue
            }
        }
        // The names' own order is not the keys': `-` comes before `/`, but `+` before `-`.
        children.sort { left, right in
            left.bytes == right.bytes
                ? !left.entry.isDirectory && right.entry.isDirectory : left.bytes.lexicographicallyPrecedes(right.bytes)
        }
        for child in children {
            if child.entry.isDirectory {
                try visit(Self.join(directory, child.entry.name), base: child.bytes, &walk)
            } else {
                walk.found.append(
                    ObjectInfo(
                        key: String(decoding: child.bytes, as: UTF8.self), size: child.entry.size,
                        modifiedMilliseconds: child.entry.modifiedMilliseconds))
            }
            if walk.found.count == walk.limit { return }
        }
    }
}
