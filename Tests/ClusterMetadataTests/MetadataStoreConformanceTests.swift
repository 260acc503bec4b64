//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import ClusterMetadata
import RuntimeEnvironment
import Testing

/// What every ``MetadataStore`` promises, whichever it is.
@Suite struct MetadataStoreConformanceTests {
    enum Kind: String, CaseIterable, CustomTestStringConvertible {
        case inMemory, sqlite
        var testDescription: String { rawValue }
    }

    /// A store, and the clock by which its leases go.
    func withStore(
        _ kind: Kind, retainedRevisionsMax: Int64 = 10_000, _ body: (any MetadataStore, ManualClock) async throws -> Void
    ) async throws {
        let clock = ManualClock()
        switch kind {
        case .inMemory:
            let store = InMemoryMetadataStore(clock: clock, retainedRevisionsMax: retainedRevisionsMax)
            try await body(store, clock)
            await store.close()
        case .sqlite:
            try await withTemporaryDirectory { directory in
                let store = try SQLiteMetadataStore(
                    path: directory + "/cluster.db", clock: clock, retainedRevisionsMax: retainedRevisionsMax)
                try await body(store, clock)
                await store.close()
            }
        }
    }

    @Test(arguments: Kind.allCases) func whatWasPutIsReadBack(_ kind: Kind) async throws {
        try await withStore(kind) { store, _ in
            #expect(try await store.get("/a") == nil)
            let result = try await store.put("/a", "1")
            #expect(result.succeeded)
            #expect(try await store.get("/a") == StoredValue(key: "/a", value: Array("1".utf8), modRevision: result.revision))
            let second = try await store.put("/a", "2")
            #expect(second.revision > result.revision)
            #expect(try await store.get("/a")?.modRevision == second.revision)
        }
    }

    @Test(arguments: Kind.allCases) func listAnswersThePrefixInByteOrder(_ kind: Kind) async throws {
        try await withStore(kind) { store, _ in
            for key in ["/t/b", "/t/a", "/t/é", "/t/a/1", "/u", "/t", "/t0", "/t/B"] { try await store.put(key, key) }
            let (values, revision) = try await store.list(prefix: "/t/")
            #expect(values.map(\.key) == ["/t/B", "/t/a", "/t/a/1", "/t/b", "/t/é"])
            #expect(revision == 8)
            #expect(try await store.list(prefix: "").values.count == 8)
            #expect(try await store.list(prefix: "/none").values.isEmpty)
        }
    }

    @Test(arguments: Kind.allCases) func aTransactionWhoseConditionFailsChangesNothing(_ kind: Kind) async throws {
        try await withStore(kind) { store, _ in
            let revision = try await store.put("/a", "1").revision
            let failing: [Transaction.Condition] = [
                .absent("/a"), .exists("/b"), .revision("/a", revision + 1), .revision("/b", 0), .value("/a", Array("2".utf8)),
                .value("/b", []),
            ]
            for condition in failing {
                let transaction = Transaction(
                    conditions: [.exists("/a"), condition], operations: [.put("/a", [9]), .put("/c", [9]), .delete("/a")])
                #expect(try await store.commit(transaction) == TransactionResult(succeeded: false, revision: revision))
            }
            #expect(try await store.list(prefix: "/").values.map(\.key) == ["/a"])
            let holding: [Transaction.Condition] = [
                .exists("/a"), .absent("/b"), .revision("/a", revision), .value("/a", Array("1".utf8)),
            ]
            let result = try await store.commit(Transaction(conditions: holding, operations: [.put("/b", [2]), .delete("/a")]))
            #expect(result == TransactionResult(succeeded: true, revision: revision + 1))
            #expect(try await store.list(prefix: "/").values.map(\.key) == ["/b"])
        }
    }

    @Test(arguments: Kind.allCases) func deletingAPrefixDeletesItsKeysOnly(_ kind: Kind) async throws {
        try await withStore(kind) { store, _ in
            for key in ["/t/1", "/t/2", "/t", "/u/1"] { try await store.put(key, key) }
            let result = try await store.commit(Transaction(operations: [.deletePrefix("/t/")]))
            #expect(result.revision == 5)
            #expect(try await store.list(prefix: "/").values.map(\.key) == ["/t", "/u/1"])
            let nothing = try await store.commit(Transaction(operations: [.deletePrefix("/t/"), .delete("/gone")]))
            #expect(nothing == TransactionResult(succeeded: true, revision: 5))
        }
    }

