//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogModel
import SharedStorage
import Testing

@Suite struct CompactionPlanTests {
    /// Sizes in KiB, side by side.
    private static func ranges(_ sizes: [Int64], shared: Bool = false) -> [RangeRecord] {
        sizes.enumerated().map { index, size in
            RangeRecord(
                object: ObjectID(broker: BrokerID(1), epoch: BrokerEpoch(1), number: UInt64(index)), key: "\(index)",
                isStreamObject: !shared,
                start: Offset(Int64(index)), end: Offset(Int64(index) + 1), recordBytes: size << 10, maxTimestamp: .none,
                objectBytes: size << 10,
                indexPosition: 0)
        }
    }

    @Test func nothingHappensBelowTheFanIn() {
        #expect(
            CompactionPlan.runs(in: Self.ranges(Array(repeating: 10, count: 7)), goal: .bounded, fanIn: 8, bytesMax: 1 << 30)
                .isEmpty)
        #expect(
            CompactionPlan.runs(in: Self.ranges(Array(repeating: 10, count: 8)), goal: .bounded, fanIn: 8, bytesMax: 1 << 30) == [
                0..<8
            ])
    }

    @Test func onlyNeighboursOfOneClassAreMerged() {
        let ranges = Self.ranges([10, 10, 5_000, 10, 10, 10, 10])
        #expect(CompactionPlan.runs(in: ranges, goal: .bounded, fanIn: 4, bytesMax: 1 << 30) == [3..<7])
    }

    @Test func aRunStaysBelowTheLargestObject() {
        let ranges = Self.ranges(Array(repeating: 400, count: 10), shared: true)
        #expect(
            CompactionPlan.runs(in: ranges, goal: .complete, fanIn: 4, bytesMax: 1 << 20) == [0..<2, 2..<4, 4..<6, 6..<8, 8..<10])
    }

    @Test func settlingLeavesNoSharedPieceAndTouchesNoOtherObject() {
        let ranges = Self.ranges([5, 5], shared: true) + Self.ranges([7, 7]) + Self.ranges([5], shared: true)
        #expect(CompactionPlan.runs(in: ranges, goal: .complete, fanIn: 8, bytesMax: 1 << 30) == [0..<2, 4..<5])
    }

    /// Appended one by one and merged whenever the plan says so: what is rewritten stays below a logarithm of the bytes.
    @Test func rewritingIsBoundedByALogarithm() {
        var sizes: [Int64] = []
        var written: Int64 = 0
        let count = 5_000
        for _ in 0..<count {
            sizes.append(32)
            while let run = CompactionPlan.runs(in: Self.ranges(sizes), goal: .bounded, fanIn: 8, bytesMax: 64 << 20).first {
                let merged = sizes[run].reduce(0, +)
                written += merged
                sizes.replaceSubrange(run, with: [merged])
            }
        }
        // 32 KiB to 64 MiB is a factor of 2,048, less than four steps of eight.
        #expect(written <= 4 * 32 * Int64(count))
        #expect(sizes.count < 60)
    }
}
