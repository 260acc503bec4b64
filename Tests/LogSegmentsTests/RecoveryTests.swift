//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogModel
import LogSegments
import NIOCore
import RuntimeEnvironment
import SimulationKit
import Synchronization
import Testing

/// What an unclean stop must not do: each found by the model's walks, and here by itself.
@Suite struct RecoveryTests {
    /// Segments of three batches, two records each; one index entry per batch but the first.
    private func open(
        _ disk: SimulatedDisk, recoveryPoint: Offset = .zero, isClean: Bool = false
    ) throws -> (log: SegmentedLog, report: RecoveryReport) {
        var settings = SegmentSettings()
        settings.segmentBytes = 1_000
        settings.indexIntervalBytes = 1
        return try SegmentedLog.open(
            disk: disk, directory: "t-0", settings: settings,
            opening: LogOpening(logStart: .zero, recoveryPoint: recoveryPoint, isClean: isClean))
    }

    private func disk(_ seed: UInt64) throws -> SimulatedDisk {
        let disk = SimulatedDisk(seed: seed)
        try disk.makeDirectory("t-0")
        try disk.synchronizeDirectory("")
        return disk
    }

    private func append(_ count: Int, records: Int = 2, epoch: Int32 = 0, to log: SegmentedLog) throws {
        for _ in 0..<count {
            let end = log.logEnd
            let records = (0..<records).map { index in
                Record(
                    timestamp: Timestamp(1_000 + end.rawValue + Int64(index)), key: nil,
                    value: ByteBuffer(repeating: UInt8(truncatingIfNeeded: end.rawValue), count: 120))
            }
            let batch = try RecordBatches(verifying: RecordBatchBuilder.batch(of: records))
            let (written, failure) = log.append(
                [AppendChunk(batch, baseOffset: end, epoch: LeaderEpoch(epoch), logAppendTime: nil)])
            try #require(written == 1 && failure == nil)
        }
    }

