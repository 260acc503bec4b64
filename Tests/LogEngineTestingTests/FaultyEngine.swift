//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import InMemoryLog
import LogEngine
import LogModel
import NIOCore
import RuntimeEnvironment
import Synchronization

/// A promise broken on purpose.
enum Fault: String, CaseIterable, Sendable {
    case rangeIsOffByOne, appendsTwice, dropsAnAppend, readSkipsABatch, readStartsTooEarly, ignoresMaxBytes, firstBatchNotWhole
    case beyondTheEndIsEmpty, readsBelowTheStart, flipsAByte, loosensTheFence, hidesDuplicates, answersDuplicatesAnew
    case deletesNothing, batchInsteadOfRecord, wrongEpochEnd, forgetsOnRestart, miscountsCopies
    case lowFootprint, highWatermarkLags, leadsForEver, acceptsLargeBatches, keepsProducerTime
}

/// The in-memory engine, with one fault.
final class FaultyEngine: LogEngine {
    let name = "faulty"
    private let engine: InMemoryEngine
    private let fault: Fault
    private let held = Mutex<[PartitionID: FaultyLog]>([:])

    init(_ engine: InMemoryEngine, _ fault: Fault) {
        self.engine = engine
        self.fault = fault
    }

    func start() async throws(LogError) { try await engine.start() }

    func apply(_ assignment: PartitionAssignment, configuration: LogConfiguration) async throws(LogError) -> (any PartitionLog)? {
        var assignment = assignment
        var configuration = configuration
        if fault == .leadsForEver { assignment.leader = BrokerID(1) }
        if fault == .acceptsLargeBatches { configuration.maxMessageBytes = .max }
        if fault == .keepsProducerTime { configuration.stampsLogAppendTime = false }
        guard let log = try await engine.apply(assignment, configuration: configuration) else { return nil }
        return held.withLock { held in
            if let known = held[assignment.partition], known.log === log { return known }
            let new = FaultyLog(log, fault)
            held[assignment.partition] = new
            return new
        }
    }

    func log(for partition: PartitionID) -> (any PartitionLog)? {
        engine.log(for: partition).flatMap { _ in held.withLock { $0[partition] } }
    }
    var logs: [any PartitionLog] { engine.logs.compactMap { log(for: $0.partition) } }
    func delete(_ partition: PartitionID, ownsSharedData: Bool) async throws(LogError) {
        try await engine.delete(partition, ownsSharedData: ownsSharedData)
    }
    func footprint() async throws(LogError) -> Footprint { try await engine.footprint() }
    func shutdown() async { await engine.shutdown() }
}

final class FaultyLog: PartitionLog {
    let log: any PartitionLog
    private let fault: Fault
    private let appends = Atomic<Int>(0)

    init(_ log: any PartitionLog, _ fault: Fault) {
        self.log = log
        self.fault = fault
    }

    var partition: PartitionID { log.partition }
    var assignment: PartitionAssignment { log.assignment }
    var sizeInBytes: Int64 { log.sizeInBytes }
    var offsetLag: Int64 { log.offsetLag }

    var offsets: LogOffsets {
        var offsets = log.offsets
        if fault == .highWatermarkLags { offsets.highWatermark = max(offsets.logStart, offsets.highWatermark - 1) }
        return offsets
    }

    func append(_ batches: RecordBatches, acks: RequiredAcks, epoch: LeaderEpoch?) throws(LogError) -> AppendReceipt {
        let count = appends.add(1, ordering: .relaxed).newValue
        let epoch = fault == .loosensTheFence ? nil : epoch
        if fault == .dropsAnAppend, count == 4 {
            let end = log.offsets.logEnd
            return AppendReceipt(
                range: end..<(end + batches.offsetCount), logAppendTime: .none, logStart: .zero, isDuplicate: false,
                durable: .completed)
        }
        if fault == .appendsTwice, count == 4 { _ = try log.append(batches, acks: acks, epoch: epoch) }
        var receipt = try log.append(batches, acks: acks, epoch: epoch)
        if fault == .rangeIsOffByOne { receipt.range = receipt.range.lowerBound + 1..<receipt.range.upperBound + 1 }
        if fault == .hidesDuplicates { receipt.isDuplicate = false }
        if fault == .answersDuplicatesAnew, receipt.isDuplicate {
            receipt.range = log.offsets.logEnd..<(log.offsets.logEnd + batches.offsetCount)
        }
        return receipt
    }

    func read(
        from offset: Offset, maxBytes: Int, minOneBatch: Bool, bound: ReadBound, reader: Reader, currentLeaderEpoch: LeaderEpoch?
    ) async throws(LogError) -> ReadResult {
        let end = log.offsets.logEnd
        var from = offset
        if fault == .readSkipsABatch, offset + 6 < end { from = offset + 6 }
        if fault == .readStartsTooEarly { from = max(log.offsets.logStart, offset - 5) }
        if fault == .beyondTheEndIsEmpty { from = min(offset, end) }
        if fault == .readsBelowTheStart { from = max(offset, log.offsets.logStart) }
        var result = try await log.read(
            from: from, maxBytes: fault == .ignoresMaxBytes ? .max : maxBytes,
            minOneBatch: fault == .firstBatchNotWhole ? false : minOneBatch, bound: bound, reader: reader,
            currentLeaderEpoch: fault == .loosensTheFence ? nil : currentLeaderEpoch)
        if fault == .flipsAByte, case .bytes(var buffer)? = result.records.slices.last {
            buffer.setInteger(buffer.getInteger(at: buffer.writerIndex - 1, as: UInt8.self)! ^ 1, at: buffer.writerIndex - 1)
            result.records.slices[result.records.slices.count - 1] = .bytes(buffer)
        }
        return result
    }

    func offset(forTimestamp timestamp: Timestamp) async throws(LogError) -> TimestampedOffset? {
        var found = try await log.offset(forTimestamp: timestamp)
        if fault == .batchInsteadOfRecord, let offset = found?.offset { found?.offset = Offset(offset.rawValue / 5 * 5) }
        return found
    }

    func offsetOfMaxTimestamp() async throws(LogError) -> TimestampedOffset? { try await log.offsetOfMaxTimestamp() }

    func endOffset(forEpoch epoch: LeaderEpoch) throws(LogError) -> EpochEndOffset? {
        var end = try log.endOffset(forEpoch: epoch)
        if fault == .wrongEpochEnd { end?.epoch = epoch }
        return end
    }

    func leaderEpoch(at offset: Offset) -> LeaderEpoch? { log.leaderEpoch(at: offset) }

    func deleteRecords(before offset: Offset) async throws(LogError) -> Offset {
        fault == .deletesNothing ? offset : try await log.deleteRecords(before: offset)
    }

    func roll() async throws(LogError) { try await log.roll() }
    func flush() async throws(LogError) { try await log.flush() }

    func footprint() async throws(LogError) -> Footprint {
        var footprint = try await log.footprint()
        if fault == .lowFootprint { footprint.entries[.hotLog]?.recordBytes -= 1 }
        return footprint
    }

    func physicalCopies(of offset: Offset) async throws(LogError) -> [PhysicalCopy] {
        let copies = try await log.physicalCopies(of: offset)
        return fault == .miscountsCopies ? copies + copies : copies
    }

    func setProgressListener(_ listener: (@Sendable (any PartitionLog) -> Void)?) {
        log.setProgressListener(listener)
    }
}
