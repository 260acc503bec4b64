//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel
package import NIOCore

/// The aborted transactions whose end marker lies in a segment (`.txnindex`).
///
/// ```
/// each entry, big-endian, 34 bytes:
/// int16 version 0 | int64 producer id | int64 first offset | int64 last offset (the marker's) | int64 last stable offset at the abort
/// ```
package struct TransactionIndex: Sendable, Hashable {
    package struct Entry: Sendable, Hashable {
        package var producerID: Int64
        package var firstOffset: Offset
        /// Inclusive: the marker's.
        package var lastOffset: Offset
        package var lastStableOffset: Offset

        package init(producerID: Int64, firstOffset: Offset, lastOffset: Offset, lastStableOffset: Offset) {
            self.producerID = producerID
            self.firstOffset = firstOffset
            self.lastOffset = lastOffset
            self.lastStableOffset = lastStableOffset
        }
    }

    package static let entrySize = 34
    package var entries: [Entry]

    package init(entries: [Entry] = []) { self.entries = entries }

    /// - Returns: nil if the bytes are no transaction index.
    package init?(decoding bytes: ByteBuffer) {
        guard bytes.readableBytes % Self.entrySize == 0 else { return nil }
        var bytes = bytes
        entries = []
        while let (version, producerID, first, last, stable) = bytes.readMultipleIntegers(
            as: (Int16, Int64, Int64, Int64, Int64).self)
        {
            guard version == 0, first <= last else { return nil }
            if let previous = entries.last, last <= previous.lastOffset.rawValue { return nil }
            entries.append(
                Entry(
                    producerID: producerID, firstOffset: Offset(first), lastOffset: Offset(last), lastStableOffset: Offset(stable)))
        }
    }

    package func encode() -> ByteBuffer {
        var bytes = ByteBuffer()
        for entry in entries {
            bytes.writeMultipleIntegers(
                Int16(0), entry.producerID, entry.firstOffset.rawValue, entry.lastOffset.rawValue, entry.lastStableOffset.rawValue)
        }
        return bytes
    }
}
