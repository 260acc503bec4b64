//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import Metering
public import NIOCore
public import RuntimeEnvironment

/// Objects as files of a directory (`file:///DIR?copies=N`): whole and synced in every copy when `put` returns, made by exactly one of
/// those who race for a key, also between processes on one file system.
///
/// Requests and bytes are counted as an S3 endpoint would see them, so that the local stand-in gives the same counts.
public final class LocalDirectoryStore: ObjectStore {
    public let url: String
    public let copies: ObjectCopies
    private let directory: LocalDirectory
    private let meters: Meters
    /// A key always goes to the same worker, so writes of one key from this process are ordered in all copies alike.
    private let workers: [any Worker]

    /// Blocks for a few file system calls.
    ///
    /// - Parameters:
    ///   - disk: Rooted at the directory, which it has made.
    ///   - copies: 1: the objects lie in the directory itself; more: in `copy-0`, `copy-1`, ... below it.
    public init(
        url: String, disk: any Disk, copies: Int, environment: RuntimeEnvironment, meters: Meters, workerCount: Int = 4
    ) throws(ObjectStoreError) {
        precondition(workerCount > 0, "somebody has to do the work")
        self.url = url
        self.copies = ObjectCopies(count: Double(copies * disk.copies), basis: .measured)
        self.meters = meters
        do throws(ObjectStoreError) {
            self.directory = try LocalDirectory(disk: disk, copies: copies, environment: environment, meters: meters)
        } catch {
            throw ObjectStoreError(error.code, "\(url): \(error.message)")
        }
        self.workers = (0..<workerCount).map { environment.workers.makeWorker(named: "objects-\($0)") }
    }

    private func worker(_ key: String) -> any Worker {
        // FNV-1a: unlike `hashValue` it gives the same worker in every run of a simulation.
        let hash = key.utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        return workers[Int(hash % UInt64(workers.count))]
    }

    private func run<Value: Sendable>(
        _ key: String, _ body: @escaping @Sendable (LocalDirectory) throws(ObjectStoreError) -> Value
    ) async throws(ObjectStoreError) -> Value {
        let directory = directory
        let meters = meters
        return try await worker(key).run { () throws(ObjectStoreError) -> Value in
            do throws(ObjectStoreError) {
                return try body(directory)
            } catch {
                if error.isFailure { meters.objectRequestErrors.add() }
                throw error
            }
        }
    }

    public func put(_ key: String, _ body: [ByteBuffer], condition: PutCondition) async throws(ObjectStoreError) {
        meters.count(.put)
        meters.count(body.reduce(0) { $0 + Int64($1.readableBytes) }, as: .objectPut)
        try await run(key) { (directory) throws(ObjectStoreError) in try directory.put(key, body, condition: condition) }
    }

    public func get(_ key: String, range: Range<Int64>?) async throws(ObjectStoreError) -> ByteBuffer {
        meters.count(.get)
        let body = try await run(key) { (directory) throws(ObjectStoreError) in try directory.get(key, range: range) }
        meters.count(Int64(body.readableBytes), as: .objectGet)
        return body
    }

    public func info(_ key: String) async throws(ObjectStoreError) -> ObjectInfo? {
        meters.count(.head)
        return try await run(key) { (directory) throws(ObjectStoreError) in try directory.info(key) }
    }

    public func list(
        prefix: String, startAfter: String?, maxKeys: Int
    ) async throws(ObjectStoreError) -> (objects: [ObjectInfo], isTruncated: Bool) {
        meters.count(.list)
        return try await run(prefix) { (directory) throws(ObjectStoreError) in
            try directory.list(prefix: prefix, startAfter: startAfter, maxKeys: maxKeys)
        }
    }

    public func delete(_ keys: [String]) async throws(ObjectStoreError) {
        var rest = keys[...]
        while !rest.isEmpty {
            let batch = rest.prefix(ObjectStoreLimits.keysPerDeleteMax)
            rest = rest.dropFirst(batch.count)
            meters.count(.delete)
            try await run(batch[batch.startIndex]) { (directory) throws(ObjectStoreError) in try directory.delete(batch) }
        }
    }

    public func putMultipart(_ key: String, parts: AsyncThrowingStream<ByteBuffer, any Error>) async throws(ObjectStoreError) {
        meters.count(.multipart)
        let draft = try await run(key) { (directory) throws(ObjectStoreError) in try directory.begin(key) }
        var sizes = PartSizes(key: key)
        var iterator = parts.makeAsyncIterator()
        while true {
            let part: ByteBuffer
            do {
                guard let next = try await iterator.next() else {
                    // A cancelled stream ends as if it were complete.
                    try Task.checkCancellation()
                    break
                }
                part = next
                try sizes.add(part.readableBytes)
            } catch {
                try await run(key) { (directory) throws(ObjectStoreError) in directory.discard(draft) }
                throw ObjectStoreError(failedSource: error, key: key)
            }
            meters.count(.multipart)
            meters.count(Int64(part.readableBytes), as: .objectPut)
            let offset = sizes.total - Int64(part.readableBytes)
            try await run(key) { (directory) throws(ObjectStoreError) in try directory.append([part], at: offset, to: draft) }
        }
        meters.count(.multipart)
        try await run(key) { (directory) throws(ObjectStoreError) in try directory.commit(draft, condition: .always) }
    }

    public func physicalPaths(_ key: String) -> [String] { directory.physicalPaths(key) }

    public func physicalBytes(
        prefix: String
    ) async throws(ObjectStoreError) -> (bytes: Int64, objects: Int64, basis: ObjectCopies.Basis) {
        let counted = try await run(prefix) { (directory) throws(ObjectStoreError) in try directory.physicalBytes(prefix: prefix) }
        return (counted.bytes, counted.objects, .measured)
    }

    public func close() async {}
}
