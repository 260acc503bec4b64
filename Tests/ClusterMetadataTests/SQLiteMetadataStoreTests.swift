//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import ClusterMetadata
import Foundation
import RuntimeEnvironment
import Testing

/// What is the file's own: several processes on it, their sudden death, and files that cannot be read.
@Suite struct SQLiteMetadataStoreTests {
    @Test func whatWasCommittedIsThereAfterReopening() async throws {
        try await withTemporaryDirectory { directory in
            let path = directory + "/made/on/demand/cluster.db"
            let clock = ManualClock()
            var store = try SQLiteMetadataStore(path: path, clock: clock)
            let lease = try await store.grantLease(.seconds(60))
            try await store.put("/a", "1")
            let revision = try await store.put("/b", "2", lease: lease).revision
            await store.close()
            store = try SQLiteMetadataStore(path: path, clock: clock)
            #expect(try await store.list(prefix: "/").values.map(\.text) == ["1", "2"])
            #expect(try await store.put("/c", "3").revision == revision + 1)
            let next = try await store.grantLease(.seconds(60))
            #expect(next != lease)
            await store.close()
        }
    }

    @Test func aChangeOfOneStoreReachesTheWatchersOfAnother() async throws {
        try await withTemporaryDirectory { directory in
            let clock = ManualClock()
            let one = try SQLiteMetadataStore(path: directory + "/cluster.db", clock: clock)
            let two = try SQLiteMetadataStore(path: directory + "/cluster.db", clock: clock)
            var changes = two.watch(prefix: "/t/", after: 0).makeAsyncIterator()
            for number in 0..<20 {
                try await one.put("/t/\(number)", "x")
                #expect(try await changes.next()?.key == "/t/\(number)")
                #expect(try await two.get("/t/\(number)") != nil)
            }
            // A lease of a store that is gone ends for those who remain.
            let lease = try await one.grantLease(.seconds(9))
            try await one.put("/t/lease", "x", lease: lease)
            #expect(try await changes.next()?.key == "/t/lease")
            await one.close()
            clock.advance(by: .seconds(9))
            #expect(try await changes.next() == .delete(key: "/t/lease", revision: 22))
            await two.close()
        }
    }

    /// Brokers of one cluster start at the same moment: one makes the file, none takes it for a stranger's.
    @Test func processesThatMakeTheFileAtOnceAllOpenIt() async throws {
        for _ in 0..<30 {
            try await withTemporaryDirectory { directory in
                let path = directory + "/cluster.db"
                try await withThrowingTaskGroup(of: SQLiteMetadataStore.self) { group in
                    for _ in 0..<4 { group.addTask { try SQLiteMetadataStore(path: path, clock: ManualClock()) } }
                    for try await store in group { await store.close() }
                }
            }
        }
    }

    @Test func storesThatIncrementOneCounterLoseNoIncrement() async throws {
        try await withTemporaryDirectory { directory in
            let clock = ManualClock()
            let stores = try (0..<3).map { _ in try SQLiteMetadataStore(path: directory + "/cluster.db", clock: clock) }
            try await stores[0].put("/counter", "0")
            try await withThrowingTaskGroup(of: Void.self) { group in
                for store in stores { group.addTask { try await increment("/counter", times: 30, in: store) } }
                try await group.waitForAll()
            }
            #expect(try await stores[0].get("/counter")?.text == "90")
            for store in stores { await store.close() }
        }
    }

