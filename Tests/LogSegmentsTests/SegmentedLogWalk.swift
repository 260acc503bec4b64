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

/// A seeded walk of a log and, beside it, of what it should hold.
struct SegmentedLogWalk {
    enum Mishaps {
        case processKills
        case powerCuts
        /// Within calls too.
        case powerCutsMidway
    }

    struct Batch {
        var header: RecordBatchHeader
        var bytes: ByteBuffer
    }

    private let mishaps: Mishaps
    let random: SeededRandomSource
    private var disk: SimulatedDisk
    private(set) var log: SegmentedLog
    private var settings = SegmentSettings()
    private(set) var batches: [Batch] = []
    private(set) var logStart = Offset.zero
    private(set) var logEnd = Offset.zero
    /// As a log directory's file has it: stored now and then, lowered after a truncation.
    private var checkpoint = Offset.zero
    /// Where a truncation that was cut short would have ended.
    private var unfinishedTruncation: Offset?
    private var epoch = LeaderEpoch(0)
    private var time: Int64 = 1_000
    /// The log's ends after each step.
    private(set) var trace: [String] = []

    init(seed: UInt64, mishaps: Mishaps) throws {
        self.mishaps = mishaps
        random = SeededRandomSource(seed: seed)
        disk = SimulatedDisk(seed: seed)
        try disk.makeDirectory("t-0")
        try disk.synchronizeDirectory("")
        settings.segmentBytes = 3_000
        settings.indexIntervalBytes = 200
        log = try SegmentedLog.open(disk: disk, directory: "t-0", settings: settings, opening: LogOpening()).log
    }

    mutating func run(steps: Int) throws {
        for _ in 0..<steps {
            let isCut = mishaps == .powerCutsMidway && random.next(below: 8) == 0
            if isCut { burnFuse() }
            do {
                try step(random.next(below: 20), isCut: isCut)
            } catch let error as SegmentError where isCut {
                trace.append("cut: \(error)")
                try reopen(isClean: false, .powerCut)
            }
            disk.setFault(nil)
            trace.append("\(log.logStart)..<\(log.logEnd) \(log.recoveryPoint) \(log.epochs.entries.count) \(log.sizeInBytes)")
            try compare()
        }
    }

    /// After some more changes to the disk none arrives any more.
    private func burnFuse() {
        let left = Mutex(Int(random.next(below: 12)))
        disk.setFault { operation in
            switch operation.kind {
            case .open, .read, .list, .makeDirectory: nil
            default:
                left.withLock { left in
                    left -= 1
                    return left < 0 ? .inputOutput : nil
                }
            }
        }
    }

    // MARK: Steps

    private mutating func step(_ choice: UInt64, isCut: Bool) throws {
        switch choice {
        case 0:
            epoch = epoch.next
            try log.beginEpoch(epoch)
        case 1: try log.roll()
        case 2: try truncate()
        case 3: try raiseLogStart()
        case 4:
            try log.synchronize()
            if random.next(below: 2) == 0 { checkpoint = log.recoveryPoint }
        case 5, 6:
            let isClean = random.next(below: 2) == 0
            if isClean {
                try log.close()
                checkpoint = log.recoveryPoint
            }
            try reopen(isClean: isClean, mishaps == .processKills ? .processKill : .powerCut)
        default: try append(isCut: isCut)
        }
    }

    private mutating func truncate() throws {
        let target = somewhere(upTo: logEnd)
        let end: Offset
        do { end = try log.truncate(to: target) } catch {
            unfinishedTruncation = batches.last { $0.header.endOffset <= target }?.header.endOffset ?? .zero
            throw error
        }
        #expect(end <= target)
        cutModel(to: end)
        checkpoint = min(checkpoint, log.recoveryPoint)
    }

    private mutating func raiseLogStart() throws {
        logStart = somewhere(upTo: logEnd)
        let start = logStart
        // Whether or not it is carried out wholly, the log start is stored beside the log.
        defer { batches.removeAll { $0.header.endOffset <= start } }
        #expect(try log.raiseLogStart(to: start) == start)
        try log.removeSegments(at: MonotonicInstant(nanoseconds: 0), raisesLogStart: true) { $0.endOffset <= start }
    }

    private mutating func append(isCut: Bool) throws {
        let count = 1 + Int(random.next(below: 4))
        var chunks: [AppendChunk] = []
        for _ in 0..<count {
            time += Int64(random.next(below: 20)) - 5
            let batch = try makeBatch(
                records: 1 + Int(random.next(below: 3)), bytes: Int(random.next(below: 300)))
            let chunk = AppendChunk(batch, baseOffset: logEnd, epoch: epoch, logAppendTime: nil)
            logEnd = chunk.endOffset
            var placed = batch
            placed.assign(baseOffset: chunk.baseOffset, epoch: epoch)
            batches.append(Batch(header: placed.entries[0].header, bytes: placed.buffer))
            chunks.append(chunk)
        }
        let (written, failure) = log.append(chunks)
        if isCut, let failure { throw failure }
        #expect(written == count && failure == nil)
    }

    /// Ends the log as `crash` does, opens it anew, and takes over what is left if that may be.
    private mutating func reopen(isClean: Bool, _ crash: SimulatedDisk.Crash) throws {
        let synced = min(isClean ? logEnd : log.recoveryPoint, logEnd, unfinishedTruncation ?? logEnd)
        unfinishedTruncation = nil
        let opening = LogOpening(logStart: logStart, recoveryPoint: checkpoint, isClean: isClean)
        disk.setFault(nil)
        disk = disk.crash(crash)
        if mishaps == .powerCutsMidway, random.next(below: 3) == 0 {
            // The recovery does not come to its end either.
            burnFuse()
            _ = try? SegmentedLog.open(disk: disk, directory: "t-0", settings: settings, opening: opening)
            disk.setFault(nil)
            disk = disk.crash(crash)
        }
        let report: RecoveryReport
        (log, report) = try SegmentedLog.open(disk: disk, directory: "t-0", settings: settings, opening: opening)
        if crash == .processKill { try #require(report.damage == nil && log.logEnd == logEnd) }
        try #require(log.logEnd >= synced && log.logEnd <= logEnd)
        cutModel(to: log.logEnd)
        checkpoint = min(checkpoint, log.recoveryPoint)
    }

    private mutating func cutModel(to end: Offset) {
        batches.removeAll { $0.header.endOffset > end }
        logEnd = end
    }

    private func somewhere(upTo end: Offset) -> Offset {
        logStart + Int64(random.next(below: UInt64(end - logStart + 1)))
    }

    private func makeBatch(records: Int, bytes: Int) throws -> RecordBatches {
        let records = (0..<records).map {
            Record(timestamp: Timestamp(max(0, time + Int64($0))), key: nil, value: ByteBuffer(repeating: 7, count: bytes))
        }
        return try RecordBatches(verifying: RecordBatchBuilder.batch(of: records))
    }
}
