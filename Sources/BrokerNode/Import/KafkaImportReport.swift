//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import Foundation
internal import Metering

/// What an import made of Kafka's log directories: what `ninefold import --format json` prints.
package struct KafkaImportReport: Codable, Sendable, Hashable {
    package struct Partition: Codable, Sendable, Hashable {
        package var number: Int32
        /// Kafka's directory of it.
        package var source: String
        package var logStart: Int64
        /// Exclusive.
        package var logEnd: Int64
        /// Of its record batches.
        package var bytes: Int64
        /// Cut off at the end, as Kafka would have on its next start; 0 for a log that was closed in order.
        package var bytesCut: Int64
        /// Why; nil if nothing was cut.
        package var damage: String?
        /// First offset of a transaction that was never ended: consumers that read committed records only stop there.
        package var openTransaction: Int64?
    }

    package struct Topic: Codable, Sendable, Hashable {
        package var name: String
        package var id: String
        package var partitions: [Partition]
    }

    /// What was left out, and why.
    package struct Skipped: Codable, Sendable, Hashable {
        package var name: String
        package var reason: String
    }

    package var schema = "ninefold/import/1"
    package var broker: Int32
    package var storageMode: String
    package var metadataStore: String
    /// Looked at only: nothing was written.
    package var isDryRun: Bool
    package var topics: [Topic] = []
    package var skipped: [Skipped] = []

    package func encoded() throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(self)
    }

    package var table: String {
        var lines: [String] = []
        func line(_ name: String, _ partition: String, _ offsets: String, _ bytes: String, _ note: String) {
            let text =
                name.padded(to: 32) + partition.padded(to: 10) + offsets.padded(to: 24)
                + String(repeating: " ", count: max(0, 12 - bytes.count)) + bytes + (note.isEmpty ? "" : "  " + note)
            lines.append(text)
        }
        line("topic", "partition", "offsets", "bytes", "")
        for topic in topics {
            for partition in topic.partitions {
                var notes: [String] = []
                if let damage = partition.damage { notes.append("\(partition.bytesCut) bytes cut: \(damage)") }
                if let open = partition.openTransaction { notes.append("a transaction is open since offset \(open)") }
                line(
                    topic.name, "\(partition.number)", "\(partition.logStart)..<\(partition.logEnd)", "\(partition.bytes)",
                    notes.joined(separator: "; "))
            }
        }
        if !skipped.isEmpty { lines.append("") }
        for skipped in skipped { lines.append("not imported: \(skipped.name): \(skipped.reason)") }
        let partitions = topics.reduce(0) { $0 + $1.partitions.count }
        let bytes = topics.reduce(Int64(0)) { $0 + $1.partitions.reduce(Int64(0)) { $0 + $1.bytes } }
        lines.append("")
        lines.append(
            "\(isDryRun ? "would import" : "imported"): \(topics.count) topics, \(partitions) partitions, \(bytes) bytes, "
                + "to broker \(broker) (storage.mode=\(storageMode))")
        return lines.joined(separator: "\n")
    }
}

extension String {
    /// With one space behind it at least.
    fileprivate func padded(to width: Int) -> String { self + String(repeating: " ", count: max(1, width - count)) }
}