    /// Three processes write at once, each killed in the midst of its commits: what each was told is committed is there.
    @Test func killedProcessesLoseNothingThatWasCommitted() async throws {
        try await withTemporaryDirectory { directory in
            let path = directory + "/cluster.db"
            let store = try SQLiteMetadataStore(path: path, clock: ManualClock())
            await withTaskGroup(of: Void.self) { group in
                for child in 0..<3 {
                    group.addTask {
                        await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String, child = child as Int] in
                            let store = try SQLiteMetadataStore(path: path, clock: ManualClock())
                            let lease = try await store.grantLease(.seconds(9))
                            try await store.put("/brokers/\(child)", "child", lease: lease)
                            for number in 1... {
                                try await increment("/counters/shared", times: 1, in: store)
                                try await store.put("/counters/\(child)", String(number))
                                try number.description.write(toFile: "\(path).\(child)", atomically: true, encoding: .utf8)
                                if number == 20 {
                                    // Commits go on while the process dies.
                                    Task { while true { try await increment("/counters/shared", times: 1, in: store) } }
                                    try await Task.sleep(for: .milliseconds(20))
                                    kill(getpid(), SIGKILL)
                                }
                            }
                        }
                    }
                }
            }
            var acknowledged = 0
            for child in 0..<3 {
                let told = try #require(Int(String(contentsOfFile: "\(path).\(child)", encoding: .utf8)))
                #expect(try await store.get("/counters/\(child)")?.text == String(told))
                #expect(try await store.get("/brokers/\(child)") != nil)
                acknowledged += told
            }
            let shared = try #require(Int(try await store.get("/counters/shared")?.text ?? ""))
            #expect(shared >= acknowledged)
            try await store.put("/still", "writable")
            await store.close()
        }
    }

    @Test func leasesOfAnEarlierBootHaveEnded() async throws {
        try await withTemporaryDirectory { directory in
            let path = directory + "/cluster.db"
            let clock = ManualClock()
            var store = try SQLiteMetadataStore(path: path, clock: clock, boot: "first")
            let lease = try await store.grantLease(.seconds(1_000_000))
            try await store.put("/brokers/1", "one", lease: lease)
            await store.close()
            // The clock begins anew at each boot, so the deadline means nothing now.
            store = try SQLiteMetadataStore(path: path, clock: clock, boot: "second")
            #expect(try await store.get("/brokers/1") == nil)
            let error = await #expect(throws: MetadataStoreError.self) { try await store.keepAlive(lease) }
            #expect(error?.code == .leaseExpired)
            await store.close()
        }
    }

    @Test func filesThatCannotBeReadAreRefusedAndLeftAlone() async throws {
        try await withTemporaryDirectory { directory in
            let clock = ManualClock()
            func refusal(_ name: String) throws -> MetadataStoreError {
                let before = try Data(contentsOf: URL(fileURLWithPath: "\(directory)/\(name)"))
                let error = #expect(throws: MetadataStoreError.self) {
                    _ = try SQLiteMetadataStore(path: "\(directory)/\(name)", clock: clock)
                }
                #expect(try Data(contentsOf: URL(fileURLWithPath: "\(directory)/\(name)")) == before)
                #expect(error?.message.contains("\n") == false)
                #expect(error?.message.contains("\(directory)/\(name)") == true)
                return try #require(error)
            }

            try Data(repeating: 0x5A, count: 8_192).write(to: URL(fileURLWithPath: directory + "/garbage.db"))
            #expect(try refusal("garbage.db").code == .corrupt)

            let store = try SQLiteMetadataStore(path: directory + "/whole.db", clock: clock)
            for number in 0..<500 { try await store.put("/key/\(number)", String(repeating: "v", count: 100)) }
            await store.close()
            let whole = try Data(contentsOf: URL(fileURLWithPath: directory + "/whole.db"))

            var newer = whole
            newer.replaceSubrange(60..<64, with: [0, 0, 0, 9])  // the header's user_version
            try newer.write(to: URL(fileURLWithPath: directory + "/newer.db"))
            #expect(try refusal("newer.db").message.contains("newer version"))

            var foreign = whole
            foreign.replaceSubrange(68..<72, with: [1, 2, 3, 4])  // the header's application_id
            try foreign.write(to: URL(fileURLWithPath: directory + "/foreign.db"))
            #expect(try refusal("foreign.db").message.contains("another program"))

            try whole.prefix(whole.count / 2).write(to: URL(fileURLWithPath: directory + "/cut.db"))
            #expect(try refusal("cut.db").code == .corrupt)
        }
    }

    @Test func pathsThatCannotBeOpenedAreNamed() async throws {
        try await withTemporaryDirectory { directory in
            try Data("x".utf8).write(to: URL(fileURLWithPath: directory + "/file"))
            for path in ["\(directory)/file/cluster.db", directory] {
                let error = #expect(throws: MetadataStoreError.self) {
                    _ = try SQLiteMetadataStore(path: path, clock: ManualClock())
                }
                #expect(error?.code == .other)
                #expect(error?.message.contains(path) == true && error?.message.contains("\n") == false)
            }
        }
    }

    @Test func aValueWhoseBytesChangedOnTheDiskIsNotServed() async throws {
        try await withTemporaryDirectory { directory in
            let path = directory + "/cluster.db"
            let store = try SQLiteMetadataStore(path: path, clock: ManualClock())
            try await store.put("/a", "needle-in-the-page")
            try await store.put("/b", "whole")
            await store.close()
            var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
            while let range = bytes.range(of: Data("needle".utf8)) { bytes[range.lowerBound] = UInt8(ascii: "N") }
            try bytes.write(to: URL(fileURLWithPath: path))
            let damaged = try SQLiteMetadataStore(path: path, clock: ManualClock())
            let error = await #expect(throws: MetadataStoreError.self) { _ = try await damaged.get("/a") }
            #expect(error?.code == .corrupt)
            #expect(try await damaged.get("/b")?.text == "whole")
            await damaged.close()
        }
    }
}

private func increment(_ key: String, times: Int, in store: some MetadataStore) async throws {
    for _ in 0..<times {
        while true {
            let old = try await store.get(key)
            let value = Int(old?.text ?? "0")! + 1
            let condition: Transaction.Condition = old.map { .revision(key, $0.modRevision) } ?? .absent(key)
            let result = try await store.commit(
                Transaction(conditions: [condition], operations: [.put(key, Array(String(value).utf8))]))
            if result.succeeded { break }
        }
    }
}
