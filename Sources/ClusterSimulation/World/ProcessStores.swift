//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import ClusterMetadata
import NIOCore
import ObjectStore
import RuntimeEnvironment
import SimulationKit

/// How well something is reached now. Touched on the loop's thread only.
final class StoreLink: @unchecked Sendable {
    /// Requests do not get there.
    var isCut = false
    /// One request in so many loses its answer after it was carried out; 0 for none.
    var lostReplyChance = 0.0
    var delayMax: Duration = .milliseconds(2)
    private let randomness: SeededRandomSource
    private let clock: SimulatedClock
    let tally: Tally

    init(randomness: SeededRandomSource, clock: SimulatedClock, tally: Tally) {
        self.tally = tally
        self.randomness = randomness
        self.clock = clock
    }

    func travel() async {
        try? await clock.sleep(for: .nanoseconds(Int64(randomness.next(below: UInt64(delayMax.inNanoseconds) + 1))))
    }

    func losesReply() -> Bool { randomness.chance(lostReplyChance) }

    func patience() async { try? await clock.sleep(for: .milliseconds(700)) }

    /// Or until the task is cancelled: its sleeps are none any more, and time would stand still.
    func whileCut() async {
        while isCut, (try? await clock.sleep(for: .milliseconds(100))) != nil {}
    }
}

/// The cluster's metadata store as one process reaches it.
struct ProcessMetadataStore: MetadataStore {
    let base: InMemoryMetadataStore
    let link: StoreLink
    let process: SimulatedProcess

    private func call<Value: Sendable>(
        _ body: () async throws(MetadataStoreError) -> Value
    ) async throws(MetadataStoreError) -> Value {
        await process.pass()
        await link.travel()
        if link.isCut {
            link.tally.add(.metadataCut)
            await link.patience()
            await process.pass()
            throw MetadataStoreError(.unavailable, "injected: the metadata store does not answer; nothing was carried out")
        }
        let result: Result<Value, MetadataStoreError>
        do throws(MetadataStoreError) { result = .success(try await body()) } catch { result = .failure(error) }
        if link.losesReply() || link.isCut {
            link.tally.add(.metadataReplyLost)
            await link.patience()
            await process.pass()
            throw MetadataStoreError(.unavailable, "injected: the answer of the metadata store was lost")
        }
        await link.travel()
        await process.pass()
        return try result.get()
    }

    func get(_ key: String) async throws(MetadataStoreError) -> StoredValue? {
        try await call { () throws(MetadataStoreError) in try await base.get(key) }
    }

    func list(prefix: String) async throws(MetadataStoreError) -> (values: [StoredValue], revision: Int64) {
        struct Listing: Sendable {
            var values: [StoredValue]
            var revision: Int64
        }
        let listing = try await call { () throws(MetadataStoreError) in
            let (values, revision) = try await base.list(prefix: prefix)
            return Listing(values: values, revision: revision)
        }
        return (listing.values, listing.revision)
    }

    func commit(_ transaction: Transaction) async throws(MetadataStoreError) -> TransactionResult {
        try await call { () throws(MetadataStoreError) in try await base.commit(transaction) }
    }

    func grantLease(_ duration: Duration) async throws(MetadataStoreError) -> LeaseID {
        try await call { () throws(MetadataStoreError) in try await base.grantLease(duration) }
    }

    func keepAlive(_ lease: LeaseID) async throws(MetadataStoreError) {
        try await call { () throws(MetadataStoreError) in try await base.keepAlive(lease) }
    }

    func revoke(_ lease: LeaseID) async throws(MetadataStoreError) {
        try await call { () throws(MetadataStoreError) in try await base.revoke(lease) }
    }

    func watch(prefix: String, after revision: Int64) -> AsyncThrowingStream<MetadataChange, any Error> {
        forward(base.watch(prefix: prefix, after: revision))
    }

    func watchBatches(prefix: String, after revision: Int64) -> AsyncThrowingStream<[MetadataChange], any Error> {
        forward(base.watchBatches(prefix: prefix, after: revision))
    }

