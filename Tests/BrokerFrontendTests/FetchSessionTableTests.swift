//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import BrokerFrontend
import KafkaProtocol
import RuntimeEnvironment
import Testing

/// KIP-227's rules of who keeps a slot, and of epochs.
@Suite struct FetchSessionTableTests {
    private let start = MonotonicInstant(nanoseconds: 0)
    private var numbers = Numbers()

    /// Ids in order, so that a test knows them.
    final class Numbers {
        var last: Int32 = 0
        func next() -> Int32 {
            last += 1
            return last
        }
    }

    private func insert(
        _ name: String, size: Int = 10, isPrivileged: Bool = false, after seconds: Int = 0,
        _ table: inout FetchSessionTable<String>
    ) -> (id: Int32, evicted: String?)? {
        table.insert(
            name, size: size, usesTopicIDs: true, isPrivileged: isPrivileged, at: start + .seconds(seconds), id: numbers.next)
    }

    private func refusal(_ kind: FetchSessionTable<String>.Kind) -> ErrorCode? {
        guard case .refused(let code) = kind else { return nil }
        return code
    }

    @Test func eachFetchTakesTheEpochAStepFurther() {
        var table = FetchSessionTable<String>(slots: 2)
        #expect(insert("a", &table)?.id == 1)
        for epoch in Int32(1)...3 {
            guard case .incremental("a") = table.begin(sessionID: 1, epoch: epoch, usesTopicIDs: true, at: start) else {
                Issue.record("epoch \(epoch) is not taken")
                return
            }
        }
        #expect(refusal(table.begin(sessionID: 1, epoch: 3, usesTopicIDs: true, at: start)) == .invalidFetchSessionEpoch)
        #expect(refusal(table.begin(sessionID: 1, epoch: 5, usesTopicIDs: true, at: start)) == .invalidFetchSessionEpoch)
        #expect(refusal(table.begin(sessionID: 9, epoch: 1, usesTopicIDs: true, at: start)) == .fetchSessionIdNotFound)
        #expect(refusal(table.begin(sessionID: 1, epoch: 4, usesTopicIDs: false, at: start)) == .fetchSessionTopicIdError)
        #expect(FetchSessionTable<String>.epoch(after: .max) == 1)
    }

    @Test(arguments: [Int32(0), -1]) func aFullFetchClosesTheSessionItNames(epoch: Int32) {
        var table = FetchSessionTable<String>(slots: 2)
        _ = insert("a", &table)
        guard case .full(let mayMakeSession, "a") = table.begin(sessionID: 1, epoch: epoch, usesTopicIDs: true, at: start) else {
            Issue.record("the session stays")
            return
        }
        #expect(mayMakeSession == (epoch == 0))
        #expect(table.entries.isEmpty)
    }

    @Test func aFullTableRefusesANewcomerWorthNoMore() {
        var table = FetchSessionTable<String>(slots: 1)
        _ = insert("young", size: 1, &table)
        #expect(insert("larger", size: 100, after: 60, &table) == nil)
        _ = table.begin(sessionID: 1, epoch: 1, usesTopicIDs: true, at: start + .seconds(100))
        // It has had its two minutes, and is in use.
        #expect(insert("equal", size: 1, after: 121, &table) == nil)
        #expect(insert("larger", size: 2, after: 121, &table)?.evicted == "young")
    }

    @Test func aSessionLongUnusedGivesWayToAny() {
        var table = FetchSessionTable<String>(slots: 2)
        _ = insert("idle", size: 100, isPrivileged: true, &table)
        _ = insert("busy", size: 100, &table)
        _ = table.begin(sessionID: 2, epoch: 1, usesTopicIDs: true, at: start + .seconds(120))
        #expect(insert("small", size: 1, after: 121, &table)?.evicted == "idle")
    }

    @Test func aFollowerDrivesOutTheSmallestConsumerAtOnce() {
        var table = FetchSessionTable<String>(slots: 3)
        _ = insert("follower", size: 1, isPrivileged: true, &table)
        _ = insert("large", size: 50, &table)
        _ = insert("small", size: 5, &table)
        #expect(insert("consumer", size: 500, &table) == nil)
        #expect(insert("second follower", size: 2, isPrivileged: true, &table)?.evicted == "small")
        #expect(insert("third follower", size: 2, isPrivileged: true, &table)?.evicted == "large")
        #expect(insert("fourth follower", size: 2, isPrivileged: true, &table) == nil)
    }

    @Test func noSlotsMeanNoSessions() {
        var none = FetchSessionTable<String>(slots: 0)
        #expect(insert("a", &none) == nil)
        var table = FetchSessionTable<String>(slots: 1)
        #expect(insert("empty", size: 0, &table) == nil)
        let id = insert("a", &table)?.id ?? 0
        let isOverAtFive = table.resize(id, to: 5)
        #expect(!isOverAtFive)
        #expect(table.entries[id]?.size == 5)
        let isOver = table.resize(id, to: 0)
        #expect(isOver)
        #expect(table.entries.isEmpty)
    }
}
