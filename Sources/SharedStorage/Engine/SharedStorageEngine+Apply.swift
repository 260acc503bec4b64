//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
public import LogEngine
internal import LogModel
internal import RuntimeEnvironment
internal import Synchronization

extension SharedStorageEngine {
    @discardableResult
    public func apply(_ assignment: PartitionAssignment, configuration: LogConfiguration) async throws(LogError) -> (
        any PartitionLog
    )? {
        let parts = try running()
        let stream = StreamID(assignment.partition)
        await partitionGates.enter(stream)
        defer { partitionGates.leave(stream) }
        let (held, applied, isDeleted) = state.withLock {
            ($0.logs[stream], $0.applied[stream] ?? -1, $0.deleted.contains(stream))
        }
        guard !isDeleted else { return nil }
        guard assignment.partitionEpoch >= applied else { return held }
        guard assignment.leader == writer.broker else {
            if let held {
                try await close(held, parts)
                drain(held, parts, countsAsMove: true)
            }
            note(assignment, nil)
            return nil
        }
        let log = try await opened(held, assignment, configuration, parts)
        note(assignment, log)
        if let target = Self.target(of: assignment, from: writer.broker) {
            try await handOver(log, assignment, to: target, parts)
            // The registry has made a newer assignment: this one, repeated, must not open the stream again.
            note(assignment, nil, partitionEpoch: assignment.partitionEpoch + 1)
            return nil
        }
        return log
    }

    /// Whom the partition is to go to; nil unless it is to leave `broker`.
    static func target(of assignment: PartitionAssignment, from broker: BrokerID) -> BrokerID? {
        guard assignment.removingReplicas.contains(broker) else { return nil }
        return assignment.targetReplicas.first { $0 != broker } ?? assignment.addingReplicas.first { $0 != broker }
    }

    private func note(_ assignment: PartitionAssignment, _ log: SharedLog?, partitionEpoch: Int64? = nil) {
        state.withLock { state in
            let stream = StreamID(assignment.partition)
            state.applied[stream] = partitionEpoch ?? assignment.partitionEpoch
            state.logs[stream] = log
        }
    }

    // MARK: Opening

    /// The log at the assignment's leader epoch, whatever this broker had of it before.
    private func opened(
        _ held: SharedLog?, _ assignment: PartitionAssignment, _ configuration: LogConfiguration, _ parts: EngineParts
    ) async throws(LogError) -> SharedLog {
        guard let held, !held.hasFailed else {
            let log = try await open(assignment, configuration, parts)
            held?.abandon()
            return log
        }
        let isMoving = Self.target(of: assignment, from: writer.broker) != nil
        if assignment.leaderEpoch > held.assignment.leaderEpoch || !held.isLeading && !isMoving {
            try await reclaim(held, assignment, reopens: !isMoving, parts)
        }
        held.update(assignment, configuration)
        if !isMoving { held.reopen() }
        return held
    }

    /// Raises the epoch of a stream that stays here, or takes back a close (a move that was cancelled).
    func reclaim(
        _ log: SharedLog, _ assignment: PartitionAssignment, reopens: Bool, _ parts: EngineParts
    ) async throws(LogError) {
        let writer = writer
        try await metadata.update(SharedKey.stream(log.stream), as: StreamRecord.self, alsoRequiring: [parts.ownership]) {
            current throws(LogError) in
            guard var next = current, next.owner == writer, next.epoch <= assignment.leaderEpoch else {
                throw LogError(.fencedLeaderEpoch, "partition \(log.partition) was opened by another owner; refresh the metadata")
            }
            next.epoch = assignment.leaderEpoch
            if reopens, !next.isOpen {
                next.isOpen = true
                // The log still has its tail in memory and brings it as owner.
                if next.tails.last?.writer == writer { next.tails.removeLast() }
            }
            return next
        }
    }

    /// Claims the stream for this broker at the assignment's epoch once its former owner has closed it, and opens the log where the
    /// stream ends.
    private func open(
        _ assignment: PartitionAssignment, _ configuration: LogConfiguration, _ parts: EngineParts
    ) async throws(LogError) -> SharedLog {
        let stream = StreamID(assignment.partition)
        let deadline = environment.clock.now() + settings.openTimeout
        var delay: Int64 = 2
        while true {
            if let record = try await claim(stream, assignment, parts) {
                let ranges = try await metadata.ranges(of: stream)
                let log = SharedLog(
                    partition: assignment.partition, state: SharedLogState(assignment, configuration, record, ranges), shared: parts
                )
                if record.tailsEnd > record.committedEnd { watchTail(of: log, parts) }
                return log
            }
            _ = try running()
            guard environment.clock.now() < deadline else {
                throw LogError(
                    .notAvailable,
                    "partition \(assignment.partition) is still open at its former owner, or being recovered; it is opened later")
            }
            try? await environment.clock.sleep(for: .milliseconds(delay))
            delay = min(2 * delay, 50)
        }
    }

