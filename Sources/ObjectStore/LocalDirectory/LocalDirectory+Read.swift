//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import NIOCore
internal import RuntimeEnvironment

extension LocalDirectory {
    /// Runs `body` on the first copy that answers. A healthy copy's "not found" is an answer; a lost copy's is not.
    private func onFirstHealthy<Value>(
        _ what: @autoclosure () -> String, _ key: String, _ body: (_ root: String) throws(DiskError) -> Value
    ) throws(ObjectStoreError) -> Value {
        var failure: DiskError?
        for root in roots {
            do throws(DiskError) {
                return try body(root)
            } catch {
                if error.code == .notFound, isHealthy(root) { throw .noObject(key) }
                // The first failure names the copy that needs attention.
                failure = failure ?? error
            }
        }
        throw ObjectStoreError(failure!, doing: what())
    }

    func get(_ key: String, range: Range<Int64>?) throws(ObjectStoreError) -> ByteBuffer {
        let path = try path(key)
        let found: Result<ByteBuffer, ObjectStoreError> = try onFirstHealthy("read object \(key)", key) {
            (root) throws(DiskError) in
            let file = try disk.open(Self.join(root, path), .readOnly)
            defer { file.close() }
            let size = try file.size()
            let wanted = range ?? 0..<size
            if range != nil, wanted.isEmpty || wanted.lowerBound < 0 || wanted.lowerBound >= size {
                return .failure(.rangeOutside(key, wanted))
            }
            let length = min(wanted.upperBound, size) - wanted.lowerBound
            guard length <= ObjectStoreLimits.responseBytesMax else { return .failure(.tooLargeForOneGet(key, length)) }
            return .success(try file.readBytes(at: wanted.lowerBound, length: Int(length)))
        }
        return try found.get()
    }

    func exists(_ key: String) throws(ObjectStoreError) -> Bool {
        let path = try path(key)
        return try onFirstHealthy("look for object \(key)", key) { (root) throws(DiskError) in
            if try disk.exists(Self.join(root, path)) { return true }
            throw DiskError(code: .notFound, operation: "stat", path: path)
        } orIfAbsent: {
            false
        }
    }

    func info(_ key: String) throws(ObjectStoreError) -> ObjectInfo? {
        let path = try path(key)
        return try onFirstHealthy("look for object \(key)", key) { (root) throws(DiskError) in
            let file = try disk.open(Self.join(root, path), .readOnly)
            defer { file.close() }
            return ObjectInfo(key: key, size: try file.size())
        } orIfAbsent: {
            nil
        }
    }

    private func onFirstHealthy<Value>(
        _ what: @autoclosure () -> String, _ key: String, _ body: (_ root: String) throws(DiskError) -> Value,
        orIfAbsent absent: () -> Value
    ) throws(ObjectStoreError) -> Value {
        do throws(ObjectStoreError) {
            return try onFirstHealthy(what(), key, body)
        } catch {
            guard error.code == .notFound else { throw error }
            return absent()
        }
    }

    func list(prefix: String, startAfter: String?, maxKeys: Int) throws(ObjectStoreError) -> (
        objects: [ObjectInfo], isTruncated: Bool
    ) {
        // One more than asked tells whether more follow.
        let limit = min(max(maxKeys, 0), ObjectStoreLimits.keysPerPageMax) + 1
        var objects = try onFirstHealthy("list objects below \(prefix)", prefix) { (root) throws(DiskError) in
            try walk(root: root, prefix: prefix, startAfter: startAfter, limit: limit)
        }
        let isTruncated = objects.count == limit
        if isTruncated { objects.removeLast() }
        return (objects, isTruncated)
    }

    /// - Returns: Blocks counted in every copy, and the number of objects in the first.
    func physicalBytes(prefix: String) throws(ObjectStoreError) -> (bytes: Int64, objects: Int64) {
        var bytes: Int64 = 0
        var objects: Int64 = 0
        do throws(DiskError) {
            for (index, root) in roots.enumerated() {
                for object in try walk(root: root, prefix: prefix, startAfter: nil, limit: .max) {
                    guard let path = ObjectPath.path(ofKey: object.key) else { continue }
                    do throws(DiskError) {
                        let file = try disk.open(Self.join(root, path), .readOnly)
                        defer { file.close() }
                        bytes += try file.allocatedBytes()
                    } catch {
                        // Deleted since it was listed.
                        guard error.code == .notFound else { throw error }
                        continue
                    }
                    if index == 0 { objects += 1 }
                }
            }
            return (bytes, objects)
        } catch {
            throw ObjectStoreError(error, doing: "count the bytes of the objects below \(prefix)")
        }
    }

    /// Removes the objects from every copy, durably.
    func delete(_ keys: ArraySlice<String>) throws(ObjectStoreError) {
        var paths: [String] = []
        for key in keys { paths.append(try path(key)) }
        do throws(DiskError) {
            for root in roots {
                var directories: Set<String> = []
                for path in paths {
                    let file = Self.join(root, path)
                    guard try disk.exists(file) else { continue }
                    try disk.remove(file)
                    directories.insert(file.parentDirectory)
                }
                for directory in directories.sorted() { try synchronizeDirectory(directory) }
            }
        } catch {
            throw ObjectStoreError(error, doing: "delete \(keys.count) objects")
        }
    }

    func physicalPaths(_ key: String) -> [String] {
        guard let path = ObjectPath.path(ofKey: key) else { return [] }
        return roots.flatMap { disk.physicalPaths(Self.join($0, path)) }
    }
}
