//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogEngine
import LogModel
import LogSegments
import NIOCore
import RuntimeEnvironment
import Synchronization

/// A tail for the tests: batches in memory that outlive the engine, sealed segments as Kafka's files on a disk, no replication by itself.
final class TailEngine: LogEngine {
    let name = "tail"
    let broker: BrokerID
    let storage: TailStorage
    private let held = Mutex<[PartitionID: TailLog]>([:])

    init(broker: BrokerID, storage: TailStorage) {
        self.broker = broker
        self.storage = storage
    }

    func start() async throws(LogError) {}

    func apply(_ assignment: PartitionAssignment, configuration: LogConfiguration) async throws(LogError) -> (any PartitionLog)? {
        let log = held.withLock { held -> TailLog? in
            guard assignment.replicas.contains(broker) else {
                held[assignment.partition] = nil
                return nil
            }
            let log = held[assignment.partition] ?? TailLog(assignment, storage.content(assignment.partition), broker)
            held[assignment.partition] = log
            return log
        }
        log?.apply(assignment)
        return log
    }

    func log(for partition: PartitionID) -> (any PartitionLog)? { held.withLock { $0[partition] } }
    var logs: [any PartitionLog] { held.withLock { Array($0.values) } }
    func delete(_ partition: PartitionID, ownsSharedData: Bool) async throws(LogError) { held.withLock { $0[partition] = nil } }
    func footprint() async throws(LogError) -> Footprint {
        var sum = Footprint()
        for log in logs { sum.add(try await log.footprint()) }
        return sum
    }
    func shutdown() async {}
}

/// What survives an engine.
final class TailStorage: Sendable {
    let disk: any Disk
    private let contents = Mutex<[PartitionID: TailContent]>([:])

    init(disk: any Disk) { self.disk = disk }

    func content(_ partition: PartitionID) -> TailContent {
        contents.withLock { contents in
            let content = contents[partition] ?? TailContent(disk: disk, directory: partition.description)
            contents[partition] = content
            return content
        }
    }
}

/// One partition's segments.
final class TailContent: Sendable {
    struct Batch {
        var header: RecordBatchHeader
        var bytes: ByteBuffer
    }
    struct Segment {
        var base: Offset
        var batches: [Batch] = []
        var isSealed = false
        var end: Offset { batches.last?.header.endOffset ?? base }
        var size: Int64 { batches.reduce(0) { $0 + Int64($1.bytes.readableBytes) } }
    }
    struct State {
        var segments = [Segment(base: .zero)]
        var logStart = Offset.zero
        /// nil: the log end.
        var highWatermark: Offset?
        var epochs = EpochHistory()
        var producerSnapshot: [UInt8]?
        /// Every byte ever appended.
        var everything = ByteBuffer()
        var end: Offset { segments.last!.end }
        var localStart: Offset { segments.first!.base }
    }

    let disk: any Disk
    let directory: String
    let state = Mutex(State())

    init(disk: any Disk, directory: String) {
        self.disk = disk
        self.directory = directory
        try! disk.makeDirectory(directory)
    }

    func append(_ batches: RecordBatches) {
        state.withLock { state in
            for entry in batches.entries {
                state.epochs.append(epoch: entry.header.partitionLeaderEpoch, startOffset: entry.header.baseOffset)
                let bytes = batches.buffer.getSlice(
                    at: batches.buffer.readerIndex + entry.position, length: entry.header.sizeInBytes)!
                state.everything.writeImmutableBuffer(bytes)
                state.segments[state.segments.count - 1].batches.append(Batch(header: entry.header, bytes: bytes))
            }
        }
    }

    /// Closes the active segment and writes its files.
    func seal() throws {
        try state.withLock { state in
            let segment = state.segments[state.segments.count - 1]
            guard !segment.batches.isEmpty else { return }
            try write(segment, state.epochs)
            state.segments[state.segments.count - 1].isSealed = true
            state.segments.append(Segment(base: segment.end))
        }
    }

    func path(_ base: Offset, _ kind: String) -> String { "\(directory)/\(base).\(kind)" }

