//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel
package import NIOCore

/// A segment's sparse map from timestamp to offset (`.timeindex`), in memory.
///
/// ```
/// each entry, big-endian:  int64 timestamp | int32 offset - base offset
/// ```
/// An entry (T, O) says: every record with a timestamp above T lies after O. Timestamps rise. The last entry of a sealed
/// segment is its largest timestamp.
package struct TimeIndex: Sendable, Hashable {
    package struct Entry: Sendable, Hashable {
        package var timestamp: Timestamp
        package var relativeOffset: Int32

        package init(timestamp: Timestamp, relativeOffset: Int32) {
            self.timestamp = timestamp
            self.relativeOffset = relativeOffset
        }
    }

    package static let entrySize = 12
    package private(set) var entries: [Entry]

    package init(entries: [Entry] = []) { self.entries = entries }

    /// - Returns: nil if the bytes are no time index. Preallocated zeros after the last entry are dropped.
    package init?(decoding bytes: ByteBuffer) {
        guard bytes.readableBytes % Self.entrySize == 0 else { return nil }
        var bytes = bytes
        entries = []
        entries.reserveCapacity(bytes.readableBytes / Self.entrySize)
        while let (timestamp, offset) = bytes.readMultipleIntegers(as: (Int64, Int32).self) {
            if timestamp == 0, offset == 0 {
                // Preallocated space, unless real entries follow: then the first record is of 1970.
                guard entries.isEmpty, let next = bytes.getInteger(at: bytes.readerIndex, as: Int64.self), next > 0 else { break }
            }
            if let last = entries.last, timestamp <= last.timestamp.rawValue || offset < last.relativeOffset { return nil }
            guard offset >= 0 else { return nil }
            entries.append(Entry(timestamp: Timestamp(timestamp), relativeOffset: offset))
        }
        while let byte = bytes.readInteger(as: UInt8.self) { if byte != 0 { return nil } }
    }

    /// Adds an entry unless an earlier one has such a timestamp already.
    package mutating func appendIfLater(timestamp: Timestamp, relativeOffset: Int32) {
        guard timestamp >= .zero, entries.last.map({ $0.timestamp < timestamp && $0.relativeOffset <= relativeOffset }) ?? true
        else { return }
        entries.append(Entry(timestamp: timestamp, relativeOffset: relativeOffset))
    }

    /// The last offset (relative) of which is sure that no record at or before it has a timestamp at or after `timestamp`; nil if that
    /// can only be said of the segment's start.
    package func offset(before timestamp: Timestamp) -> Int32? {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].timestamp >= timestamp { high = middle } else { low = middle + 1 }
        }
        return low == 0 ? nil : entries[low - 1].relativeOffset
    }

    /// Forgets offsets at or after `relativeOffset`.
    package mutating func truncate(toOffset relativeOffset: Int64) {
        while let last = entries.last, Int64(last.relativeOffset) >= relativeOffset { entries.removeLast() }
    }

    package func encode(from first: Int = 0) -> ByteBuffer {
        var bytes = ByteBuffer()
        bytes.reserveCapacity((entries.count - first) * Self.entrySize)
        for entry in entries[first...] { bytes.writeMultipleIntegers(entry.timestamp.rawValue, entry.relativeOffset) }
        return bytes
    }
}

extension Timestamp {
    fileprivate static let zero = Timestamp(0)
}
