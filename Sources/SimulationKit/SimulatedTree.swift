//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import RuntimeEnvironment

/// Names and files of a simulated disk, and which of the names a power cut may take back. Guarded by the disk's lock.
struct SimulatedTree {
    enum Node {
        case directory(Directory)
        case file(SimulatedInode)
    }

    /// Guarded by the disk's lock, as the tree.
    final class Directory: @unchecked Sendable {
        var names: [String: Node] = [:]
        /// As a power cut would at worst leave them.
        var durableNames: [String: Node] = [:]
    }

    /// One call's changes to names, kept or lost as a whole.
    private struct Change {
        var entries: [(directory: Directory, name: String, node: Node?)]
        var directories: Set<ObjectIdentifier> { Set(entries.map { ObjectIdentifier($0.directory) }) }
    }

    let root = Directory()
    /// In order.
    private var pending: [Change] = []

    // MARK: Looking

    func node(_ path: String) -> Node? {
        var node = Node.directory(root)
        for name in path.split(separator: "/") {
            guard case .directory(let directory) = node, let next = directory.names[String(name)] else { return nil }
            node = next
        }
        return node
    }

    func directory(_ path: String) -> Directory? {
        guard case .directory(let directory)? = node(path) else { return nil }
        return directory
    }

    /// The directory that holds `path`'s last name; nil if it is not there, or `path` is the root.
    func place(of path: String) -> (directory: Directory, name: String)? {
        guard let name = path.split(separator: "/").last, let above = directory(String(path.dropLast(name.count))) else {
            return nil
        }
        return (above, String(name))
    }

    /// Every file below `directory`, once per name, in the order of names: a dictionary's own order differs from process to process,
    /// and who draws chance first must not.
    func files(below directory: Directory) -> [SimulatedInode] {
        directory.names.sorted { $0.key < $1.key }.flatMap { _, node in
            switch node {
            case .file(let inode): [inode]
            case .directory(let directory): files(below: directory)
            }
        }
    }

    // MARK: Changing

    /// Sets names (nil removes), atomically; durable once one of their directories is synced.
    mutating func set(_ entries: (directory: Directory, name: String, node: Node?)...) {
        for entry in entries { entry.directory.names[entry.name] = entry.node }
        pending.append(Change(entries: entries))
    }

    /// Makes durable what was done to `directory`'s names, and what that builds on.
    mutating func synchronize(_ directory: Directory) {
        var concerned: Set = [ObjectIdentifier(directory)]
        var durable: [Int] = []
        for index in pending.indices.reversed() where !pending[index].directories.isDisjoint(with: concerned) {
            // A rename between directories brings the other one's earlier changes with it.
            concerned.formUnion(pending[index].directories)
            durable.append(index)
        }
        for index in durable.reversed() { Self.persist(pending[index]) }
        for index in durable { pending.remove(at: index) }
    }

    mutating func synchronizeAll() {
        for change in pending { Self.persist(change) }
        pending = []
    }

    /// Leaves of each directory's unsynced changes a beginning of any length.
    mutating func losePower(_ randomness: SeededRandomSource) {
        let mood = randomness.next(below: 3)
        var stopped: Set<ObjectIdentifier> = []
        for change in pending {
            let stops =
                switch mood {
                case 0: true
                case 1: false
                default: randomness.chance(0.3)
                }
            if stops || !stopped.isDisjoint(with: change.directories) {
                stopped.formUnion(change.directories)
            } else {
                Self.persist(change)
            }
        }
        pending = []
        Self.restore(root)
    }

    private static func persist(_ change: Change) {
        for entry in change.entries { entry.directory.durableNames[entry.name] = entry.node }
    }

    private static func restore(_ directory: Directory) {
        directory.names = directory.durableNames
        for case .directory(let below) in directory.names.values { restore(below) }
    }
}