    /// In order, late, and not at all while the link is cut.
    private func forward<Element: Sendable>(
        _ stream: AsyncThrowingStream<Element, any Error>
    ) -> AsyncThrowingStream<Element, any Error> {
        let (output, sink) = AsyncThrowingStream.makeStream(of: Element.self)
        let task = Task {
            do {
                for try await element in stream {
                    await link.travel()
                    await link.whileCut()
                    await process.pass()
                    sink.yield(element)
                }
                sink.finish()
            } catch { sink.finish(throwing: error) }
        }
        sink.onTermination = { _ in task.cancel() }
        return output
    }

    /// The store is the cluster's: it outlives the broker.
    func close() async {}
}

/// The object store as one process reaches it.
struct ProcessObjectStore: ObjectStore {
    let base: SimulatedObjectStore
    let link: StoreLink
    let process: SimulatedProcess

    var url: String { base.url }
    var copies: ObjectCopies { base.copies }

    private func call<Value: Sendable>(
        _ body: () async throws(ObjectStoreError) -> Value
    ) async throws(ObjectStoreError) -> Value {
        await process.pass()
        await link.travel()
        if link.isCut {
            link.tally.add(.objectCut)
            await link.patience()
            await process.pass()
            throw ObjectStoreError(.unreachable, "injected: the object store cannot be reached")
        }
        let result: Result<Value, ObjectStoreError>
        do throws(ObjectStoreError) { result = .success(try await body()) } catch { result = .failure(error) }
        await link.travel()
        await process.pass()
        if case .failure(let error) = result, error.code == .preconditionFailed { link.tally.add(.fenced) }
        return try result.get()
    }

    func put(_ key: String, _ body: [ByteBuffer], condition: PutCondition) async throws(ObjectStoreError) {
        try await call { () throws(ObjectStoreError) in try await base.put(key, body, condition: condition) }
    }

    func putMultipart(_ key: String, parts: AsyncThrowingStream<ByteBuffer, any Error>) async throws(ObjectStoreError) {
        try await call { () throws(ObjectStoreError) in try await base.putMultipart(key, parts: parts) }
    }

    func get(_ key: String, range: Range<Int64>?) async throws(ObjectStoreError) -> ByteBuffer {
        link.tally.add(.tierRead)
        return try await call { () throws(ObjectStoreError) in try await base.get(key, range: range) }
    }

    func info(_ key: String) async throws(ObjectStoreError) -> ObjectInfo? {
        try await call { () throws(ObjectStoreError) in try await base.info(key) }
    }

    func list(prefix: String, startAfter: String?, maxKeys: Int) async throws(ObjectStoreError) -> (
        objects: [ObjectInfo], isTruncated: Bool
    ) {
        struct Page: Sendable {
            var objects: [ObjectInfo]
            var isTruncated: Bool
        }
        let page = try await call { () throws(ObjectStoreError) in
            let (objects, isTruncated) = try await base.list(prefix: prefix, startAfter: startAfter, maxKeys: maxKeys)
            return Page(objects: objects, isTruncated: isTruncated)
        }
        return (page.objects, page.isTruncated)
    }

    func delete(_ keys: [String]) async throws(ObjectStoreError) {
        try await call { () throws(ObjectStoreError) in try await base.delete(keys) }
    }

    func unfinishedUploads(prefix: String) async throws(ObjectStoreError) -> [UnfinishedUpload] {
        try await call { () throws(ObjectStoreError) in try await base.unfinishedUploads(prefix: prefix) }
    }

    func abortUpload(_ upload: UnfinishedUpload) async throws(ObjectStoreError) {
        try await call { () throws(ObjectStoreError) in try await base.abortUpload(upload) }
    }

    func physicalPaths(_ key: String) -> [String] { [] }

    func physicalBytes(prefix: String) async throws(ObjectStoreError) -> (bytes: Int64, objects: Int64, basis: ObjectCopies.Basis) {
        try await base.physicalBytes(prefix: prefix)
    }

    func close() async {}
}
