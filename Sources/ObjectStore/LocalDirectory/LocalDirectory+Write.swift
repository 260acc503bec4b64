//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Metering
internal import NIOCore
internal import RuntimeEnvironment

extension LocalDirectory {
    /// An object being written, one temporary file in each copy. `commit` or `discard` ends it.
    struct Draft: Sendable {
        var key: String
        var path: String
        /// One for each root.
        var temporaries: [String]
        var files: [any DiskFile]
    }

    func put(_ key: String, _ body: [ByteBuffer], condition: PutCondition) throws(ObjectStoreError) {
        if condition == .ifAbsent, try exists(key) { throw .alreadyThere(key) }
        let draft = try begin(key)
        try append(body, at: 0, to: draft)
        try commit(draft, condition: condition)
    }

    func begin(_ key: String) throws(ObjectStoreError) -> Draft {
        var draft = Draft(key: key, path: try path(key), temporaries: [], files: [])
        do throws(DiskError) {
            for root in roots {
                let temporary = temporaryPath(root)
                draft.files.append(try disk.open(temporary, .createNew))
                draft.temporaries.append(temporary)
            }
            return draft
        } catch {
            let root = roots[draft.files.count]
            discard(draft)
            guard error.code == .notFound else { throw ObjectStoreError(error, doing: "write object \(key)") }
            throw ObjectStoreError(
                .other, "cannot write object \(key): \(root.isEmpty ? "the directory" : root) is gone; restore it")
        }
    }

    /// - Parameter offset: Bytes from the object's start.
    func append(_ body: [ByteBuffer], at offset: Int64, to draft: Draft) throws(ObjectStoreError) {
        let length = body.reduce(Int64(0)) { $0 + Int64($1.readableBytes) }
        do throws(DiskError) {
            for file in draft.files {
                meters.countWritten(length * Int64(disk.copies), as: .object)
                // An object is read long after it was written, if ever; the page cache belongs to the log's end.
                try file.writeUncached(body, at: offset)
            }
        } catch {
            discard(draft)
            throw ObjectStoreError(error, doing: "write object \(draft.key)")
        }
    }

    /// Makes the object visible, durably, in every copy. After an error the draft is gone and the object may or may not be there.
    func commit(_ draft: Draft, condition: PutCondition) throws(ObjectStoreError) {
        do throws(DiskError) {
            for file in draft.files { try synchronize(file) }
            for (index, root) in roots.enumerated() {
                let target = Self.join(root, draft.path)
                // The first copy decides who made the object; its winner owns the name in the others.
                let isExclusive = condition == .ifAbsent && index == 0
                do throws(DiskError) {
                    try name(draft.temporaries[index], target, exclusively: isExclusive)
                } catch {
                    guard error.code == .notFound else { throw error }
                    // A directory we knew was removed by hand.
                    forgetDirectories()
                    try name(draft.temporaries[index], target, exclusively: isExclusive)
                }
            }
            for root in roots { try synchronizeDirectory(Self.join(root, draft.path).parentDirectory) }
        } catch {
            discard(draft)
            if error.code == .alreadyExists, condition == .ifAbsent { throw .alreadyThere(draft.key) }
            throw ObjectStoreError(error, doing: "write object \(draft.key)")
        }
        for file in draft.files { file.close() }
    }

    private func name(_ temporary: String, _ target: String, exclusively: Bool) throws(DiskError) {
        try makeDirectory(target.parentDirectory)
        if exclusively {
            try disk.link(temporary, to: target)
            try disk.remove(temporary)
        } else {
            try disk.rename(temporary, to: target)
        }
    }

    /// Nothing of the draft stays.
    func discard(_ draft: Draft) {
        for file in draft.files { file.close() }
        // What cannot be removed now goes when the store is opened a day later.
        for temporary in draft.temporaries { try? disk.remove(temporary) }
    }
}

extension ObjectStoreError {
    static func alreadyThere(_ key: String) -> ObjectStoreError {
        ObjectStoreError(.preconditionFailed, "object \(key) exists already")
    }
    static func noObject(_ key: String) -> ObjectStoreError {
        ObjectStoreError(.notFound, "object \(key) does not exist")
    }
}