    @Test(arguments: Kind.allCases) func manyWritersIncrementOneCounterWithoutLoss(_ kind: Kind) async throws {
        try await withStore(kind) { store, _ in
            try await store.put("/counter", "0")
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<4 {
                    group.addTask {
                        for _ in 0..<10 {
                            while true {
                                guard let old = try? await store.get("/counter"), let value = Int(old.text) else { continue }
                                let transaction = Transaction(
                                    conditions: [.revision("/counter", old.modRevision)],
                                    operations: [.put("/counter", Array(String(value + 1).utf8))])
                                if let result = try? await store.commit(transaction), result.succeeded { break }
                            }
                        }
                    }
                }
            }
            #expect(try await store.get("/counter")?.text == "40")
        }
    }

    // Leases

    @Test(arguments: Kind.allCases) func aLeaseThatIsNotKeptAliveTakesItsKeysWithIt(_ kind: Kind) async throws {
        try await withStore(kind) { store, clock in
            let lease = try await store.grantLease(.seconds(9))
            let other = try await store.grantLease(.seconds(60))
            try await store.put("/brokers/1", "one", lease: lease)
            try await store.put("/brokers/2", "two", lease: other)
            #expect(try await store.get("/brokers/1")?.lease == lease)
            clock.advance(by: .seconds(8))
            try await store.keepAlive(lease)
            clock.advance(by: .seconds(8))
            #expect(try await store.get("/brokers/1") != nil)
            clock.advance(by: .seconds(1))
            #expect(try await store.get("/brokers/1") == nil)
            #expect(try await store.list(prefix: "/brokers/").values.map(\.key) == ["/brokers/2"])
            await expectLeaseExpired { try await store.keepAlive(lease) }
            await expectLeaseExpired { try await store.put("/brokers/1", "again", lease: lease) }
            #expect(try await store.get("/brokers/1") == nil)
        }
    }

    @Test(arguments: Kind.allCases) func aKeyPutAgainWithoutItsLeaseOutlivesIt(_ kind: Kind) async throws {
        try await withStore(kind) { store, _ in
            let lease = try await store.grantLease(.seconds(9))
            try await store.put("/a", "1", lease: lease)
            try await store.put("/b", "1", lease: lease)
            try await store.put("/a", "2")
            try await store.revoke(lease)
            #expect(try await store.list(prefix: "/").values.map(\.key) == ["/a"])
            try await store.revoke(lease)
        }
    }

    @Test(arguments: Kind.allCases) func aWatcherHearsOfALeaseThatEndsWithoutAnybodyAsking(_ kind: Kind) async throws {
        try await withStore(kind) { store, clock in
            let lease = try await store.grantLease(.seconds(9))
            let revision = try await store.put("/brokers/1", "one", lease: lease).revision
            var changes = store.watch(prefix: "/", after: revision).makeAsyncIterator()
            // The store may not have gone to sleep yet; once it has, or has seen the time, it rings.
            clock.advance(by: .seconds(9))
            #expect(try await changes.next() == .delete(key: "/brokers/1", revision: revision + 1))
        }
    }

    // Watches

    @Test(arguments: Kind.allCases) func aWatchTellsEachChangeAfterItsRevisionOnceInOrder(_ kind: Kind) async throws {
        try await withStore(kind) { store, _ in
            try await store.put("/t/0", "before")
            let revision = try await store.put("/t/1", "1").revision
            try await store.put("/t/2", "2")
            try await store.put("/u/2", "elsewhere")
            var changes = store.watch(prefix: "/t/", after: revision).makeAsyncIterator()
            try await store.commit(Transaction(operations: [.put("/t/3", [3]), .delete("/t/1"), .put("/u/3", [3])]))
            try await store.put("/t/4", "4")
            #expect(try await changes.next()?.key == "/t/2")
            #expect(try await changes.next() == .put(StoredValue(key: "/t/3", value: [3], modRevision: revision + 3)))
            #expect(try await changes.next() == .delete(key: "/t/1", revision: revision + 3))
            #expect(try await changes.next()?.revision == revision + 4)
        }
    }

    @Test(arguments: Kind.allCases) func aBatchNeverSplitsATransaction(_ kind: Kind) async throws {
        try await withStore(kind) { store, _ in
            let revision = try await store.put("/t/0", "0").revision
            let batches = store.watchBatches(prefix: "/t/", after: revision)
            for round in 0..<20 {
                try await store.commit(Transaction(operations: (0..<10).map { .put("/t/\($0)", [UInt8(round)]) }))
            }
            var seen = 0
            for try await batch in batches {
                #expect(batch.count % 10 == 0)
                seen += batch.count
                if seen == 200 { break }
            }
        }
    }

    @Test(arguments: Kind.allCases) func aWatchFromAForgottenRevisionSaysSo(_ kind: Kind) async throws {
        try await withStore(kind, retainedRevisionsMax: 20) { store, _ in
            for round in 0..<100 { try await store.put("/a", String(round)) }
            var old = store.watch(prefix: "/", after: 1).makeAsyncIterator()
            let error = await #expect(throws: MetadataStoreError.self) { _ = try await old.next() }
            #expect(error?.code == .compacted)
            var future = store.watch(prefix: "/", after: 1_000).makeAsyncIterator()
            let futureError = await #expect(throws: MetadataStoreError.self) { _ = try await future.next() }
            #expect(futureError?.code == .compacted)
            var recent = store.watch(prefix: "/", after: 81).makeAsyncIterator()
            #expect(try await recent.next()?.revision == 82)
        }
    }

    @Test(arguments: Kind.allCases) func closingEndsWatchesAndRefusesCalls(_ kind: Kind) async throws {
        try await withStore(kind) { store, _ in
            let revision = try await store.put("/a", "1").revision
            var changes = store.watch(prefix: "/", after: revision).makeAsyncIterator()
            await store.close()
            #expect(try await changes.next() == nil)
            let error = await #expect(throws: MetadataStoreError.self) { _ = try await store.get("/a") }
            #expect(error?.code == .closed)
            let late = await #expect(throws: MetadataStoreError.self) { try await store.put("/a", "2") }
            #expect(late?.code == .closed)
        }
    }

    private func expectLeaseExpired(_ body: () async throws -> Void) async {
        let error = await #expect(throws: MetadataStoreError.self) { try await body() }
        #expect(error?.code == .leaseExpired)
    }
}

extension MetadataStore {
    @discardableResult
    func put(_ key: String, _ value: String, lease: LeaseID? = nil) async throws -> TransactionResult {
        try await commit(Transaction(operations: [.put(key, Array(value.utf8), lease: lease)]))
    }
}

extension StoredValue {
    var text: String { String(decoding: value, as: UTF8.self) }
}
