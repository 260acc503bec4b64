//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import ClusterMetadata
import LogModel
import RuntimeEnvironment
import Synchronization
import Testing

@Suite struct MetadataCacheTests {
    @Test func imageShowsWhatWasThereAndFollowsWhatComes() async throws {
        let cluster = TestCluster()
        _ = try await cluster.register(1)
        _ = try await cluster.register(2)
        let first = try await cluster.createTopic("first", replicas: 2)
        let cache = try await cluster.cache()
        #expect(cache.current.liveBrokers == [1, 2])
        #expect(cache.current.topic(named: "first")?.id == first.id)
        #expect(cache.current.topic(first.id)?.name == "first")
        #expect(cache.current.partitions(of: first.id).map(\.partition) == [0, 1, 2])

        let (second, partitions, revision) = try await cluster.operations.createTopic(
            NewTopic(name: "second", layout: .manual([0: [2, 1]]), storageMode: "isr", isInternal: true))
        let image = try #require(await cache.wait(for: revision, timeout: .seconds(5)))
        #expect(image.partition(topic: "second", 0) == partitions[0])
        #expect(image.leader(of: second.id, 0)?.port == 9_002)
        #expect(image.isInternal("second") && !image.isInternal("first"))
        #expect(image.partition(second.id, 1) == nil && image.partition(second.id, -1) == nil)
        #expect(Set(image.partitions(on: 1).map(\.topicID)) == [first.id, second.id])
        await cache.stop()
    }

    @Test func listenersHearWhatChangedAndNothingElse() async throws {
        let cluster = TestCluster()
        let one = try await cluster.register(1)
        let topic = try await cluster.createTopic("t", partitions: 2, replicas: 1)
        let cache = MetadataCache(store: cluster.store, clock: cluster.clock, logger: quietLogger)
        let updates = Mutex<[MetadataUpdate]>([])
        cache.onChange { update in updates.withLock { $0.append(update) } }
        try await cache.start()
        #expect(updates.withLock { $0.map(\.changedPartitions.description) } == ["[t-0, t-1]"])
        #expect(updates.withLock { $0[0].changedTopics } == [topic.id])

        // The engines' own keys move the revision, and nobody is told.
        let shared = try await cluster.store.put("/shared/objects/1", "not JSON")
        #expect(await cache.wait(for: shared.revision, timeout: .seconds(5)) != nil)
        #expect(updates.withLock(\.count) == 1)

        let (added, revision) = try await cluster.operations.createPartitions(topic: "t", partitionCount: 4)
        _ = await cache.wait(for: revision, timeout: .seconds(5))
        #expect(added.map(\.partition) == [2, 3])
        #expect(updates.withLock { $0.count == 2 && $0[1].changedPartitions.map(\.partition) == [2, 3] })

        await one.abandon()
        cluster.clock.advance(by: .seconds(9))
        _ = await cache.waitUntil(timeout: .seconds(3_600)) { $0.brokers.isEmpty }
        #expect(updates.withLock { $0.last?.diedBrokers == [1] && $0.last?.changedPartitions == [] })
        await cache.stop()
    }

    @Test func imageIsListedAgainWhenTheStoreForgotTheChanges() async throws {
        let clock = ManualClock()
        let store = ForgetfulStore(InMemoryMetadataStore(clock: clock))
        let operations = MetadataOperations(store: store, randomness: SeededRandom(), placement: { _ in .singleOwner })
        _ = try await BrokerRegistration.register(
            BrokerRecord(id: 1, epoch: .none, host: "h", port: 1), in: store, clock: clock, logger: quietLogger)
        try await create("kept", operations)
        let changed = try await create("changed", operations)
        let cache = MetadataCache(store: store, clock: clock, logger: quietLogger)
        try await cache.start()
        let updates = Mutex<[MetadataUpdate]>([])
        cache.onChange { update in updates.withLock { $0.append(update) } }
        await eventually { store.isWatched }
        store.forget {
            try await operations.alterTopicConfigs("changed") { $0["retention.ms"] = "1" }
            try await create("new", operations)
        }
        let image = try #require(await cache.waitUntil(timeout: .seconds(3_600)) { $0.topic(named: "new") != nil })
        #expect(image.topic(named: "changed")?.configs == ["retention.ms": "1"])
        await eventually { updates.withLock { !$0.isEmpty } }
        updates.withLock { updates in
            #expect(updates.count == 1)
            #expect(updates[0].changedTopics == [changed.id, image.topic(named: "new")?.id])
            #expect(updates[0].changedPartitions.map(\.description) == ["new-0"])
        }
        await cache.stop()
    }

