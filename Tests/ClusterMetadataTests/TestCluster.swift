//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import ClusterMetadata
public import LogModel
import Logging
import RuntimeEnvironment
import Synchronization

/// Numbers from a seed (SplitMix64).
final class SeededRandom: RandomSource {
    private let state: Mutex<UInt64>
    init(seed: UInt64 = 1) { state = Mutex(seed) }
    func next() -> UInt64 {
        state.withLock { state in
            state &+= 0x9E37_79B9_7F4A_7C15
            var word = state
            word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
            word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
            return word ^ (word >> 31)
        }
    }
}

/// Silence in the tests' output.
let quietLogger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// A cluster of registered brokers over an in-memory store, whose time the test moves.
struct TestCluster {
    let clock: ManualClock
    let store: any MetadataStore
    let operations: MetadataOperations

    /// - Parameter makeStore: Else a store in memory.
    init(seed: UInt64 = 1, makeStore: ((ManualClock) throws -> any MetadataStore)? = nil) rethrows {
        clock = ManualClock()
        store = try makeStore?(clock) ?? InMemoryMetadataStore(clock: clock)
        operations = MetadataOperations(
            store: store, randomness: SeededRandom(seed: seed), placement: { $0 == "shared" ? .singleOwner : .replicated })
    }

    /// Another process's view of the same cluster.
    init(beside other: TestCluster, store: any MetadataStore) {
        clock = other.clock
        self.store = store
        operations = MetadataOperations(
            store: store, randomness: SeededRandom(), placement: { $0 == "shared" ? .singleOwner : .replicated })
    }

    func register(_ id: Int32) async throws -> BrokerRegistration {
        try await BrokerRegistration.register(
            BrokerRecord(id: BrokerID(id), epoch: .none, host: "localhost", port: 9_000 + Int(id)), in: store, clock: clock,
            logger: quietLogger)
    }

    func cache() async throws -> MetadataCache {
        let cache = MetadataCache(store: store, clock: clock, logger: quietLogger)
        try await cache.start()
        return cache
    }

    @discardableResult
    func createTopic(
        _ name: String, partitions: Int32 = 3, replicas: Int16 = 3, mode: String = "isr"
    ) async throws -> TopicRecord {
        try await operations.createTopic(
            NewTopic(name: name, layout: .automatic(partitionCount: partitions, replicationFactor: replicas), storageMode: mode)
        ).topic
    }
}

extension BrokerID: ExpressibleByIntegerLiteral {
    public init(integerLiteral value: Int32) { self.init(value) }
}

/// Lets other tasks run until `condition` holds; the condition must come true without time passing.
func eventually(_ condition: () async throws -> Bool) async rethrows {
    while try await !condition() { await Task.yield() }
}
