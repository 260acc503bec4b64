//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel
package import NIOCore

/// The file `leader-epoch-checkpoint`: text, a line each for version 0, the number of epochs, and per epoch `epoch startOffset`.
package enum LeaderEpochCheckpoint {
    package static let fileName = "leader-epoch-checkpoint"

    package static func encode(_ epochs: EpochHistory) -> ByteBuffer {
        ByteBuffer(
            string: "0\n\(epochs.entries.count)\n"
                + epochs.entries.map { "\($0.epoch.rawValue) \($0.startOffset.rawValue)\n" }.joined())
    }

    /// - Returns: nil if the text is no such file, or is cut off, or epochs do not rise.
    package static func decode(_ bytes: ByteBuffer) -> EpochHistory? {
        // The file is written without a sync of its own. Without its last line end the last number may lack digits.
        guard bytes.readableBytesView.last == UInt8(ascii: "\n") else { return nil }
        var lines = String(buffer: bytes).split(separator: "\n", omittingEmptySubsequences: true)[...]
        guard lines.popFirst() == "0", let count = lines.popFirst().flatMap({ Int($0) }), count == lines.count else { return nil }
        var entries: [EpochStart] = []
        for line in lines {
            let fields = line.split(separator: " ")
            guard fields.count == 2, let epoch = Int32(fields[0]), let offset = Int64(fields[1]) else { return nil }
            if let last = entries.last, epoch <= last.epoch.rawValue || offset < last.startOffset.rawValue { return nil }
            entries.append(EpochStart(epoch: LeaderEpoch(epoch), startOffset: Offset(offset)))
        }
        return EpochHistory(entries)
    }
}