    @Test func waitingEndsWithTheTimeoutTheCancellationAndTheCache() async throws {
        let cluster = TestCluster()
        let cache = try await cluster.cache()
        async let late = cache.waitUntil(timeout: .seconds(1)) { _ in false }
        let moving = Task {
            while !Task.isCancelled {
                cluster.clock.advance(by: .seconds(1))
                await Task.yield()
            }
        }
        #expect(await late == nil)
        moving.cancel()
        await moving.value
        let cancelled = Task { await cache.waitUntil(timeout: .seconds(1)) { _ in false } }
        cancelled.cancel()
        #expect(await cancelled.value == nil)
        async let stopped = cache.waitUntil(timeout: .seconds(1)) { _ in false }
        await cache.stop()
        #expect(await stopped == nil)
    }

    @Test func aDamagedRecordIsNamedAtTheStart() async throws {
        let cluster = TestCluster()
        try await cluster.store.put("/topics/t", "{")
        let cache = MetadataCache(store: cluster.store, clock: cluster.clock, logger: quietLogger)
        let error = await #expect(throws: MetadataStoreError.self) { try await cache.start() }
        #expect(error?.code == .corrupt && error?.message.contains("/topics/t") == true)
    }

    @discardableResult
    private func create(_ name: String, _ operations: MetadataOperations) async throws -> TopicRecord {
        try await operations.createTopic(
            NewTopic(name: name, layout: .automatic(partitionCount: 1, replicationFactor: 1), storageMode: "shared")
        ).topic
    }
}

/// A store whose watches break off as forgotten when the test says so.
private final class ForgetfulStore: MetadataStore {
    private let inner: InMemoryMetadataStore
    private let watches = Mutex<[AsyncThrowingStream<[MetadataChange], any Error>.Continuation]>([])
    private let gate = Mutex<Task<Void, any Error>?>(nil)

    init(_ inner: InMemoryMetadataStore) { self.inner = inner }

    var isWatched: Bool { watches.withLock { !$0.isEmpty } }

    /// Breaks the watches; who lists again finds what `meanwhile` did.
    func forget(_ meanwhile: @escaping @Sendable () async throws -> Void) {
        gate.withLock { $0 = Task { try await meanwhile() } }
        for watch in watches.withLock({ $0 }) { watch.finish(throwing: MetadataStoreError(.compacted, "forgotten")) }
    }

    func get(_ key: String) async throws(MetadataStoreError) -> StoredValue? { try await inner.get(key) }
    func list(prefix: String) async throws(MetadataStoreError) -> (values: [StoredValue], revision: Int64) {
        if prefix == "/cluster" { _ = try? await gate.withLock(\.self)?.value }
        return try await inner.list(prefix: prefix)
    }
    func commit(_ transaction: Transaction) async throws(MetadataStoreError) -> TransactionResult {
        try await inner.commit(transaction)
    }
    func grantLease(_ duration: Duration) async throws(MetadataStoreError) -> LeaseID { try await inner.grantLease(duration) }
    func keepAlive(_ lease: LeaseID) async throws(MetadataStoreError) { try await inner.keepAlive(lease) }
    func revoke(_ lease: LeaseID) async throws(MetadataStoreError) { try await inner.revoke(lease) }
    func watch(prefix: String, after revision: Int64) -> AsyncThrowingStream<MetadataChange, any Error> {
        inner.watch(prefix: prefix, after: revision)
    }
    /// Tells nothing itself before it is broken once.
    func watchBatches(prefix: String, after revision: Int64) -> AsyncThrowingStream<[MetadataChange], any Error> {
        if gate.withLock({ $0 != nil }) { return inner.watchBatches(prefix: prefix, after: revision) }
        let (stream, continuation) = AsyncThrowingStream.makeStream(of: [MetadataChange].self, throwing: (any Error).self)
        watches.withLock { $0.append(continuation) }
        return stream
    }
    func close() async { await inner.close() }
}
