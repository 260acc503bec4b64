//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import LogEngine
public import LogModel
internal import LogSegments
internal import Metering
internal import RuntimeEnvironment
internal import Synchronization

extension ReplicatedPartition {
    public func read(
        from offset: Offset, maxBytes: Int, minOneBatch: Bool, bound: ReadBound, reader: Reader, currentLeaderEpoch: LeaderEpoch?
    ) async throws(LogError) -> ReadResult {
        let (admitted, isThrottled) = state.withLock { state -> (Result<LogOffsets, LogError>, Bool) in
            do throws(LogError) {
                let offsets = try admit(reader, bound, currentLeaderEpoch, &state)
                guard case .replica(let broker, _, _, _) = reader else { return (.success(offsets), false) }
                return (.success(offsets), self.isThrottled(broker, state))
            } catch { return (.failure(error), false) }
        }
        let offsets = try admitted.get()
        if case .replica(let broker, let brokerEpoch, let lastFetchedEpoch, let logStart) = reader {
            if let diverging = try divergence(of: lastFetchedEpoch, at: offset, offsets) {
                return ReadResult(records: LogSlices(), offsets: offsets, divergingEpoch: diverging)
            }
            try demand(offset, within: offsets)
            let records =
                isThrottled && isLeaderThrottleUsedUp
                ? LogSlices() : try await slices(from: offset, to: offsets.logEnd, maxBytes, minOneBatch)
            noteFetch(
                by: broker, brokerEpoch, from: offset, logStart: logStart, leaderEnd: offsets.logEnd, bytes: records.sizeInBytes)
            return ReadResult(records: records, offsets: self.offsets)
        }
        try demand(offset, within: offsets)
        let end =
            switch bound {
            case .highWatermark: offsets.highWatermark
            case .lastStableOffset: offsets.lastStable
            case .logEnd: offsets.logEnd
            }
        let records = try await slices(from: offset, to: end, maxBytes, minOneBatch)
        guard bound == .lastStableOffset, !records.isEmpty else { return ReadResult(records: records, offsets: offsets) }
        // The read may have ended before the bound; a transaction too many does no harm to a reader.
        let aborted = try await onReader { [log] () throws(SegmentError) in
            try log.abortedTransactions(overlapping: offset..<end).map {
                AbortedTransaction(producerID: $0.producerID, firstOffset: $0.firstOffset)
            }
        }
        return ReadResult(records: records, offsets: offsets, abortedTransactions: aborted)
    }

    /// Whether the reader may read here now.
    private func admit(
        _ reader: Reader, _ bound: ReadBound, _ epoch: LeaderEpoch?, _ state: inout State
    ) throws(LogError) -> LogOffsets {
        if let epoch, epoch != state.assignment.leaderEpoch { throw fence(epoch, current: state.assignment.leaderEpoch) }
        switch state.role {
        case .idle: throw state.failure ?? .notLeader(partition)
        case .follower:
            // The log's own tools look at any replica.
            guard reader == .consumer, bound == .logEnd else { throw .notLeader(partition) }
        case .leader(let leader):
            if case .replica(let broker, _, _, _) = reader, !leader.isReplica(broker) {
                throw LogError(
                    .unknownLeaderEpoch, "\(partition): broker \(broker) is no replica as far as this leader knows; try again")
            }
        }
        return offsets(&state)
    }

    /// Where a follower's log leaves this one; nil if it does not below `offset` (KIP-595's rule in Fetch v12).
    private func divergence(
        of lastFetchedEpoch: LeaderEpoch, at offset: Offset, _ offsets: LogOffsets
    ) throws(LogError) -> EpochEndOffset? {
        guard lastFetchedEpoch > .none else { return nil }
        guard let end = log.epochs.endOffset(for: lastFetchedEpoch, logEnd: offsets.logEnd) else {
            throw LogError(
                .offsetOutOfRange, "\(partition): epoch \(lastFetchedEpoch) before offset \(offset) is not known to the leader")
        }
        guard end.endOffset < offset || end.epoch < lastFetchedEpoch else { return nil }
        return EpochEndOffset(epoch: end.epoch, endOffset: end.endOffset)
    }

    private func demand(_ offset: Offset, within offsets: LogOffsets) throws(LogError) {
        guard offset >= offsets.logStart, offset <= offsets.logEnd else {
            throw LogError(
                .offsetOutOfRange, "\(partition): offset \(offset) lies outside \(offsets.logStart)...\(offsets.logEnd)")
        }
        guard offset >= offsets.localStart else {
            throw LogError(
                .offsetMovedToTier, "\(partition): offset \(offset) lies below the local start \(offsets.localStart), in the tier")
        }
    }

    private func slices(from offset: Offset, to end: Offset, _ maxBytes: Int, _ minOneBatch: Bool) async throws(LogError)
        -> LogSlices
    {
        let log = self.log
        do throws(LogError) {
            do throws(SegmentError) {
                // The tail is found by what memory holds: no hop to another thread.
                if let records = try log.read(from: offset, to: end, maxBytes: maxBytes, minOneBatch: minOneBatch, mayRead: false) {
                    return records
                }
            } catch { throw LogError(error, partition) }
            return try await onReader { () throws(SegmentError) in
                try log.read(from: offset, to: end, maxBytes: maxBytes, minOneBatch: minOneBatch, mayRead: true) ?? LogSlices()
            }
        } catch {
            // The files may have gone with a move to another directory.
            guard self.log !== log else { throw error }
            return try await slices(from: offset, to: end, maxBytes, minOneBatch)
        }
    }

    /// A follower holds everything below `offset`: the high watermark may pass, and the follower may join the in-sync set.
    private func noteFetch(
        by broker: BrokerID, _ epoch: BrokerEpoch, from offset: Offset, logStart: Offset?, leaderEnd: Offset, bytes: Int
    ) {
        let now = context.environment.clock.now()
        var completions = Completions()
        let (advanced, isAdding, isThrottled) = state.withLock { state -> (Bool, Bool, Bool) in
            guard case .leader(var leader) = state.role else { return (false, false, false) }
            let isThrottled = bytes > 0 && self.isThrottled(broker, state)
            state.role = .idle
            let hasRaisedLogStart = leader.followerFetched(
                broker, from: offset, logStart: logStart, leaderEnd: leaderEnd, brokerEpoch: epoch, at: now)
            state.role = .leader(leader)
            let before = state.highWatermark
            advanceHighWatermark(&state, leaderEnd: log.logEnd, &completions)
            let isAdding = state.assignment.addingReplicas.contains(broker)
            if isAdding {
                let logBytes = log.sizeInBytes
                state.copies[broker, default: CopyMeter(logBytes: logBytes, at: now)].note(
                    copied: bytes, logBytes: logBytes, at: now)
            }
            return (state.highWatermark > before || hasRaisedLogStart, isAdding, isThrottled)
        }
        if isThrottled { context.settings.throttles.chargeLeader(bytes, at: now) }
        if isAdding { context.meters.reassignmentBytesOut.add(Int64(bytes)) }
        completions.run()
        if advanced { tellProgress() }
        proposeMembership(at: now, mayShrink: false)
    }
}
