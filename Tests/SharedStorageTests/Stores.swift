//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import ClusterMetadata
import NIOCore
import ObjectStore
import Synchronization

/// Objects in memory, with a trap to spring before a request.
final class MemoryObjectStore: ObjectStore {
    enum Request: Sendable, Equatable {
        case put
        case get
        case delete
    }

    let url = "memory:"
    let copies = ObjectCopies(count: 3, basis: .declared)
    private let objects = Mutex<[String: ByteBuffer]>([:])
    private let trap = Mutex<(@Sendable (Request, String) -> ObjectStoreError?)?>(nil)
    private let lateTrap = Mutex<(@Sendable (Request, String) -> ObjectStoreError?)?>(nil)
    private let counts = Mutex<[String: Int]>([:])
    private let pause = Mutex<(@Sendable (String, Range<Int64>?) async -> Void)?>(nil)

    func setTrap(_ trap: (@Sendable (Request, String) -> ObjectStoreError?)?) { self.trap.withLock { $0 = trap } }
    private let putPause = Mutex<(@Sendable (String) async -> Void)?>(nil)
    /// Awaited by each PUT, before it is done.
    func setPutPause(_ pause: (@Sendable (String) async -> Void)?) { putPause.withLock { $0 = pause } }
    /// Awaited by each GET.
    func setPause(_ pause: (@Sendable (String, Range<Int64>?) async -> Void)?) { self.pause.withLock { $0 = pause } }
    /// Sprung after the request is done.
    func setLateTrap(_ trap: (@Sendable (Request, String) -> ObjectStoreError?)?) { lateTrap.withLock { $0 = trap } }
    var keys: [String] { objects.withLock { $0.keys.sorted() } }
    func change(_ key: String, _ body: (inout ByteBuffer) -> Void) { objects.withLock { body(&$0[key]!) } }
    var totalBytes: Int64 { objects.withLock { $0.values.reduce(0) { $0 + Int64($1.readableBytes) } } }
    func count(_ request: String) -> Int { counts.withLock { $0[request] ?? 0 } }

    private func check(_ request: Request, _ key: String) throws(ObjectStoreError) {
        counts.withLock { $0["\(request)", default: 0] += 1 }
        if let error = trap.withLock({ $0 })?(request, key) { throw error }
    }

    func put(_ key: String, _ body: [ByteBuffer], condition: PutCondition) async throws(ObjectStoreError) {
        try check(.put, key)
        await putPause.withLock { $0 }?(key)
        var whole = ByteBuffer()
        for part in body { whole.writeImmutableBuffer(part) }
        let isMade = objects.withLock { objects in
            guard condition == .always || objects[key] == nil else { return false }
            objects[key] = whole
            return true
        }
        guard isMade else { throw ObjectStoreError(.preconditionFailed, "\(key) is there already") }
        if let error = lateTrap.withLock({ $0 })?(.put, key) { throw error }
    }
    func get(_ key: String, range: Range<Int64>?) async throws(ObjectStoreError) -> ByteBuffer {
        try check(.get, key)
        await pause.withLock { $0 }?(key, range)
        guard let object = objects.withLock({ $0[key] }) else { throw ObjectStoreError(.notFound, "no object \(key)") }
        guard let range else { return object }
        guard range.lowerBound < Int64(object.readableBytes) else { throw ObjectStoreError(.invalidRange, "\(key) is shorter") }
        return object.getSlice(
            at: Int(range.lowerBound), length: min(Int(range.upperBound), object.readableBytes) - Int(range.lowerBound))!
    }
    func info(_ key: String) async throws(ObjectStoreError) -> ObjectInfo? {
        objects.withLock { $0[key] }.map { ObjectInfo(key: key, size: Int64($0.readableBytes)) }
    }
    func list(prefix: String, startAfter: String?, maxKeys: Int) async throws(ObjectStoreError) -> (
        objects: [ObjectInfo], isTruncated: Bool
    ) {
        let found = objects.withLock { $0.filter { $0.key.hasPrefix(prefix) && $0.key > (startAfter ?? "") } }
            .map { ObjectInfo(key: $0.key, size: Int64($0.value.readableBytes), modifiedMilliseconds: 1) }.sorted {
                $0.key < $1.key
            }
        return (Array(found.prefix(maxKeys)), found.count > maxKeys)
    }
    func delete(_ keys: [String]) async throws(ObjectStoreError) {
        for key in keys { try check(.delete, key) }
        objects.withLock { for key in keys { $0[key] = nil } }
    }
    func putMultipart(_ key: String, parts: AsyncThrowingStream<ByteBuffer, any Error>) async throws(ObjectStoreError) {
        throw ObjectStoreError(.unsupported, "not here")
    }
    func physicalPaths(_ key: String) -> [String] { [] }
    func physicalBytes(prefix: String) async throws(ObjectStoreError) -> (bytes: Int64, objects: Int64, basis: ObjectCopies.Basis) {
        let found = objects.withLock { $0.filter { $0.key.hasPrefix(prefix) }.map(\.value.readableBytes) }
        return (Int64(found.reduce(0, +)) * 3, Int64(found.count), .declared)
    }
    func close() async {}
}

/// A metadata store with a trap to spring before or after a transaction.
final class TrippingMetadataStore: MetadataStore {
    enum Moment: Sendable, Equatable {
        case before
        case after
    }

