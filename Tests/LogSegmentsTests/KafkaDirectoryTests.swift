//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Crypto
import LogModel
import LogSegments
import NIOCore
import RuntimeEnvironment
import Testing

/// Directories that Apache Kafka wrote, read as it reads them.
@Suite(.enabled(if: KafkaFixtures.areHere, "Kafka's data directories are not beside the project"))
struct KafkaDirectoryTests {
    @Test(arguments: KafkaFixtures.cleanPartitions)
    func aCleanlyClosedPartitionOpensAsItsManifestSays(_ name: String) throws {
        let manifest = try #require(KafkaFixtures.clean)
        let expected = try #require(manifest.partitions[name]?.contents)
        let place = try TemporaryDirectory()
        let directory = LogDirectory(disk: PosixDisk(root: try KafkaFixtures.unpack("clean.tar.gz", into: place)), root: "")
        #expect(try directory.takeCleanMark())
        let found = try #require(try directory.partitions().first { $0.directoryName == name })
        #expect(found.partition.topicID.description == manifest.partitions[name]?.topicId)
        #expect(found.partition.topic == manifest.partitions[name]?.topic)
        let epochFile = try directory.disk.readFile("\(name)/\(LeaderEpochCheckpoint.fileName)")
        #expect(LeaderEpochCheckpoint.decode(epochFile).map(lines) == expected.leaderEpochs)
        #expect(LeaderEpochCheckpoint.encode(try #require(LeaderEpochCheckpoint.decode(epochFile))) == epochFile)

        let before = try files(directory.disk, name)
        var opening = LogOpening(isClean: true)
        opening.logStart = try directory.checkpoint(.logStart).offsets[name].map { Offset($0) }
        opening.recoveryPoint = Offset(try #require(try directory.checkpoint(.recoveryPoint).offsets[name]))
        let (log, report) = try SegmentedLog.open(
            disk: directory.disk, directory: name, settings: SegmentSettings(), opening: opening)
        #expect(report.bytesChecked == 0)
        try demand(log, holds: expected)
        try demandSnapshots(directory.disk, name, expected, newest: false)
        // Looking does not change what is there, but for snapshots that belong to no segment any more.
        let after = try files(directory.disk, name)
        #expect(
            after.filter { !$0.key.hasSuffix("checkpoint") }
                == before.filter { after[$0.key] != nil && !$0.key.hasSuffix("checkpoint") })
        #expect(Set(before.keys).subtracting(after.keys).allSatisfy { $0.hasSuffix(".snapshot") })
    }

    @Test(arguments: KafkaFixtures.uncleanPartitions)
    func aDamagedPartitionRecoversToWhatKafkaRecovers(_ name: String) throws {
        let manifest = try #require(KafkaFixtures.unclean)
        let expected = try #require(manifest.partitions[name]?.recovered)
        let place = try TemporaryDirectory()
        let directory = LogDirectory(disk: PosixDisk(root: try KafkaFixtures.unpack("unclean.tar.gz", into: place)), root: "")
        #expect(try !directory.takeCleanMark())
        var settings = SegmentSettings()
        // As these topics had it; the coordinator's own keeps the default.
        if !name.hasPrefix("__") { settings.indexIntervalBytes = 1_024 }
        func open() throws -> SegmentedLog {
            var opening = LogOpening()
            opening.recoveryPoint = Offset(try directory.checkpoint(.recoveryPoint).offsets[name] ?? 0)
            return try SegmentedLog.open(disk: directory.disk, directory: name, settings: settings, opening: opening).log
        }
        let log = try open()
        try demand(log, holds: expected)
        #expect(lines(log.epochs) == expected.leaderEpochs)
        try log.close()
        try demandSnapshots(directory.disk, name, expected, newest: true)
        // Recovering twice equals once.
        let once = try files(directory.disk, name)
        let again = try open()
        try demand(again, holds: expected)
        try again.close()
        #expect(try files(directory.disk, name) == once)
    }

