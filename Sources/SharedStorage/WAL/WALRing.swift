//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import DequeModule

/// Where records go in the ring, and which of its bytes still count. Positions grow without end; the file offset is position mod
/// capacity. Invariant: `trimPosition <= liveStart <= writePosition <= trimPosition + capacity`.
package struct WALRing: Sendable {
    /// One record's place, and the padding before it if it begins a new lap.
    package struct Placement: Hashable, Sendable {
        package var position: Int64
        /// Stretch left unused at the end of the last lap, if any.
        package var padding: Range<Int64>?
    }

    /// A group that was written: its records are live until every one of them is in a committed object.
    private struct Group {
        var start: Int64
        var lastSequence: UInt64
        var bodyBytes: Int64
    }

    package let capacity: Int64
    /// As the header on the medium says: bytes from here on must not be overwritten.
    package private(set) var trimPosition: Int64
    /// End of what has been placed.
    package private(set) var writePosition: Int64
    private var groups: Deque<Group> = []
    private var bodyBytesLive: Int64 = 0

    package static let alignment: Int64 = 4096

    /// A record must find room in an empty ring wherever the last lap ended: behind padding as long as itself and a boundary.
    package static func bodyBytesMax(capacity: Int64) -> Int { Int(capacity / 2 - 2 * alignment) }

    package init(capacity: Int64, position: Int64 = 0) {
        self.capacity = capacity
        trimPosition = position
        writePosition = position
    }

    /// Where a group may begin.
    package var nextGroupStart: Int64 { (writePosition + Self.alignment - 1) / Self.alignment * Self.alignment }

    /// Takes the place for a record of `span` bytes in a group that has reached `cursor`; nil if the ring is too full for it now.
    package mutating func place(span: Int64, at cursor: Int64) -> Placement? {
        precondition(span <= capacity / 2, "a record is at most half a ring")
        var position = cursor
        var padding: Range<Int64>?
        let room = capacity - position % capacity
        if span > room {
            padding = position..<position + room
            position += room
        }
        guard position + span <= trimPosition + capacity else { return nil }
        writePosition = position + span
        return Placement(position: position, padding: padding)
    }

    package mutating func groupPlaced(start: Int64, lastSequence: UInt64, bodyBytes: Int64) {
        groups.append(Group(start: start, lastSequence: lastSequence, bodyBytes: bodyBytes))
        bodyBytesLive += bodyBytes
    }

    /// All records with a sequence below `sequence` are in committed objects: forgets their groups.
    ///
    /// - Returns: The trim position to write to the header; nil if it has not moved.
    package mutating func release(before sequence: UInt64) -> Int64? {
        while let group = groups.first, group.lastSequence < sequence {
            bodyBytesLive -= group.bodyBytes
            groups.removeFirst()
        }
        let start = liveStart
        return start > trimPosition ? start : nil
    }

    /// The header with `position` is on the medium: the bytes below it may be overwritten.
    package mutating func trimmed(to position: Int64) {
        precondition(position >= trimPosition && position <= liveStart, "a ring is trimmed forward, and only below what is live")
        trimPosition = position
    }

    /// First position of a group with live records; the write position if there is none.
    package var liveStart: Int64 { groups.first?.start ?? writePosition }
    /// Bytes of the ring that hold live records, their headers and the gaps between.
    package var liveBytes: Int64 { writePosition - liveStart }
    /// Bytes of record batches in live groups.
    package var liveBodyBytes: Int64 { bodyBytesLive }
    /// Bytes that cannot be overwritten now.
    package var heldBytes: Int64 { writePosition - trimPosition }
}
