//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogModel
import Testing

@Suite struct EpochHistoryTests {
    private func history(_ entries: (Int32, Int64)...) -> EpochHistory {
        EpochHistory(entries.map { EpochStart(epoch: LeaderEpoch($0.0), startOffset: Offset($0.1)) })
    }

    private func end(_ history: EpochHistory, _ epoch: Int32) -> [Int64]? {
        history.endOffset(for: LeaderEpoch(epoch), logEnd: Offset(100)).map { [Int64($0.epoch.rawValue), $0.endOffset.rawValue] }
    }

    @Test func anEpochEndsWhereTheNextBegins() {
        let history = history((1, 0), (2, 10), (5, 40))
        #expect(end(history, 1) == [1, 10])
        #expect(end(history, 2) == [2, 40])
        #expect(end(history, 4) == [2, 40], "the largest known at or below (KIP-279)")
        #expect(end(history, 5) == [5, 100])
        #expect(end(history, 6) == nil)
        #expect(end(history, -1) == nil)
        #expect(end(history, 0) == [0, 0], "older than all known: ends where the oldest begins")
        #expect(end(EpochHistory(), 3) == nil)
    }

    @Test func everyOffsetHasTheEpochThatWroteIt() {
        let history = history((1, 5), (2, 10), (5, 40))
        let expected: [(Int64, Int32?)] = [(4, nil), (5, 1), (9, 1), (10, 2), (39, 2), (40, 5), (1_000, 5)]
        for (offset, epoch) in expected { #expect(history.epoch(at: Offset(offset)) == epoch.map { LeaderEpoch($0) }) }
    }

    @Test func onlyANewEpochChangesTheHistory() {
        var history = history((1, 0))
        let same = history.append(epoch: LeaderEpoch(1), startOffset: Offset(7))
        let new = history.append(epoch: LeaderEpoch(2), startOffset: Offset(8))
        #expect(!same && new)
        #expect(history == self.history((1, 0), (2, 8)))
    }

    @Test func contradictedEntriesGo() {
        var history = history((1, 0), (3, 10), (4, 20))
        history.append(epoch: LeaderEpoch(2), startOffset: Offset(12))
        #expect(history == self.history((1, 0), (2, 12)))
        history.append(epoch: LeaderEpoch(5), startOffset: Offset(12))
        #expect(history == self.history((1, 0), (5, 12)), "an epoch without records leaves no trace")
    }

    @Test func truncationForgetsWhatIsGone() {
        var history = history((1, 0), (2, 10), (5, 40))
        let unchanged = history.truncateFromEnd(Offset(41))
        #expect(!unchanged)
        history.truncateFromEnd(Offset(40))
        #expect(history == self.history((1, 0), (2, 10)))
        history.truncateFromStart(Offset(15))
        #expect(history == self.history((2, 15)))
        let again = history.truncateFromStart(Offset(15))
        #expect(!again)
        history.truncateFromEnd(Offset(0))
        #expect(history.isEmpty)
    }

    @Test func aRangeIsCoveredByTheEpochsItTouches() {
        let history = history((1, 0), (2, 10), (5, 40))
        func epochs(_ range: Range<Int64>) -> [Int32] {
            history.entries(covering: Offset(range.lowerBound)..<Offset(range.upperBound)).map(\.epoch.rawValue)
        }
        #expect(epochs(0..<10) == [1])
        #expect(epochs(5..<11) == [1, 2])
        #expect(epochs(10..<40) == [2])
        #expect(epochs(50..<60) == [5])
        #expect(epochs(0..<100) == [1, 2, 5])
    }
}