    /// The same batches, appended to a new log that is rolled where Kafka rolled and opened anew where Kafka was, make the same files.
    @Test(arguments: KafkaFixtures.cleanPartitions.filter { !$0.hasPrefix("compacted") && !$0.hasPrefix("__consumer") })
    func whatIsWrittenIsWhatKafkaWrote(_ name: String) throws {
        let expected = try #require(KafkaFixtures.clean?.partitions[name]?.contents)
        let place = try TemporaryDirectory()
        let disk = PosixDisk(root: try KafkaFixtures.unpack("clean.tar.gz", into: place))
        var settings = SegmentSettings()
        if name.hasPrefix("plain") { settings.indexIntervalBytes = 1_024 }
        func open() throws -> SegmentedLog {
            let opening = LogOpening(logStart: Offset(expected.batches.first?.segment ?? 0), isClean: true)
            return try SegmentedLog.open(disk: disk, directory: "copy-0", settings: settings, opening: opening).log
        }
        var log = try open()
        var segment = expected.batches.first?.segment
        var epoch = expected.batches.first?.leaderEpoch
        for batch in expected.batches {
            if batch.leaderEpoch != epoch {
                try log.close()
                log = try open()
                epoch = batch.leaderEpoch
            }
            if batch.segment != segment {
                try log.roll()
                segment = batch.segment
            }
            let file = try disk.open("\(name)/\(SegmentFileKind.log.name(Offset(batch.segment)))", .readOnly)
            defer { file.close() }
            let bytes = try file.readBytes(at: batch.position, length: Int(batch.size))
            let (written, failure) = log.append([AppendChunk(asGiven: try RecordBatches(verifying: bytes))])
            #expect(written == 1 && failure == nil)
        }
        try log.close()
        let theirs = try files(disk, name)
        let ours = try files(disk, "copy-0")
        for (file, bytes) in theirs where file.hasSuffix(".log") || file.hasSuffix("index") {
            #expect(ours[file] ?? ByteBuffer() == bytes, "\(name)/\(file)")
        }
        // Kafka forgets producers that have been silent for a day, and the records' time is long past.
        try demandSnapshots(disk, "copy-0", expected, newest: true, mayHoldMore: true)
    }