    /// - Returns: nil while somebody else has it open.
    private func claim(_ stream: StreamID, _ assignment: PartitionAssignment, _ parts: EngineParts) async throws(LogError)
        -> StreamRecord?
    {
        let writer = writer
        let record = try await metadata.update(SharedKey.stream(stream), as: StreamRecord.self, alsoRequiring: [parts.ownership]) {
            current throws(LogError) in
            guard var next = current else { return StreamRecord(new: assignment, owner: writer) }
            guard next.epoch <= assignment.leaderEpoch else {
                throw LogError(
                    .fencedLeaderEpoch,
                    "partition \(assignment.partition) has been opened at leader epoch \(next.epoch), this broker was to at \(assignment.leaderEpoch)"
                )
            }
            // Open and ours without a log here: an answer to this very claim was lost. Nothing was appended since.
            guard !next.isOpen || next.owner == writer else { return nil }
            // The same broker's next run may keep the leadership it had: nobody else was told of this epoch.
            guard next.owner.broker == writer.broker || next.epoch < assignment.leaderEpoch else {
                throw LogError(
                    .fencedLeaderEpoch,
                    "partition \(assignment.partition) was closed at leader epoch \(next.epoch); a new owner needs a higher one")
            }
            next.epoch = assignment.leaderEpoch
            next.owner = writer
            next.isOpen = true
            var epochs = EpochHistory(next.epochs)
            epochs.append(epoch: assignment.leaderEpoch, startOffset: next.closedEnd)
            next.epochs = epochs.entries
            return next
        }
        guard let record, record.isOpen, record.owner == writer, record.epoch == assignment.leaderEpoch else { return nil }
        return record
    }

    /// Follows the former owners' uploads until the log's whole past is in objects.
    private func watchTail(of log: SharedLog, _ parts: EngineParts) {
        Task { [weak self] in
            var delay: Int64 = 2
            while let self, log.waitsForTail, !log.hasFailed, !self.state.withLock({ $0.isStopped }) {
                try? await self.environment.clock.sleep(for: .milliseconds(delay))
                delay = min(2 * delay, 50)
                // Not answered: asked again.
                try? await log.catchUp()
            }
            log.tellProgress()
            parts.uploader.kick()
        }
    }
}

extension StreamRecord {
    /// A stream that nobody has had.
    init(new assignment: PartitionAssignment, owner: StreamWriter) {
        self.init(
            topic: assignment.partition.topic, epoch: assignment.leaderEpoch, owner: owner, isOpen: true, startOffset: .zero,
            committedEnd: .zero,
            closedEnd: .zero, tails: [], stateEnd: .zero, producers: [],
            epochs: [EpochStart(epoch: assignment.leaderEpoch, startOffset: .zero)])
    }
}

extension SharedLogState {
    /// A log just claimed: it begins where the stream was closed.
    init(_ assignment: PartitionAssignment, _ configuration: LogConfiguration, _ record: StreamRecord, _ ranges: [RangeRecord]) {
        // Ranges read after the record may be newer than it: a former owner's upload went through in between.
        let committedEnd = max(record.committedEnd, ranges.last?.end ?? .zero)
        self.init(
            assignment: assignment, configuration: configuration, logStart: record.startOffset, committedEnd: committedEnd,
            tailsEnd: record.tailsEnd, tailBytes: record.tails.reduce(0) { $0 + $1.bytes }, highWatermark: record.closedEnd,
            logEnd: record.closedEnd, producers: ProducerStates(entries: record.producers),
            syncedProducers: ProducerStates(entries: record.producers), epochs: EpochHistory(record.epochs),
            ranges: ranges,
            rangeBytes: ranges.reduce(0) { $0 + $1.recordBytes })
        epochs.truncateFromStart(record.startOffset)
    }
}

extension SharedLog {
    var hasFailed: Bool {
        state.withLock { state in
            if case .failed = state.role { true } else { false }
        }
    }
    var waitsForTail: Bool { state.withLock { $0.waitsForTail } }
    var committedEnd: Offset { state.withLock { $0.committedEnd } }
    var hasUncommitted: Bool { state.withLock { $0.hasUncommitted } }
    var uncommittedBytes: Int64 { state.withLock { max(0, $0.uncommittedBytes) } }

    /// What the stream's record says of a closed log.
    func closing() -> (offset: Offset, bytes: Int64, producers: [ProducerStates.Entry], epochs: [EpochStart]) {
        state.withLock { ($0.logEnd, max(0, $0.uncommittedBytes), $0.producers.entries, $0.epochs.entries) }
    }
}
