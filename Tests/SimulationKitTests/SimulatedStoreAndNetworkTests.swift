//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import NIOCore
import ObjectStore
import RuntimeEnvironment
import SimulationKit
import Synchronization
import Testing

@Suite struct SimulatedObjectStoreTests {
    private let clock = SimulatedClock()
    private let store: SimulatedObjectStore

    init() { store = SimulatedObjectStore(clock: clock) }

    @Test func oneOfManyConditionalPutsWins() async {
        let store = self.store
        let wins = await withTaskGroup(of: Bool.self) { group in
            for number in 0..<20 {
                group.addTask { (try? await store.put("k", ByteBuffer(integer: number), condition: .ifAbsent)) != nil }
            }
            return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(wins == 1)
        let failure = await #expect(throws: ObjectStoreError.self) { try await store.put("k", ByteBuffer(), condition: .ifAbsent) }
        #expect(failure?.code == .preconditionFailed)
    }

    @Test func rangesAreCutAtTheEnd() async throws {
        try await store.put("k", ByteBuffer(string: "0123456789"))
        #expect(String(buffer: try await store.get("k", range: 7..<100)) == "789")
        #expect(String(buffer: try await store.get("k", range: nil)) == "0123456789")
        let beyond = await #expect(throws: ObjectStoreError.self) { try await store.get("k", range: 10..<11) }
        #expect(beyond?.code == .invalidRange)
        let missing = await #expect(throws: ObjectStoreError.self) { try await store.get("x", range: nil) }
        #expect(missing?.code == .notFound)
    }

    @Test func listsComeInPagesByKey() async throws {
        for key in ["b/2", "a/1", "b/1", "b/10"] { try await store.put(key, ByteBuffer(string: key)) }
        #expect(try await store.listAll(prefix: "b/").map(\.key) == ["b/1", "b/10", "b/2"])
        let page = try await store.list(prefix: "b/", startAfter: "b/1", maxKeys: 1)
        #expect(page.objects.map(\.key) == ["b/10"])
        #expect(page.isTruncated)
        try await store.delete(["b/1", "b/10", "none"])
        #expect(store.keys == ["a/1", "b/2"])
    }

    @Test func aFailedPutMayHaveTakenEffectNowOrLater() async throws {
        store.setFault { _ in .fail(.slowDown) }
        await #expect(throws: ObjectStoreError.self) { try await store.put("k", ByteBuffer(string: "1")) }
        #expect(store.keys == [])
        store.setFault { _ in .loseReply(.timedOut) }
        await #expect(throws: ObjectStoreError.self) { try await store.put("k", ByteBuffer(string: "2"), condition: .ifAbsent) }
        #expect(store.keys == ["k"])
        store.setFault { _ in .failThenApply(.timedOut, after: .seconds(5)) }
        await #expect(throws: ObjectStoreError.self) { try await store.put("late", ByteBuffer(string: "3")) }
        store.setFault(nil)
        while clock.sleeperCount == 0 { await Task.yield() }
        #expect(store.keys == ["k"])
        clock.advance(by: .seconds(5))
        while store.keys.count < 2 { await Task.yield() }
        #expect(store.requestCount(.put) == 3)
    }

    @Test func staleListsHideWhatIsNew() async throws {
        store.setListDelay(.seconds(2))
        try await store.put("k", ByteBuffer(string: "1"))
        #expect(try await store.listAll(prefix: "").isEmpty)
        #expect(try await store.info("k")?.size == 1)
        clock.advance(by: .seconds(2))
        #expect(try await store.listAll(prefix: "").count == 1)
    }
}

@Suite struct SimulatedNetworkTests {
    private let clock = SimulatedClock()
    private let network: SimulatedNetwork

    init() {
        network = SimulatedNetwork(clock: clock)
        network.listen(host: "b", port: 2) { frame in ByteBuffer(string: "echo " + String(buffer: frame)) }
    }

    private func call(_ text: String, from sender: String = "a:1") async throws -> String {
        String(
            buffer: try await network.transport(from: sender).call(
                host: "b", port: 2, channel: "c", frame: [ByteBuffer(string: text)], timeout: .seconds(10)))
    }

    @Test func callsAreAnsweredByWhoListens() async throws {
        #expect(try await call("hello") == "echo hello")
        network.listen(host: "b", port: 2, nil)
        await #expect(throws: PeerTransportError.self) { try await call("hello") }
    }

    @Test func aPartitionIsSilenceUntilTheTimeout() async throws {
        network.partition(into: [["a:1"], ["b:2"]])
        #expect(try await call("hello", from: "c:3") == "echo hello")
        let clock = self.clock
        await #expect(throws: PeerTransportError.self) { try await clock.autoAdvancing { try await call("hello") } }
        network.partition(into: [])
        #expect(try await call("hello") == "echo hello")
    }

    @Test func aLostReplyWasCarriedOut() async throws {
        let carriedOut = CallCount()
        network.listen(host: "b", port: 2) { frame in
            _ = carriedOut.next()
            return frame
        }
        network.setFault { _ in .dropReply }
        let clock = self.clock
        await #expect(throws: PeerTransportError.self) { try await clock.autoAdvancing { try await call("hello") } }
        #expect(carriedOut.next() == 2)
    }
}
