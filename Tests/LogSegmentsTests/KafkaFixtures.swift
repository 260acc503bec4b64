//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Foundation
import LogModel

/// Data directories of Apache Kafka 3.9 with manifests of what they hold. They lie beside the project and not in it; without them
/// the tests that need them are skipped.
enum KafkaFixtures {
    static let directory: String? = {
        var places: [String] = []
        if let shared = ProcessInfo.processInfo.environment["NINEFOLD_SHARED"] { places.append(shared) }
        var above = URL(fileURLWithPath: #filePath)
        for _ in 0..<6 {
            above.deleteLastPathComponent()
            places.append(above.appendingPathComponent("shared").path)
        }
        return places.map { $0 + "/fixtures/kafka-data-3.9" }.first {
            FileManager.default.fileExists(atPath: $0 + "/manifest.json")
        }
    }()

    static var areHere: Bool { directory != nil }
    static let clean = manifest("manifest.json")
    static let unclean = manifest("manifest-unclean.json")

    static var cleanPartitions: [String] { clean?.partitions.keys.sorted() ?? [] }
    static var uncleanPartitions: [String] { unclean?.partitions.keys.sorted() ?? [] }

    private static func manifest(_ name: String) -> Manifest? {
        guard let directory, let data = FileManager.default.contents(atPath: "\(directory)/\(name)") else { return nil }
        return try? JSONDecoder().decode(Manifest.self, from: data)
    }

    /// Unpacks an archive's log directory.
    static func unpack(_ archive: String, into target: TemporaryDirectory) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/tar")
        process.arguments = ["xzf", "\(directory!)/\(archive)", "-C", target.path]
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw CocoaError(.fileReadCorruptFile) }
        return target.path + "/log-dir"
    }
}

struct Manifest: Decodable, Sendable {
    var checkpoints: [String: String]
    var partitions: [String: Partition]

    struct Partition: Decodable, Sendable {
        var topic: String
        var partition: Int32
        var topicId: String
        /// Of the unclean directory: what Kafka made of it.
        var recovered: Contents?
        var contents: Contents?
        var leaderEpochsBefore: [[Int64]]?

        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            topic = try container.decode(String.self, forKey: .topic)
            partition = try container.decode(Int32.self, forKey: .partition)
            topicId = try container.decode(String.self, forKey: .topicId)
            recovered = try container.decodeIfPresent(Contents.self, forKey: .recovered)
            leaderEpochsBefore = try container.decodeIfPresent([[Int64]].self, forKey: .leaderEpochsBefore)
            contents = recovered == nil ? try Contents(from: decoder) : nil
        }

        private enum CodingKeys: String, CodingKey { case topic, partition, topicId, recovered, leaderEpochsBefore }
    }

    struct Contents: Decodable, Sendable {
        var logStartOffset: Int64
        var highWatermark: Int64
        var lastStableOffset: Int64
        var logEndOffset: Int64
        var leaderEpochs: [[Int64]]
        var abortedTransactions: [Aborted]
        var producerSnapshots: [String: [Producer]]
        var offsetIndex: [String: [[Int64]]]
        var timeIndex: [String: [[Int64]]]
        var batches: [Batch]
    }

    struct Aborted: Decodable, Sendable, Hashable {
        var producerId: Int64
        var firstOffset: Int64
        var lastOffset: Int64
        var lastStableOffset: Int64
    }

    struct Producer: Decodable, Sendable, Hashable {
        var producerId: Int64
        var producerEpoch: Int16
        var coordinatorEpoch: Int32
        var currentTxnFirstOffset: Int64?
        var lastTimestamp: Int64
        var firstSequence: Int32
        var lastSequence: Int32
        var lastOffset: Int64
    }

    struct Batch: Decodable, Sendable, Hashable {
        var segment: Int64
        var position: Int64
        var size: Int64
        var baseOffset: Int64
        var lastOffset: Int64
        var leaderEpoch: Int32
        var producerId: Int64
        var crc: UInt32
        var recordsSha256: String?
    }

    /// `topic-partition` → offset, of a checkpoint file's text.
    func checkpoint(_ name: String, _ partition: String) -> Int64? {
        for line in checkpoints[name]?.split(separator: "\n").dropFirst(2) ?? [] {
            let fields = line.split(separator: " ")
            if fields.count == 3, "\(fields[0])-\(fields[1])" == partition { return Int64(fields[2]) }
        }
        return nil
    }
}

/// A fresh directory, removed when let go.
final class TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        var template = Array((NSTemporaryDirectory() + "/ninefold-XXXXXX").utf8CString)
        guard mkdtemp(&template) != nil else { throw CocoaError(.fileWriteUnknown) }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}
