//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Foundation
import LogEngine
import LogModel
import LogSegments
import NIOCore
import RuntimeEnvironment
import SharedStorage
import SimulationKit

/// What our own encoders make of honest values: where the corpus began. `NINEFOLD_WRITE_CORPUS=1` writes it anew.
enum SeedInputs {
    // MARK: Record batches

    static func batch(_ records: Int, attributes: UInt16 = 0, producerID: Int64 = -1, from time: Int64 = 1_000) -> ByteBuffer {
        var all: [Record] = []
        for index in 0..<records {
            var record = Record(
                timestamp: Timestamp(time + Int64(index)), key: nil, value: ByteBuffer(string: "value \(index)"))
            if index % 2 == 0 { record.key = ByteBuffer(string: "key \(index)") }
            if index == 1 {
                record.headers = [
                    Record.Header(key: "header", value: ByteBuffer(string: "x")), Record.Header(key: "empty", value: nil),
                ]
            }
            all.append(record)
        }
        let hasProducer = producerID >= 0
        return RecordBatchBuilder.batch(
            of: all, producerID: producerID, producerEpoch: hasProducer ? 2 : -1, baseSequence: hasProducer ? 0 : -1,
            attributes: attributes)
    }

    /// The end of a transaction: key int16 0 and int16 type, value int16 0 and int32 epoch.
    static func marker(commits: Bool) -> ByteBuffer {
        var key = ByteBuffer()
        key.writeMultipleIntegers(Int16(0), Int16(commits ? 1 : 0))
        var value = ByteBuffer()
        value.writeMultipleIntegers(Int16(0), Int32(7))
        return RecordBatchBuilder.batch(
            of: [Record(timestamp: Timestamp(2_000), key: key, value: value)], producerID: 9, producerEpoch: 2, attributes: 0x30)
    }

    static var recordBatches: [String: [UInt8]] {
        func input(_ mode: UInt8, _ buffers: ByteBuffer...) -> [UInt8] {
            var bytes = [mode]
            for buffer in buffers { bytes += Array(buffer.readableBytesView) }
            return bytes
        }
        return [
            "one": input(0, batch(1)), "three-repaired": input(1, batch(3)), "two-batches": input(0, batch(2), batch(5)),
            "idempotent": input(5, batch(2, producerID: 9)), "marker": input(0, marker(commits: false)),
            "compressed": input(1, batch(2, attributes: 2)), "log-append-time": input(4, batch(3, attributes: 8)),
            "partial": Array(input(2, batch(2), batch(2)).dropLast(20)),
        ]
    }

    // MARK: Partition directories

    static func segments() throws -> [String: [UInt8]] {
        let disk = SimulatedDisk(seed: 0)
        try disk.makeDirectory("t-0")
        var settings = SegmentSettings()
        settings.indexIntervalBytes = 64
        let log = try SegmentedLog.open(disk: disk, directory: "t-0", settings: settings, opening: LogOpening()).log
        func append(_ bytes: ByteBuffer, epoch: Int32) throws {
            let batches = try RecordBatches(verifying: bytes)
            let (_, failure) = log.append(
                [AppendChunk(batches, baseOffset: log.logEnd, epoch: LeaderEpoch(epoch), logAppendTime: nil)])
            if let failure { throw failure }
        }
        try append(batch(4), epoch: 0)
        try append(batch(3, attributes: 0x10, producerID: 9), epoch: 0)
        try append(marker(commits: false), epoch: 1)
        // Offset 8, where a second segment's name has its place in the input.
        try log.roll()
        try append(batch(2, from: 3_000), epoch: 1)
        try append(batch(6, producerID: 11, from: 4_000), epoch: 2)
        try log.close()
        var inputs: [String: [UInt8]] = [:]
        for (name, mode, recoveryPoint) in [("clean", UInt8(2), UInt8(16)), ("unclean", 0, 0), ("repaired", 5, 9)] {
            var input: [UInt8] = [mode, recoveryPoint]
            for entry in try disk.list("t-0") {
                let content = try disk.readFile("t-0/\(entry.name)")
                let length = content.readableBytes
                var (kind, base) = (UInt8(5), UInt8(0))
                if let (found, offset) = SegmentFileKind.parse(entry.name) {
                    (kind, base) = (UInt8(SegmentFileKind.allCases.firstIndex(of: found)!), UInt8(offset.rawValue / 8))
                }
                input += [kind, base, UInt8(length >> 8), UInt8(length & 255)] + Array(content.readableBytesView)
            }
            inputs[name] = input
        }
        return inputs
    }

