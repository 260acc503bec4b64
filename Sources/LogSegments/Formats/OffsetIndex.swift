//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogModel
package import NIOCore

/// A segment's sparse map from offset to position (`.index`), in memory.
///
/// ```
/// each entry, big-endian:  int32 last offset of a batch - base offset | int32 position of that batch in the .log file
/// ```
/// Both columns rise. No entry below the target means position 0. The file carries no checksum: what does not rise is rebuilt.
package struct OffsetIndex: Sendable, Hashable {
    package struct Entry: Sendable, Hashable {
        package var relativeOffset: Int32
        package var position: Int32

        package init(relativeOffset: Int32, position: Int32) {
            self.relativeOffset = relativeOffset
            self.position = position
        }
    }

    package static let entrySize = 8
    package private(set) var entries: [Entry]

    package init(entries: [Entry] = []) { self.entries = entries }

    /// - Parameter logSize: Bytes of the segment's log; a position beyond it is damage.
    /// - Returns: nil if the bytes are no index of such a segment. Preallocated zeros after the last entry are dropped.
    package init?(decoding bytes: ByteBuffer, logSize: Int64) {
        guard bytes.readableBytes % Self.entrySize == 0 else { return nil }
        var bytes = bytes
        entries = []
        entries.reserveCapacity(bytes.readableBytes / Self.entrySize)
        while let (offset, position) = bytes.readMultipleIntegers(as: (Int32, Int32).self) {
            // The first batch never has an entry, so this is preallocated space.
            if offset == 0, position == 0 { break }
            guard offset >= 0, position >= 0, Int64(position) < max(logSize, 1) else { return nil }
            if let last = entries.last, offset <= last.relativeOffset || position <= last.position { return nil }
            entries.append(Entry(relativeOffset: offset, position: position))
        }
        while let byte = bytes.readInteger(as: UInt8.self) { if byte != 0 { return nil } }
    }

    package mutating func append(relativeOffset: Int32, position: Int32) {
        entries.append(Entry(relativeOffset: relativeOffset, position: position))
    }

    /// A place at or before the batch that holds `relativeOffset`.
    package func floor(_ relativeOffset: Int64) -> Entry {
        let above = partitioningIndex { Int64($0.relativeOffset) > relativeOffset }
        return above == 0 ? Entry(relativeOffset: 0, position: 0) : entries[above - 1]
    }

    /// The greatest batch boundary at or below `position` that the index knows; nil for none.
    package func boundary(atOrBelow position: Int64) -> Int64? {
        let above = partitioningIndex { Int64($0.position) > position }
        return above == 0 ? nil : Int64(entries[above - 1].position)
    }

    /// Forgets batches at or after `position`.
    package mutating func truncate(toPosition position: Int64) {
        entries.removeSubrange(partitioningIndex { Int64($0.position) >= position }...)
    }

    package func encode(from first: Int = 0) -> ByteBuffer {
        var bytes = ByteBuffer()
        bytes.reserveCapacity((entries.count - first) * Self.entrySize)
        for entry in entries[first...] { bytes.writeMultipleIntegers(entry.relativeOffset, entry.position) }
        return bytes
    }

    private func partitioningIndex(where belongsAbove: (Entry) -> Bool) -> Int {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if belongsAbove(entries[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
