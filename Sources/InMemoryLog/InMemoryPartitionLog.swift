//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import LogEngine
public import LogModel
internal import NIOCore
internal import RuntimeEnvironment
internal import Synchronization

/// The shell: it knows who may ask, what time it is and who listens, and leaves the rest to the content.
public final class InMemoryPartitionLog: PartitionLog {
    private struct Role {
        var assignment: PartitionAssignment
        var configuration: LogConfiguration
        var isLeader = true
        var listener: (@Sendable (any PartitionLog) -> Void)?
    }

    public let partition: PartitionID
    private let store: InMemoryStore
    private let place: InMemoryStore.Partition
    private let clock: any Clock
    private let role: Mutex<Role>

    init(_ assignment: PartitionAssignment, _ configuration: LogConfiguration, store: InMemoryStore, clock: any Clock) {
        partition = assignment.partition
        self.store = store
        place = store.partition(assignment.partition)
        self.clock = clock
        role = Mutex(Role(assignment: assignment, configuration: configuration))
    }

    func lead(_ assignment: PartitionAssignment, _ configuration: LogConfiguration) {
        role.withLock { role in
            role.assignment = assignment
            role.configuration = configuration
            role.isLeader = true
        }
        tellListener()
    }

    func resign(_ assignment: PartitionAssignment) {
        role.withLock { role in
            role.assignment = assignment
            role.isLeader = false
        }
        tellListener()
    }

    public var assignment: PartitionAssignment { role.withLock { $0.assignment } }
    public var offsets: LogOffsets { place.content.withLock { $0.offsets } }
    public var sizeInBytes: Int64 { place.content.withLock { $0.sizeInBytes } }
    public var offsetLag: Int64 { 0 }

    public func append(_ batches: RecordBatches, acks: RequiredAcks, epoch: LeaderEpoch?) throws(LogError) -> AppendReceipt {
        // Under the role's lock, so that nothing is appended once ``resign(_:)`` has returned.
        let receipt = try role.withLock { role throws(LogError) in try append(batches, to: role, epoch: epoch) }
        tellListener()
        return receipt
    }

    private func append(_ batches: RecordBatches, to role: Role, epoch: LeaderEpoch?) throws(LogError) -> AppendReceipt {
        try demandLeadership(role, at: epoch)
        for entry in batches.entries { try demandStorable(entry.header, role.configuration) }
        let size = Int64(batches.sizeInBytes)
        guard store.reserve(size) else {
            throw LogError(.diskFull, "\(partition): the in-memory store holds its \(store.bytesMax) bytes; delete records")
        }
        var unused = size
        defer { store.free(unused) }
        let now = Timestamp(clock.wallMilliseconds())
        let logAppendTime = role.configuration.stampsLogAppendTime ? now : nil
        return try withContent { (content) throws(LogError) in
            let sizeBefore = content.sizeInBytes
            let (range, isDuplicate) = try content.append(
                batches, epoch: role.assignment.leaderEpoch, logAppendTime: logAppendTime)
            try content.trim(before: content.retentionStart(role.configuration, now: now))
            unused = size - (content.sizeInBytes - sizeBefore)
            return AppendReceipt(
                range: range, logAppendTime: logAppendTime ?? .none, logStart: content.logStart, isDuplicate: isDuplicate,
                durable: .completed)
        }
    }

    public func read(
        from offset: Offset, maxBytes: Int, minOneBatch: Bool, bound: ReadBound, reader: Reader, currentLeaderEpoch: LeaderEpoch?
    ) async throws(LogError) -> ReadResult {
        try role.withLock { role throws(LogError) in try demandLeadership(role, at: currentLeaderEpoch) }
        // With one replica and no transactions the three bounds are one.
        return try withContent { (content) throws(LogError) in
            ReadResult(
                records: try content.read(from: offset, maxBytes: maxBytes, minOneBatch: minOneBatch), offsets: content.offsets)
        }
    }

    public func offset(forTimestamp timestamp: Timestamp) async throws(LogError) -> TimestampedOffset? {
        try withContent { (content) throws(LogError) in try content.firstRecord(atOrAfter: timestamp) }
    }

    public func offsetOfMaxTimestamp() async throws(LogError) -> TimestampedOffset? {
        try withContent { (content) throws(LogError) in try content.recordWithMaxTimestamp() }
    }

    public func endOffset(forEpoch epoch: LeaderEpoch) throws(LogError) -> EpochEndOffset? {
        place.content.withLock { content in
            content.epochs.endOffset(for: epoch, logEnd: content.logEnd).map {
                EpochEndOffset(epoch: $0.epoch, endOffset: $0.endOffset)
            }
        }
    }

    public func leaderEpoch(at offset: Offset) -> LeaderEpoch? { place.content.withLock { $0.epochs.epoch(at: offset) } }

    public func deleteRecords(before offset: Offset) async throws(LogError) -> Offset {
        try role.withLock { role throws(LogError) in try demandLeadership(role, at: nil) }
        let (logStart, freed) = try withContent { (content) throws(LogError) in
            let size = content.sizeInBytes
            try content.trim(before: offset)
            return (content.logStart, size - content.sizeInBytes)
        }
        store.free(freed)
        return logStart
    }

    /// There are no segments.
    public func roll() async throws(LogError) {}
    /// There is no medium but this one.
    public func flush() async throws(LogError) {}

    public func footprint() async throws(LogError) -> Footprint {
        var footprint = Footprint()
        place.content.withLock { content in
            footprint.add(
                .hotLog, physicalBytes: content.sizeInBytes, recordBytes: content.sizeInBytes, count: Int64(content.batches.count))
        }
        return footprint
    }

    public func physicalCopies(of offset: Offset) async throws(LogError) -> [PhysicalCopy] {
        guard let batch = place.content.withLock({ $0.batch(at: offset) }) else { return [] }
        return [
            PhysicalCopy(
                medium: .hotLog, location: "memory:\(partition)/\(batch.header.baseOffset)",
                byteRange: 0..<Int64(batch.bytes.readableBytes), crc32c: CRC32C.checksum(of: batch.bytes))
        ]
    }

    public func setProgressListener(_ listener: (@Sendable (any PartitionLog) -> Void)?) {
        role.withLock { $0.listener = listener }
    }

    private func tellListener() {
        let listener = role.withLock { $0.listener }
        listener?(self)
    }

    private func withContent<Value>(_ body: (inout LogContent) throws(LogError) -> Value) throws(LogError) -> Value {
        try place.content.withLock { content throws(LogError) in try body(&content) }
    }

    /// Who asks must know the leader epoch, or claim none.
    private func demandLeadership(_ role: Role, at epoch: LeaderEpoch?) throws(LogError) {
        guard role.isLeader else { throw LogError(.notLeader, "\(partition) is not led by this broker; refresh the metadata") }
        let current = role.assignment.leaderEpoch
        if let epoch, epoch != current {
            throw LogError(
                epoch < current ? .fencedLeaderEpoch : .unknownLeaderEpoch,
                "\(partition) is at leader epoch \(current), not \(epoch)")
        }
    }

    private func demandStorable(_ header: RecordBatchHeader, _ configuration: LogConfiguration) throws(LogError) {
        guard header.sizeInBytes <= configuration.maxMessageBytes else {
            throw LogError(
                .recordTooLarge,
                "\(partition): a batch of \(header.sizeInBytes) bytes exceeds max.message.bytes (\(configuration.maxMessageBytes))")
        }
        guard !header.isTransactional else {
            throw LogError(.unsupported, "\(partition): storage mode memory keeps no transactions; use another mode")
        }
    }
}
