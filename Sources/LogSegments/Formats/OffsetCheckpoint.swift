//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import NIOCore

/// A log directory's file of one offset per partition: `recovery-point-offset-checkpoint`, `log-start-offset-checkpoint`,
/// `replication-offset-checkpoint`. Text, a line each for version 0, the count, and per partition `topic partition offset`.
package struct OffsetCheckpoint: Sendable, Hashable {
    package enum File: String, Sendable, CaseIterable {
        case recoveryPoint = "recovery-point-offset-checkpoint"
        case logStart = "log-start-offset-checkpoint"
        case highWatermark = "replication-offset-checkpoint"
    }

    /// By the partition's directory name.
    package var offsets: [String: Int64]

    package init(offsets: [String: Int64] = [:]) { self.offsets = offsets }

    /// - Returns: nil if the text is no checkpoint.
    package init?(decoding bytes: ByteBuffer) {
        var lines = String(buffer: bytes).split(separator: "\n", omittingEmptySubsequences: true)[...]
        guard lines.popFirst() == "0", let count = lines.popFirst().flatMap({ Int($0) }), count == lines.count else { return nil }
        offsets = [:]
        for line in lines {
            let fields = line.split(separator: " ")
            guard fields.count == 3, let partition = Int32(fields[1]), let offset = Int64(fields[2]) else { return nil }
            offsets["\(fields[0])-\(partition)"] = offset
        }
    }

    package func encode() -> ByteBuffer {
        var text = "0\n\(offsets.count)\n"
        for (name, offset) in offsets.sorted(by: { $0.key < $1.key }) {
            guard let (topic, partition) = PartitionMetadata.parseDirectoryName(name) else { continue }
            text += "\(topic) \(partition) \(offset)\n"
        }
        return ByteBuffer(string: text)
    }
}