    private func demand(_ log: SegmentedLog, holds expected: Manifest.Contents) throws {
        #expect(log.logStart == Offset(expected.logStartOffset))
        #expect(log.logEnd == Offset(expected.logEndOffset))
        let highWatermark = Offset(expected.highWatermark)
        let lastStable = min(log.ends(highWatermark: highWatermark).firstUnstable ?? highWatermark, highWatermark)
        #expect(lastStable == Offset(expected.lastStableOffset))

        var batches: [Manifest.Batch] = []
        var aborted: [Manifest.Aborted] = []
        for segment in log.segments {
            let file = try log.disk.open(segment.path(.log), .readOnly)
            defer { file.close() }
            #expect(try file.size() == segment.size)
            var cursor = BatchCursor(file, from: 0, to: segment.size)
            while let (header, position) = try cursor.next() {
                let bytes = try file.readBytes(at: position, length: header.sizeInBytes)
                let verified = try RecordBatches(verifying: bytes)
                let wanted = expected.batches[batches.count]
                let hash = wanted.recordsSha256 != nil && header.codec == CompressionCodec.none
                batches.append(
                    Manifest.Batch(
                        segment: segment.baseOffset.rawValue, position: position, size: Int64(header.sizeInBytes),
                        baseOffset: header.baseOffset.rawValue, lastOffset: header.lastOffset.rawValue,
                        leaderEpoch: header.partitionLeaderEpoch.rawValue, producerId: header.producerID, crc: header.crc,
                        recordsSha256: hash ? try sha256(verified, from: log.logStart) : wanted.recordsSha256))
            }
            aborted += try segment.abortedTransactions().map {
                Manifest.Aborted(
                    producerId: $0.producerID, firstOffset: $0.firstOffset.rawValue, lastOffset: $0.lastOffset.rawValue,
                    lastStableOffset: $0.lastStableOffset.rawValue)
            }
            let base = segment.baseOffset.rawValue
            let offsets = try OffsetIndex(decoding: bytes(log.disk, segment.path(.offsetIndex)), logSize: segment.size)
            #expect(
                offsets?.entries.map { [base + Int64($0.relativeOffset), Int64($0.position)] } == expected.offsetIndex["\(base)"]
                    ?? [])
            let times = try TimeIndex(decoding: bytes(log.disk, segment.path(.timeIndex)))
            #expect(
                times?.entries.map { [$0.timestamp.rawValue, base + Int64($0.relativeOffset)] } == expected.timeIndex["\(base)"]
                    ?? [])
        }
        #expect(batches == expected.batches)
        #expect(aborted == expected.abortedTransactions)

        // Every offset leads to its batch, and through reads as through places.
        for batch in expected.batches where batch.lastOffset >= expected.logStartOffset {
            for offset in [batch.baseOffset, batch.lastOffset] {
                let place = try #require(try log.place(of: Offset(offset)))
                #expect(place.header.crc == batch.crc && place.position == batch.position)
                let slices = try log.read(
                    from: Offset(offset), to: log.logEnd, maxBytes: 1, minOneBatch: true, mayRead: true)
                let read = try RecordBatches(verifying: try #require(slices).contiguous())
                #expect(read.entries[0].header.crc == batch.crc)
            }
        }
    }

    private func demandSnapshots(
        _ disk: any Disk, _ name: String, _ expected: Manifest.Contents, newest: Bool, mayHoldMore: Bool = false
    ) throws {
        for entry in try disk.list(name) {
            guard let (kind, offset) = SegmentFileKind.parse(entry.name), kind == .producerSnapshot else { continue }
            let bytes = try disk.readFile("\(name)/\(entry.name)")
            let producers = try #require(ProducerSnapshot.decode(bytes))
            if mayHoldMore, expected.producerSnapshots["\(offset)"] == nil { continue }
            let wanted = try #require(expected.producerSnapshots["\(offset)"], "snapshot \(offset) is Kafka's too")
            let held = Set(
                producers.entries.map { entry in
                    Manifest.Producer(
                        producerId: entry.producerID, producerEpoch: entry.epoch, coordinatorEpoch: entry.coordinatorEpoch,
                        currentTxnFirstOffset: entry.transactionStart?.rawValue, lastTimestamp: entry.lastTimestamp.rawValue,
                        firstSequence: entry.batches.last?.baseSequence ?? -1, lastSequence: entry.batches.last?.lastSequence ?? -1,
                        lastOffset: entry.batches.last?.lastOffset.rawValue ?? -1)
                })
            #expect(mayHoldMore ? held.isSuperset(of: wanted) : held == Set(wanted))
        }
        if newest, expected.logEndOffset > 0 {
            #expect(try disk.exists("\(name)/\(SegmentFileKind.producerSnapshot.name(Offset(expected.logEndOffset)))"))
        }
    }

    private func lines(_ epochs: EpochHistory) -> [[Int64]] {
        epochs.entries.map { [Int64($0.epoch.rawValue), $0.startOffset.rawValue] }
    }

    private func bytes(_ disk: any Disk, _ path: String) throws -> ByteBuffer {
        try disk.exists(path) ? try disk.readFile(path) : ByteBuffer()
    }

    private func files(_ disk: any Disk, _ name: String) throws -> [String: ByteBuffer] {
        try disk.list(name).reduce(into: [:]) { $0[$1.name] = try disk.readFile("\(name)/\($1.name)") }
    }

    /// As the manifests feed it, what a reader sees: offset, timestamp, key, value, headers; lengths before bytes, -1 for null.
    private func sha256(_ batches: RecordBatches, from logStart: Offset) throws -> String {
        var fed = ByteBuffer()
        func feed(_ bytes: ByteBuffer?) {
            fed.writeInteger(Int32(bytes?.readableBytes ?? -1))
            if let bytes { fed.writeImmutableBuffer(bytes) }
        }
        for record in try batches.records(of: batches.entries[0]) where record.offset >= logStart {
            fed.writeMultipleIntegers(record.offset.rawValue, record.timestamp.rawValue)
            feed(record.key)
            feed(record.value)
            fed.writeInteger(Int32(record.headers.count))
            for header in record.headers {
                feed(ByteBuffer(string: header.key))
                feed(header.value)
            }
        }
        var hash = SHA256()
        fed.withUnsafeReadableBytes { hash.update(bufferPointer: $0) }
        return hash.finalize().map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