    private let store: any MetadataStore
    private let trap = Mutex<(@Sendable (Moment, Transaction) -> MetadataStoreError?)?>(nil)

    private let pause = Mutex<(@Sendable (Moment) async -> Void)?>(nil)

    init(_ store: any MetadataStore) { self.store = store }

    /// Awaited by each transaction, before and after.
    func setPause(_ pause: (@Sendable (Moment) async -> Void)?) { self.pause.withLock { $0 = pause } }

    func setTrap(_ trap: (@Sendable (Moment, Transaction) -> MetadataStoreError?)?) { self.trap.withLock { $0 = trap } }

    func get(_ key: String) async throws(MetadataStoreError) -> StoredValue? { try await store.get(key) }
    func list(prefix: String) async throws(MetadataStoreError) -> (values: [StoredValue], revision: Int64) {
        try await store.list(prefix: prefix)
    }
    func commit(_ transaction: Transaction) async throws(MetadataStoreError) -> TransactionResult {
        if let error = trap.withLock({ $0 })?(.before, transaction) { throw error }
        await pause.withLock { $0 }?(.before)
        let result = try await store.commit(transaction)
        await pause.withLock { $0 }?(.after)
        if let error = trap.withLock({ $0 })?(.after, transaction) { throw error }
        return result
    }
    func grantLease(_ duration: Duration) async throws(MetadataStoreError) -> LeaseID { try await store.grantLease(duration) }
    func keepAlive(_ lease: LeaseID) async throws(MetadataStoreError) { try await store.keepAlive(lease) }
    func revoke(_ lease: LeaseID) async throws(MetadataStoreError) { try await store.revoke(lease) }
    func watch(prefix: String, after revision: Int64) -> AsyncThrowingStream<MetadataChange, any Error> {
        store.watch(prefix: prefix, after: revision)
    }
    func watchBatches(prefix: String, after revision: Int64) -> AsyncThrowingStream<[MetadataChange], any Error> {
        store.watchBatches(prefix: prefix, after: revision)
    }
    func close() async { await store.close() }
}

/// The object store as a process sees it until it dies.
struct MortalObjectStore: ObjectStore {
    let base: any ObjectStore
    let lifeline: World.Lifeline

    var url: String { base.url }
    var copies: ObjectCopies { base.copies }
    private func check() throws(ObjectStoreError) {
        if lifeline.isCut { throw ObjectStoreError(.unreachable, "the process is dead") }
    }

    func put(_ key: String, _ body: [ByteBuffer], condition: PutCondition) async throws(ObjectStoreError) {
        try check()
        try await base.put(key, body, condition: condition)
    }
    func get(_ key: String, range: Range<Int64>?) async throws(ObjectStoreError) -> ByteBuffer {
        try check()
        return try await base.get(key, range: range)
    }
    func info(_ key: String) async throws(ObjectStoreError) -> ObjectInfo? { try await base.info(key) }
    func list(prefix: String, startAfter: String?, maxKeys: Int) async throws(ObjectStoreError) -> (
        objects: [ObjectInfo], isTruncated: Bool
    ) {
        try await base.list(prefix: prefix, startAfter: startAfter, maxKeys: maxKeys)
    }
    func delete(_ keys: [String]) async throws(ObjectStoreError) {
        try check()
        try await base.delete(keys)
    }
    func putMultipart(_ key: String, parts: AsyncThrowingStream<ByteBuffer, any Error>) async throws(ObjectStoreError) {
        try check()
        try await base.putMultipart(key, parts: parts)
    }
    func physicalPaths(_ key: String) -> [String] { base.physicalPaths(key) }
    func physicalBytes(prefix: String) async throws(ObjectStoreError) -> (bytes: Int64, objects: Int64, basis: ObjectCopies.Basis) {
        try await base.physicalBytes(prefix: prefix)
    }
    func close() async {}
}

/// The metadata store as a process sees it until it dies.
struct MortalMetadataStore: MetadataStore {
    let base: any MetadataStore
    let lifeline: World.Lifeline

    private func check() throws(MetadataStoreError) {
        if lifeline.isCut { throw MetadataStoreError(.unavailable, "the process is dead") }
    }

    func get(_ key: String) async throws(MetadataStoreError) -> StoredValue? {
        try check()
        return try await base.get(key)
    }
    func list(prefix: String) async throws(MetadataStoreError) -> (values: [StoredValue], revision: Int64) {
        try check()
        return try await base.list(prefix: prefix)
    }
    func commit(_ transaction: Transaction) async throws(MetadataStoreError) -> TransactionResult {
        try check()
        return try await base.commit(transaction)
    }
    func grantLease(_ duration: Duration) async throws(MetadataStoreError) -> LeaseID { try await base.grantLease(duration) }
    func keepAlive(_ lease: LeaseID) async throws(MetadataStoreError) { try await base.keepAlive(lease) }
    func revoke(_ lease: LeaseID) async throws(MetadataStoreError) { try await base.revoke(lease) }
    func watch(prefix: String, after revision: Int64) -> AsyncThrowingStream<MetadataChange, any Error> {
        base.watch(prefix: prefix, after: revision)
    }
    func watchBatches(prefix: String, after revision: Int64) -> AsyncThrowingStream<[MetadataChange], any Error> {
        base.watchBatches(prefix: prefix, after: revision)
    }
    func close() async {}
}
