//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// The longest stretches without an acknowledgement, per partition.
package struct GapWatch: Sendable {
    package static let kept = 10

    private var last: [Int32: Int64] = [:]
    /// Longest first.
    private var gaps: [Int32: [ProbeOutcome.Gap]] = [:]

    package init() {}

    package mutating func acknowledged(_ partition: Int32, at nanoseconds: Int64) {
        if let previous = last[partition] { note(partition, previous, nanoseconds) }
        last[partition] = max(nanoseconds, last[partition] ?? .min)
    }

    /// Counts what is open: those of `partitions` that still owe an acknowledgement have their gap up to here.
    package mutating func end(at nanoseconds: Int64, of partitions: [Int32]) {
        for partition in partitions {
            if let previous = last[partition], nanoseconds > previous {
                note(partition, previous, nanoseconds, isOpen: true)
            }
        }
    }

    /// By partition, longest first.
    package var longest: [ProbeOutcome.Gap] { gaps.sorted { $0.key < $1.key }.flatMap(\.value) }

    private mutating func note(_ partition: Int32, _ from: Int64, _ until: Int64, isOpen: Bool = false) {
        let length = until - from
        var kept = gaps[partition] ?? []
        if kept.count == Self.kept, let shortest = kept.last, shortest.untilNanoseconds - shortest.fromNanoseconds >= length {
            return
        }
        let index = kept.firstIndex { $0.untilNanoseconds - $0.fromNanoseconds < length } ?? kept.count
        kept.insert(
            ProbeOutcome.Gap(partition: partition, fromNanoseconds: from, untilNanoseconds: until, isOpen: isOpen), at: index)
        if kept.count > Self.kept { kept.removeLast() }
        gaps[partition] = kept
    }
}