    // MARK: The write-ahead log

    private final class Nobody: WALClient {
        let groupMark = WALGroupMark()
        func appendDurable(_ offsets: Range<Offset>, position: Int64) {}
        func appendFailed(_ error: LogError) {}
        func groupEnded() {}
    }

    static func writeAheadLogs() async throws -> [String: [UInt8]] {
        let disk = SimulatedDisk(seed: 0)
        var settings = SharedStorageSettings()
        settings.walCapacityBytes = 16 << 12
        settings.walGroupBytesMax = 8 << 10
        let log = try WriteAheadLog.create(
            disk: disk, path: "wal", brokerID: BrokerID(1), epoch: BrokerEpoch(5), environment: .system, settings: settings,
            leaseHolds: { true }, pressure: {})
        let nobody = Nobody()
        var next: Int64 = 0
        for count in [1, 5, 2, 40] {
            try log.enqueue(
                WALAppend(
                    stream: StreamID(topicID: TopicID(high: 1, low: 2), partition: 3), leaderEpoch: LeaderEpoch(4),
                    offsets: Offset(next)..<Offset(next + Int64(count)), body: batch(count), client: nobody))
            next += Int64(count)
            try await log.onWorker { _ throws(DiskError) in }
        }
        let file = Array(try disk.readFile("wal").readableBytesView)
        var sections: [UInt8] = []
        // Each page of the ring that holds anything, up to its last byte that is not zero.
        for page in stride(from: 8_192, to: file.count, by: 4_096) {
            let content = file[page..<page + 4_096]
            guard let last = content.lastIndex(where: { $0 != 0 }) else { continue }
            let (at, length) = ((page - 8_192) / 8, last - page + 1)
            sections += [UInt8(at >> 8), UInt8(at & 255), UInt8(length >> 8), UInt8(length & 255)] + file[page...last]
        }
        let header = Array(try disk.readFile("wal").readableBytesView.prefix(56))
        return [
            "whole": [0, 15, 0] + sections, "repaired": [1, 15, 0] + sections, "trimmed": [1, 15, 1] + sections,
            "header-too": [3, 15, 0] + header + sections,
        ]
    }

    // MARK: Objects

    static var objects: [String: [UInt8]] {
        func input(_ mode: UInt8, streams: Int32) -> [UInt8] {
            var builder = ObjectBuilder(blockBytes: 200)
            for number in 0..<streams {
                builder.add(
                    StreamID(topicID: TopicID(high: 1, low: 2), partition: number),
                    (0..<3).map { chunk in
                        ObjectBuilder.Chunk(
                            start: Offset(Int64(chunk) * 2), end: Offset(Int64(chunk) * 2 + 2), batchCount: 1,
                            maxTimestamp: Timestamp(1_001), data: batch(2))
                    })
            }
            var bytes = [mode]
            for buffer in builder.finish().body { bytes += Array(buffer.readableBytesView) }
            return bytes
        }
        return [
            "stream": input(0, streams: 1), "stream-set": input(0, streams: 3), "repaired": input(1, streams: 2),
            "empty": input(1, streams: 0),
        ]
    }

    // MARK: Requests

    /// The recorded requests that are short, one per API and version.
    static func requests() throws -> [String: [UInt8]] {
        struct Frame: Decodable {
            var apiName: String
            var apiVersion: Int
            var request: String
        }
        let file = Corpus.root.deletingLastPathComponent().appendingPathComponent("kafka-frames.jsonl")
        var inputs: [String: [UInt8]] = [:]
        for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n") {
            let frame = try JSONDecoder().decode(Frame.self, from: Data(line.utf8))
            guard frame.request.utf8.count < 1_200 else { continue }
            let digits = Array(frame.request)
            inputs["\(frame.apiName)-\(frame.apiVersion)"] = stride(from: 0, to: digits.count, by: 2).map {
                UInt8(String(digits[$0...$0 + 1]), radix: 16)!
            }
        }
        return inputs
    }
}
