//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// A set of sequence numbers, kept as disjoint half-open ranges in rising order; ranges that touch are one.
package struct SequenceRanges: Hashable, Sendable {
    package private(set) var ranges: [Range<Int64>] = []
    package private(set) var count: Int64 = 0

    package init() {}

    /// - Returns: How many of `range` were there already.
    @discardableResult
    package mutating func insert(_ range: Range<Int64>) -> Int64 {
        guard !range.isEmpty else { return 0 }
        // What comes in order, as nearly everything does, extends the last range.
        if let last = ranges.last, range.lowerBound >= last.upperBound {
            if range.lowerBound == last.upperBound {
                ranges[ranges.count - 1] = last.lowerBound..<range.upperBound
            } else {
                ranges.append(range)
            }
            count += Int64(range.count)
            return 0
        }
        let first = firstIndex { $0.upperBound >= range.lowerBound }
        let end = firstIndex { $0.lowerBound > range.upperBound }
        var merged = range
        var held: Int64 = 0
        for old in ranges[first..<end] {
            held += Int64(old.clamped(to: range).count)
            merged = min(merged.lowerBound, old.lowerBound)..<max(merged.upperBound, old.upperBound)
        }
        ranges.replaceSubrange(first..<end, with: [merged])
        count += Int64(range.count) - held
        return held
    }

    /// How many of ours `other` lacks.
    package func count(missingFrom other: SequenceRanges) -> Int64 {
        var shared: Int64 = 0
        var index = 0
        for range in ranges {
            while index < other.ranges.count, other.ranges[index].upperBound <= range.lowerBound { index += 1 }
            var probe = index
            while probe < other.ranges.count, other.ranges[probe].lowerBound < range.upperBound {
                shared += Int64(other.ranges[probe].clamped(to: range).count)
                probe += 1
            }
        }
        return count - shared
    }

    /// The first range that satisfies a condition which, once true, stays true.
    private func firstIndex(where isPast: (Range<Int64>) -> Bool) -> Int {
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if isPast(ranges[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