    /// Offsets of the batches that a reader finds, from the log start to the log end.
    private func offsets(_ log: SegmentedLog) throws -> [Int64] {
        var found: [Int64] = []
        var next = log.logStart
        while next < log.logEnd {
            let slices = try #require(
                try log.read(from: next, to: log.logEnd, maxBytes: 1, minOneBatch: true, mayRead: true))
            let batches = try RecordBatches(verifying: try slices.contiguous())
            let last = try #require(batches.entries.last, "nothing at \(next) of \(log.logEnd)")
            found += batches.entries.map(\.header.baseOffset.rawValue)
            next = last.header.endOffset
        }
        return found
    }

    @Test func aLogCutToItsBeginningStillKnowsItsProducers() throws {
        let log = try open(try disk(1)).log
        let known = ProducerStates(entries: [
            ProducerStates.Entry(
                producerID: 5, epoch: 1,
                batches: [
                    ProducerStates.Batch(
                        baseSequence: 3, lastSequence: 3, baseOffset: Offset(90), lastOffset: Offset(90), timestamp: Timestamp(7))
                ], lastTimestamp: Timestamp(7))
        ])
        try log.restart(
            at: Offset(100), logStart: .zero, epochs: EpochHistory(), producerSnapshot: ProducerSnapshot.encode(known))
        try append(2, to: log)
        try log.truncate(to: Offset(100))
        #expect(log.logEnd == Offset(100) && log.logStart == .zero && log.producers == known)
    }

    @Test(arguments: UInt64(0)..<16)
    func whatARecoveryCutStaysCutThroughAPowerCut(_ seed: UInt64) throws {
        var disk = try disk(seed)
        var log = try open(disk).log
        try append(8, to: log)
        try log.synchronize()
        disk.corrupt("t-0/00000000000000000000.log", at: 400)
        disk = disk.crash(.processKill)
        var report: RecoveryReport
        (log, report) = try open(disk)
        #expect(report.damage != nil && log.logEnd == Offset(2))
        disk = disk.crash(.powerCut)
        (log, report) = try open(disk)
        #expect(report.damage == nil && log.logEnd == Offset(2))
    }

    /// Making a partition syncs nothing; the first sync of its records takes its name and identity along.
    @Test(arguments: UInt64(0)..<32)
    func aNewPartitionIsDurableWithItsFirstSyncAndLeavesNothingBehindWithoutOne(_ seed: UInt64) throws {
        let (first, second) = (TopicID(high: 1, low: seed), TopicID(high: 2, low: seed))
        func make(_ topic: TopicID, on disk: SimulatedDisk) throws -> SegmentedLog {
            let directory = LogDirectory(disk: disk, root: "")
            let partition = PartitionID(topicID: topic, topic: "t", partition: 0)
            try directory.create(partition, wasSynced: false, token: seed)
            var opening = LogOpening()
            opening.identityNeedsSync = true
            return try SegmentedLog.open(
                disk: disk, directory: directory.path(partition.description), settings: SegmentSettings(), opening: opening
            ).log
        }
        var disk = SimulatedDisk(seed: seed)
        try append(3, to: make(first, on: disk))
        disk = disk.crash(.powerCut)
        // What is left is not taken for the records of a topic of the same name.
        let found = try LogDirectory(disk: disk, root: "").partitions().first
        if found?.partition.topicID != first {
            #expect(found == nil)
            let log = try make(second, on: disk)
            #expect(log.logEnd == .zero)
            try append(2, to: log)
            try log.synchronize()
            disk = disk.crash(.powerCut)
            #expect(try LogDirectory(disk: disk, root: "").partitions().first?.partition.topicID == second)
            #expect(try open(disk).log.logEnd == Offset(4))
        }
    }

    /// Whichever one call of the disk fails during a start, the next start finds all that was synced.
    @Test(arguments: [true, false]) func aStartInWhichOneCallFailsLosesNothing(_ isClean: Bool) throws {
        var call = 0
        var wasHit = true
        while wasHit {
            let disk = SimulatedDisk(seed: 1)
            let directory = LogDirectory(disk: disk, root: "")
            let partition = PartitionID(topicID: TopicID(high: 1, low: 1), topic: "t", partition: 0)
            try directory.create(partition, wasSynced: false, token: 1)
            var opening = LogOpening()
            opening.identityNeedsSync = true
            let log = try SegmentedLog.open(disk: disk, directory: "t-0", settings: SegmentSettings(), opening: opening).log
            try append(8, to: log)
            try log.synchronize()
            try disk.synchronizeDirectory("t-0")
            try disk.synchronizeDirectory("")
            let mounted = disk.crash(.processKill)
            let restarted = LogDirectory(disk: mounted, root: "")
            let left = Mutex(call)
            mounted.setFault { _ in
                left.withLock { left in
                    left -= 1
                    return left == -1 ? .inputOutput : nil
                }
            }
            _ = try? restarted.partitions { _ in true }
            _ = try? open(mounted, recoveryPoint: log.logEnd, isClean: isClean)
            wasHit = left.withLock { $0 < 0 }
            mounted.setFault(nil)
            let next = mounted.crash(.processKill)
            #expect(
                try LogDirectory(disk: next, root: "").partitions { _ in true }.map(\.partition) == [partition], "call \(call)")
            let found = try open(next, recoveryPoint: log.logEnd, isClean: isClean).log
            #expect(found.logEnd == log.logEnd, "call \(call)")
            #expect(try offsets(found) == (0..<8).map { 2 * $0 }, "call \(call)")
            call += 1
        }
        #expect(call > 10)
    }

    /// A start on a disk that fails a read must not take the partition for one that never was.
    @Test(arguments: [PartitionMetadata.fileName, LeaderEpochCheckpoint.fileName])
    func aFileThatCannotBeReadIsNotAMissingOne(_ name: String) throws {
        let disk = SimulatedDisk(seed: 1)
        let directory = LogDirectory(disk: disk, root: "")
        let partition = PartitionID(topicID: TopicID(high: 1, low: 1), topic: "t", partition: 0)
        try directory.create(partition, wasSynced: false, token: 1)
        var opening = LogOpening()
        opening.identityNeedsSync = true
        let log = try SegmentedLog.open(disk: disk, directory: "t-0", settings: SegmentSettings(), opening: opening).log
        try append(3, to: log)
        try log.beginEpoch(LeaderEpoch(3))
        let before = try disk.list("t-0")
        disk.setFault { $0.path.hasSuffix(name) && ($0.kind == .open || $0.kind == .read) ? .inputOutput : nil }
        #expect(throws: SegmentError.self) {
            _ = try directory.partitions { _ in false }
            _ = try open(disk)
        }
        #expect(throws: SegmentError.self) {
            try directory.create(partition, wasSynced: false, token: 2)
            _ = try open(disk)
        }
        disk.setFault(nil)
        #expect(try disk.list("t-0") == before)
        #expect(try open(disk).log.logEnd == log.logEnd)
    }

    @Test func withoutTheirSnapshotsTheBatchesTellTheProducersAfterAnOrderlyStop() throws {
        let disk = try disk(1)
        let log = try open(disk).log
        for sequence in Int32(0)..<8 {
            let batch = RecordBatchBuilder.batch(
                of: [Record(timestamp: Timestamp(1_000), key: nil, value: ByteBuffer(repeating: 1, count: 200))],
                producerID: 7, producerEpoch: 0, baseSequence: sequence)
            let chunk = AppendChunk(
                try RecordBatches(verifying: batch), baseOffset: log.logEnd, epoch: LeaderEpoch(0), logAppendTime: nil)
            #expect(log.append([chunk]).written == 1)
        }
        let producers = log.producers
        #expect(producers[7]?.batches.last?.lastSequence == 7)
        try log.close()
        let snapshots = try disk.list("t-0").map(\.name).filter { $0.hasSuffix(".snapshot") }
        #expect(snapshots.count > 1)
        for (index, name) in snapshots.enumerated() {
            // Damaged is as good as gone.
            if index == 0 { disk.corrupt("t-0/\(name)", at: 8) } else { try disk.remove("t-0/\(name)") }
        }
        let (again, report) = try open(disk.crash(.processKill), recoveryPoint: log.logEnd, isClean: true)
        #expect(report.damage == nil && again.logEnd == log.logEnd)
        #expect(again.producers == producers)
    }

    @Test func aSyncBesideATruncationCoversNothingThatIsWrittenAfterIt() throws {
        let disk = try disk(1)
        let log = try open(disk).log
        try append(8, to: log)
        let cut = Mutex(false)
        // All that there was has been synced by then, but for the names.
        disk.setFault { operation in
            guard operation.kind == .synchronizeDirectory, !cut.withLock({ value in exchange(&value, with: true) }) else {
                return nil
            }
            #expect(throws: Never.self) {
                try log.truncate(to: Offset(4))
                try append(8, epoch: 1, to: log)
            }
            return nil
        }
        try log.synchronize()
        disk.setFault(nil)
        #expect(cut.withLock { $0 } && log.logEnd == Offset(20) && log.recoveryPoint <= Offset(4))
        try log.synchronize()
        #expect(log.recoveryPoint == Offset(20))
    }

    /// Messages of Kafka before 0.11 are refused where they are whole; a file's end that was never written is not one of them.
    @Test func oldMessagesAreRefusedAndLeftAlone() throws {
        let disk = try disk(1)
        try append(2, to: try open(disk).log)
        let path = "t-0/00000000000000000000.log"
        var before = try disk.readFile(path)
        // Format 1 by Kafka's tool: no key, the value "old".
        var message = ByteBuffer()
        message.writeInteger(Int64(4))
        message.writeInteger(Int32(25))
        message.writeInteger(UInt32(0))
        message.writeBytes([1, 0])
        message.writeInteger(Int64(1_000))
        message.writeInteger(Int32(-1))
        message.writeInteger(Int32(3))
        message.writeString("old")
        message.setInteger(zlibCRC(message.readableBytesView.dropFirst(16)), at: 12)
        let whole = before
        before.writeImmutableBuffer(message)
        try disk.replaceFile(path, with: before)
        for isClean in [false, true] {
            let error = #expect(throws: SegmentError.self) { try open(disk, isClean: isClean) }
            guard case .unsupported(let text)? = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(text.contains("before 0.11") && text.contains(path))
            #expect(try disk.readFile(path) == before)
        }
        var zeros = whole
        zeros.writeRepeatingByte(0, count: 4_096)
        try disk.replaceFile(path, with: zeros)
        let (log, report) = try open(disk)
        #expect(log.logEnd == Offset(4) && report.bytesCut == 4_096)
    }

    private func zlibCRC(_ bytes: some Sequence<UInt8>) -> UInt32 {
        var crc = ~UInt32(0)
        for byte in bytes {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 0 ? crc >> 1 : crc >> 1 ^ 0xEDB8_8320 }
        }
        return ~crc
    }

    /// As compaction leaves them. Above the recovery point a gap is a segment whose name was lost.
    @Test(arguments: [true, false]) func aGapBetweenSegmentsStaysWhereAllWasSynced(_ isSynced: Bool) throws {
        let disk = try disk(1)
        let log = try open(disk).log
        try append(9, to: log)
        try log.close()
        let names = try disk.list("t-0").map(\.name).filter { $0.hasSuffix(".log") }.sorted()
        #expect(names.count == 3)
        for suffix in ["log", "index", "timeindex"] {
            let name = names[1].replacing(".log", with: ".\(suffix)")
            if try disk.list("t-0").contains(where: { $0.name == name }) { try disk.remove("t-0/\(name)") }
        }
        // An index that is gone makes even an orderly start check from there on.
        let firstIndex = "t-0/" + names[0].replacing(".log", with: ".index")
        if isSynced { try disk.remove(firstIndex) }
        let (again, report) = try open(disk, recoveryPoint: isSynced ? log.logEnd : .zero, isClean: isSynced)
        #expect((report.damage == nil) == isSynced)
        #expect(try offsets(again) == (isSynced ? [0, 2, 4, 12, 14, 16] : [0, 2, 4]))
    }

    @Test func anEpochFileWithoutItsLastDigitsIsNone() {
        #expect(LeaderEpochCheckpoint.decode(ByteBuffer(string: "0\n2\n0 0\n1 63\n"))?.entries.count == 2)
        #expect(LeaderEpochCheckpoint.decode(ByteBuffer(string: "0\n2\n0 0\n1 6")) == nil)
    }

    @Test func batchesAboveTheRecoveryPointTellTheirEpochsRatherThanAnOlderFile() throws {
        let disk = try disk(1)
        var log = try open(disk).log
        try append(3, epoch: 9, to: log)
        try disk.replaceFile("t-0/\(LeaderEpochCheckpoint.fileName)", with: ByteBuffer(string: "0\n2\n8 0\n9 4\n"))
        log = try open(disk.crash(.processKill)).log
        #expect(log.epochs.entries == [EpochStart(epoch: LeaderEpoch(9), startOffset: .zero)])
    }

    /// The tier's part of the history: no local batch tells it.
    @Test func epochsBelowTheFirstSegmentOutliveARecovery() throws {
        let disk = try disk(1)
        let log = try open(disk).log
        try log.restart(
            at: Offset(50), logStart: .zero,
            epochs: EpochHistory([
                EpochStart(epoch: LeaderEpoch(1), startOffset: .zero), EpochStart(epoch: LeaderEpoch(2), startOffset: Offset(20)),
            ]), producerSnapshot: nil)
        try append(2, epoch: 3, to: log)
        let (again, _) = try SegmentedLog.open(
            disk: disk.crash(.processKill), directory: "t-0", settings: SegmentSettings(),
            opening: LogOpening(logStart: .zero, startMayBeRemote: true))
        #expect(again.epochs.entries.map(\.epoch.rawValue) == [1, 2, 3])
        #expect(again.epochs.entries.map(\.startOffset.rawValue) == [0, 20, 50])
    }

    /// Found by the cluster simulation: taken for the log's start, the first local segment's base would let the tier's records be deleted.
    @Test func aLostLogStartIsNotAboveWhatMayBeInTheTier() throws {
        let disk = try disk(1)
        let log = try open(disk).log
        try append(2, to: log)
        try log.roll()
        try append(1, to: log)
        try log.removeSegments(at: MonotonicInstant(nanoseconds: 0), raisesLogStart: false) { (_) throws(SegmentError) in true }
        func logStart(_ opening: LogOpening) throws -> Offset {
            try SegmentedLog.open(
                disk: disk.crash(.processKill), directory: "t-0", settings: SegmentSettings(), opening: opening
            ).log.logStart
        }
        #expect(try logStart(LogOpening(startMayBeRemote: true)) == .zero)
        #expect(try logStart(LogOpening()) == log.segments[0].baseOffset)
    }

    @Test func aFirstBatchAfterATruncationToNothingHasNoIndexEntry() throws {
        let disk = try disk(1)
        let log = try open(disk).log
        try append(1, to: log)
        #expect(try log.truncate(to: Offset(1)) == .zero)
        try append(2, records: 1, to: log)
        try log.roll()
        let index = try disk.readFile("t-0/00000000000000000000.index")
        #expect(OffsetIndex(decoding: index, logSize: 1_000)?.entries.map(\.relativeOffset) == [1])
    }

    @Test(arguments: UInt64(0)..<16)
    func anIndexMadeAnewIsWholeAfterAPowerCut(_ seed: UInt64) throws {
        var disk = try disk(seed)
        var log = try open(disk).log
        try append(8, to: log)
        try log.close()
        let path = "t-0/00000000000000000000.index"
        let index = try disk.readFile(path)
        // Entries that do not rise: sane by size, and damaged.
        var damaged = index
        damaged.setInteger(Int32.max, at: damaged.readerIndex)
        try disk.replaceFile(path, with: damaged)
        log = try open(disk, recoveryPoint: Offset(16), isClean: true).log
        _ = try offsets(log)
        #expect(try log.firstRecord(atOrAfter: Timestamp(1_003), in: .zero..<log.logEnd)?.0 == Offset(3))
        disk = disk.crash(.powerCut)
        log = try open(disk, recoveryPoint: Offset(16)).log
        for time in Int64(1_000)..<1_016 {
            #expect(
                try log.firstRecord(atOrAfter: Timestamp(time), in: .zero..<log.logEnd)?.0 == Offset(time - 1_000))
        }
    }

    /// Three segments are synced; a truncation into the first is stopped after each of its changes.
    @Test(arguments: 0..<16, UInt64(0)..<4)
    func aTruncationThatIsCutShortLeavesNoHole(_ changes: Int, _ seed: UInt64) throws {
        var disk = try disk(seed)
        var log = try open(disk).log
        try append(9, to: log)
        try log.roll()
        try log.synchronize()
        let synced = log.recoveryPoint
        let left = Mutex(changes)
        disk.setFault { operation in
            switch operation.kind {
            case .open, .read, .list: nil
            default:
                left.withLock { left in
                    left -= 1
                    return left < 0 ? .inputOutput : nil
                }
            }
        }
        _ = try? log.truncate(to: Offset(3))
        disk.setFault(nil)
        disk = disk.crash(.powerCut)
        log = try open(disk, recoveryPoint: synced).log
        #expect(log.logEnd >= Offset(2) && log.logEnd <= Offset(18))
        #expect(try offsets(log) == (0..<log.logEnd.rawValue / 2).map { $0 * 2 })
    }

    /// Found in review of what the fuzz target demands. The base offset lies outside a batch's CRC: a batch beyond the next segment's base, or beyond 64 bits, is
    /// damage.
    @Test(arguments: [Int64(1_000), Int64.max])
    func aBatchBeyondTheNextSegmentsBaseIsCutOff(_ baseOffset: Int64) throws {
        let disk = try disk(1)
        var log = try open(disk).log
        try append(2, to: log)
        try log.roll()
        try append(1, to: log)
        try log.close()
        let path = "t-0/00000000000000000000.log"
        var bytes = try disk.readFile(path)
        bytes.setInteger(baseOffset, at: bytes.readerIndex + bytes.readableBytes / 2)
        try disk.replaceFile(path, with: bytes)
        let report: RecoveryReport
        (log, report) = try open(disk.crash(.processKill))
        #expect(report.damage != nil && log.logEnd == Offset(2))
        #expect(try offsets(log) == [0])
    }

    /// Found by the fuzzer: what no follower would take must not be what a recovery keeps.
    @Test func aBatchOfAnUnknownCodecIsCutOff() throws {
        let disk = try disk(1)
        var log = try open(disk).log
        try append(2, to: log)
        try log.close()
        let path = "t-0/00000000000000000000.log"
        var bytes = try disk.readFile(path)
        let (at, length) = (bytes.readerIndex + bytes.readableBytes / 2, bytes.readableBytes / 2)
        bytes.setInteger(UInt16(7), at: at + 21)
        bytes.setInteger(CRC32C.extend(0, with: bytes, at: at + 21, length: length - 21), at: at + 17)
        try disk.replaceFile(path, with: bytes)
        log = try open(disk.crash(.processKill)).log
        #expect(log.logEnd == Offset(2))
    }

    /// Found by the fuzzer: in a log with a gap, as compaction leaves them, the cut log ended where no later start found its end.
    @Test(arguments: [Int64(5), 50, 99])
    func aTruncationIntoAGapEndsWithTheBatchBeforeIt(_ target: Int64) throws {
        let disk = try disk(1)
        var log = try open(disk).log
        try append(2, to: log)
        let batch = try RecordBatches(
            verifying: RecordBatchBuilder.batch(of: [Record(timestamp: Timestamp(2_000), key: nil, value: nil)]))
        let chunk = AppendChunk(batch, baseOffset: Offset(100), epoch: LeaderEpoch(0), logAppendTime: nil)
        #expect(log.append([chunk]).written == 1)
        #expect(try log.truncate(to: Offset(target)) == Offset(4))
        try log.close()
        log = try open(disk.crash(.processKill), recoveryPoint: Offset(4), isClean: true).log
        #expect(log.logEnd == Offset(4))
        #expect(try offsets(log) == [0, 2])
    }
}
