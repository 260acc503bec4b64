//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import BrokerFrontend
import Foundation
import LogModel
import NIOCore
import Testing

/// The groups' own log as Apache Kafka 3.9 wrote it.
@Suite struct KafkaGroupDataTests {
    @Test(.enabled(if: RecordedFrame.fixtures != nil, "no recorded data directory beside the package"))
    func everyRecordOfKafkasOffsetsTopicIsRead() throws {
        let archive = try #require(RecordedFrame.fixtures).appendingPathComponent("kafka-data-3.9/clean.tar.gz")
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("groups-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let tar = Process()
        tar.executableURL = URL(fileURLWithPath: "/bin/tar")
        tar.arguments = ["-xzf", archive.path, "-C", folder.path]
        try tar.run()
        tar.waitUntilExit()
        #expect(tar.terminationStatus == 0)

        let files = try #require(FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil))
        var offsets = 0
        var groups: [String: GroupSnapshot?] = [:]
        for case let file as URL in files where file.path.contains("__consumer_offsets-") && file.pathExtension == "log" {
            let batches = try RecordBatches(verifying: ByteBuffer(bytes: try Data(contentsOf: file)))
            for entry in batches.entries where !entry.header.isControl {
                for record in try batches.records(of: entry) {
                    switch try GroupRecord(reading: record) {
                    case .offset(let group, let key, let committed):
                        #expect(!group.isEmpty && !key.topic.isEmpty)
                        if let committed { #expect(committed.offset >= .zero && committed.commitTimestamp > Timestamp(0)) }
                        offsets += 1
                    case .group(let id, let snapshot): groups[id] = .some(snapshot)
                    case .other: break
                    }
                }
            }
        }
        #expect(offsets > 0)
        #expect(groups.values.contains { $0?.protocolType == "consumer" })
    }
}
