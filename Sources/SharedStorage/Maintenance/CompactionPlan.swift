//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// Which neighbouring ranges of a stream are rewritten into one stream object.
package enum CompactionPlan {
    package enum Goal: Sendable {
        /// Ranges of one size class, as soon as there are enough side by side: each byte is rewritten once per class it climbs.
        case bounded
        /// Every piece that shares its object with other streams.
        case complete
    }

    /// Indices of runs in `ranges` (in offset order), disjoint and rising.
    ///
    /// - Parameter mustLeave: Objects that hold so little live data that their pieces are rewritten whatever their number.
    package static func runs(
        in ranges: [RangeRecord], goal: Goal, fanIn: Int, bytesMax: Int64, mustLeave: Set<ObjectID> = []
    ) -> [Range<Int>] {
        var runs: [Range<Int>] = []
        var index = 0
        while index < ranges.count {
            let run = run(from: index, in: ranges, fanIn: fanIn, bytesMax: bytesMax) { first, next in
                switch goal {
                case .complete: !next.isStreamObject && !first.isStreamObject
                case .bounded: sizeClass(next, fanIn: fanIn) == sizeClass(first, fanIn: fanIn)
                }
            }
            let pieces = ranges[run]
            let isDue =
                switch goal {
                case .complete: !ranges[index].isStreamObject
                case .bounded:
                    run.count >= fanIn && ranges[index].recordBytes < bytesMax / 2
                        || pieces.contains { !$0.isStreamObject && mustLeave.contains($0.object) }
                }
            if isDue { runs.append(run) }
            index = run.upperBound
        }
        return runs
    }

    private static func run(
        from start: Int, in ranges: [RangeRecord], fanIn: Int, bytesMax: Int64, joins: (RangeRecord, RangeRecord) -> Bool
    ) -> Range<Int> {
        var end = start + 1
        var bytes = ranges[start].recordBytes
        while end < ranges.count, joins(ranges[start], ranges[end]), bytes + ranges[end].recordBytes <= bytesMax {
            bytes += ranges[end].recordBytes
            end += 1
        }
        return start..<end
    }

    /// How many times the smallest class (64 KiB) must be multiplied by the fan-in to hold the range.
    private static func sizeClass(_ range: RangeRecord, fanIn: Int) -> Int {
        var level = 0
        var limit: Int64 = 64 << 10
        while range.recordBytes > limit {
            limit *= Int64(fanIn)
            level += 1
        }
        return level
    }
}