    private func write(_ segment: Segment, _ epochs: EpochHistory) throws {
        var log = ByteBuffer()
        var index = ByteBuffer()
        var times = ByteBuffer()
        var highest = Int64(-1)
        for (number, batch) in segment.batches.enumerated() {
            // An entry names the last offset of the batch at the position, as Kafka's do.
            if number % 3 == 2 {
                index.writeMultipleIntegers(Int32(batch.header.lastOffset - segment.base), Int32(log.writerIndex))
            }
            if batch.header.maxTimestamp.rawValue > highest {
                highest = batch.header.maxTimestamp.rawValue
                times.writeMultipleIntegers(highest, Int32(batch.header.lastOffset - segment.base))
            }
            log.writeImmutableBuffer(batch.bytes)
        }
        for (kind, content) in [
            ("log", log), ("index", index), ("timeindex", times), ("snapshot", ByteBuffer(string: "producers to \(segment.end)")),
        ] {
            try disk.replaceFile(path(segment.base, kind), with: content)
        }
    }
}

final class TailLog: PartitionLog, SealedSegmentSource {
    let partition: PartitionID
    let content: TailContent
    let broker: BrokerID
    private let role: Mutex<(assignment: PartitionAssignment, listener: (@Sendable (any PartitionLog) -> Void)?, isManaged: Bool)>

    init(_ assignment: PartitionAssignment, _ content: TailContent, _ broker: BrokerID) {
        partition = assignment.partition
        self.broker = broker
        self.content = content
        role = Mutex((assignment, nil, false))
    }

    func apply(_ assignment: PartitionAssignment) { role.withLock { $0.assignment = assignment } }
    var isManaged: Bool { role.withLock { $0.isManaged } }

    var assignment: PartitionAssignment { role.withLock { $0.assignment } }
    var offsets: LogOffsets {
        content.state.withLock { state in
            let highWatermark = state.highWatermark ?? state.end
            return LogOffsets(
                logStart: state.logStart, localStart: max(state.localStart, state.logStart), highWatermark: highWatermark,
                lastStable: highWatermark, logEnd: state.end)
        }
    }

    func append(_ batches: RecordBatches, acks: RequiredAcks, epoch: LeaderEpoch?) throws(LogError) -> AppendReceipt {
        var batches = batches
        let range = batches.assign(baseOffset: offsets.logEnd, epoch: assignment.leaderEpoch)
        content.append(batches)
        role.withLock { $0.listener }?(self)
        return AppendReceipt(
            range: range, logAppendTime: .none, logStart: offsets.logStart, isDuplicate: false, durable: .completed)
    }

    func read(
        from offset: Offset, maxBytes: Int, minOneBatch: Bool, bound: ReadBound, reader: Reader, currentLeaderEpoch: LeaderEpoch?
    ) async throws(LogError) -> ReadResult {
        let offsets = offsets
        guard offset >= offsets.localStart, offset <= offsets.logEnd else {
            throw LogError(.offsetOutOfRange, "not in the tail: \(offset)")
        }
        var bytes = ByteBuffer()
        for batch in content.state.withLock({ $0.segments.flatMap(\.batches) }) where batch.header.lastOffset >= offset {
            let fits = bytes.readableBytes + batch.bytes.readableBytes <= maxBytes || bytes.readableBytes == 0 && minOneBatch
            guard fits, batch.header.endOffset <= offsets.highWatermark else { break }
            bytes.writeImmutableBuffer(batch.bytes)
        }
        return ReadResult(records: LogSlices(bytes), offsets: offsets)
    }

    func offset(forTimestamp timestamp: Timestamp) async throws(LogError) -> TimestampedOffset? {
        for batch in content.state.withLock({ $0.segments.flatMap(\.batches) }) where batch.header.maxTimestamp >= timestamp {
            let batches = try! RecordBatches(verifying: batch.bytes)
            for record in try! batches.records(of: batches.entries[0]) where record.timestamp >= timestamp {
                return TimestampedOffset(
                    offset: record.offset, timestamp: record.timestamp, leaderEpoch: batch.header.partitionLeaderEpoch)
            }
        }
        return nil
    }
    func offsetOfMaxTimestamp() async throws(LogError) -> TimestampedOffset? {
        guard let highest = content.state.withLock({ $0.segments.flatMap(\.batches).map(\.header.maxTimestamp).max() }) else {
            return nil
        }
        return try await offset(forTimestamp: highest)
    }
    func endOffset(forEpoch epoch: LeaderEpoch) throws(LogError) -> EpochEndOffset? {
        content.state.withLock { state in
            state.epochs.endOffset(for: epoch, logEnd: state.end).map { EpochEndOffset(epoch: $0.epoch, endOffset: $0.endOffset) }
        }
    }
    func leaderEpoch(at offset: Offset) -> LeaderEpoch? { content.state.withLock { $0.epochs.epoch(at: offset) } }
    func deleteRecords(before offset: Offset) async throws(LogError) -> Offset {
        content.state.withLock { $0.logStart = max($0.logStart, offset) }
        return offsets.logStart
    }
    func roll() async throws(LogError) { try! content.seal() }
    func flush() async throws(LogError) {}
    func footprint() async throws(LogError) -> Footprint {
        var footprint = Footprint()
        footprint.add(.hotLog, physicalBytes: sizeInBytes, recordBytes: sizeInBytes)
        return footprint
    }
    var sizeInBytes: Int64 { content.state.withLock { $0.segments.reduce(0) { $0 + $1.size } } }
    var offsetLag: Int64 { 0 }
    func physicalCopies(of offset: Offset) async throws(LogError) -> [PhysicalCopy] {
        [PhysicalCopy(medium: .hotLog, location: "tail", byteRange: 0..<1, crc32c: nil)]
    }
    func setProgressListener(_ listener: (@Sendable (any PartitionLog) -> Void)?) { role.withLock { $0.listener = listener } }

    // MARK: SealedSegmentSource

    func sealedSegments(below bound: Offset) -> [SealedSegment] {
        content.state.withLock { state in
            state.segments.filter { $0.isSealed && $0.end <= bound }.map { segment in
                SealedSegment(
                    disk: content.disk, baseOffset: segment.base, endOffset: segment.end,
                    maxTimestamp: segment.batches.map(\.header.maxTimestamp).max()!, sizeInBytes: segment.size,
                    logPath: content.path(segment.base, "log"), offsetIndexPath: content.path(segment.base, "index"),
                    timeIndexPath: content.path(segment.base, "timeindex"), transactionIndexPath: nil,
                    producerSnapshotPath: content.path(segment.base, "snapshot"),
                    epochs: state.epochs.entries(covering: segment.base..<segment.end))
            }
        }
    }

    func freeLocalSegments(below offset: Offset) async throws -> Int64 {
        let freed = content.state.withLock { state in
            let freed = state.segments.filter { $0.isSealed && $0.end <= offset }
            state.segments.removeAll { $0.isSealed && $0.end <= offset }
            return freed
        }
        for segment in freed {
            for kind in ["log", "index", "timeindex", "snapshot"] { try content.disk.remove(content.path(segment.base, kind)) }
        }
        return freed.reduce(0) { $0 + $1.size }
    }

    func setRetentionIsManagedAbove(_ managed: Bool) { role.withLock { $0.isManaged = managed } }
    func raiseLogStart(to offset: Offset) async throws { content.state.withLock { $0.logStart = max($0.logStart, offset) } }
    var epochHistory: [EpochStart] { content.state.withLock { $0.epochs.entries } }

    var followerPosition: FollowerPosition? {
        let assignment = assignment
        guard assignment.leader != broker else { return nil }
        return content.state.withLock { state in
            FollowerPosition(leaderEpoch: assignment.leaderEpoch, logEnd: state.end, lastEpoch: state.epochs.latest?.epoch ?? .none)
        }
    }

    func restart(
        at offset: Offset, logStart: Offset, epochs: [EpochStart], producerSnapshot: [UInt8]?, ifStill position: FollowerPosition
    ) async throws -> Bool {
        guard followerPosition == position else { return false }
        content.state.withLock { state in
            state = TailContent.State(
                segments: [TailContent.Segment(base: offset)], logStart: logStart, epochs: EpochHistory(epochs),
                producerSnapshot: producerSnapshot)
        }
        return true
    }
}
