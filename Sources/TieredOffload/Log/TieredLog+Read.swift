//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import LogEngine
public import LogModel
internal import LogSegments
internal import Logging
internal import Metering
internal import NIOCore

extension TieredLog {
    public func read(
        from offset: Offset, maxBytes: Int, minOneBatch: Bool, bound: ReadBound, reader: Reader, currentLeaderEpoch: LeaderEpoch?
    ) async throws(LogError) -> ReadResult {
        // Local segments may be freed between the look at the offsets and the read: then the tier has them.
        while true {
            let local = tail.offsets
            if offset >= local.localStart || offset < local.logStart {
                do throws(LogError) {
                    var result = try await tail.read(
                        from: offset, maxBytes: maxBytes, minOneBatch: minOneBatch, bound: bound, reader: reader,
                        currentLeaderEpoch: currentLeaderEpoch)
                    // Freed meanwhile: the tail may have begun with what it still has, past the offset.
                    guard offset < local.logStart || offset >= tail.offsets.localStart else { continue }
                    result.offsets = withTiers(result.offsets)
                    return result
                } catch {
                    // Freed meanwhile, as above, whatever the tail then stumbled over.
                    let now = tail.offsets
                    guard offset >= local.localStart, offset < now.localStart, offset >= now.logStart else { throw error }
                    continue
                }
            }
            try demandLeadership(at: currentLeaderEpoch)
            if case .replica = reader {
                throw LogError(
                    .offsetMovedToTier,
                    "\(partition): offset \(offset) lies in the object store; the follower starts at \(local.localStart) from there"
                )
            }
            // KIP-956: answered without records, not refused. The reader asks again.
            guard parts.fetchGate.delay() == .zero else { return ReadResult(records: LogSlices([]), offsets: offsets) }
            let batches: RecordBatches
            parts.meters.remoteFetch.requests.add()
            do throws(LogError) {
                batches = try await readTier(from: offset, maxBytes: maxBytes, minOneBatch: minOneBatch)
            } catch {
                // Retention was faster.
                if try await wasDeleted(error) { continue }
                parts.meters.remoteFetch.errors.add()
                throw error
            }
            parts.meters.remoteFetch.bytes.add(Int64(batches.sizeInBytes))
            parts.fetchGate.note(Int64(batches.sizeInBytes))
            return ReadResult(records: LogSlices(batches.buffer), offsets: offsets)
        }
    }

    public func readsRemotely(from offset: Offset) -> Bool {
        let offsets = tail.offsets
        return offset >= offsets.logStart && offset < offsets.localStart
    }

    func demandLeadership(at epoch: LeaderEpoch?) throws(LogError) {
        let assignment = tail.assignment
        guard assignment.leader == parts.broker else {
            throw LogError(.notLeader, "\(partition) is not led by this broker; refresh the metadata")
        }
        if let epoch, epoch != assignment.leaderEpoch {
            throw LogError(
                epoch < assignment.leaderEpoch ? .fencedLeaderEpoch : .unknownLeaderEpoch,
                "\(partition) is at leader epoch \(assignment.leaderEpoch), not \(epoch)")
        }
    }

    /// Whole batches from the one that holds `offset`, all of one segment.
    private func readTier(from offset: Offset, maxBytes: Int, minOneBatch: Bool) async throws(LogError)
        -> RecordBatches
    {
        var failure: LogError?
        for segment in try await segments(holding: offset) {
            let end = SegmentView.end(of: segment, from: offset, in: history)
            do throws(LogError) {
                return try await parts.reader.read(
                    segment, from: offset, below: end, maxBytes: maxBytes, minOneBatch: minOneBatch
                ).batches
            } catch {
                // A second copy of these offsets, left by a change of leader, may be whole.
                guard error.code == .corruptLog || error.code == .storageFailure else { throw error }
                if failure == nil || error.code == .corruptLog { failure = error }
            }
        }
        throw failure
            ?? LogError(
                .offsetOutOfRange,
                "\(partition): no segment in the object store holds offset \(offset); the log starts at \(tail.offsets.logStart)")
    }

    /// Whether a read failed because the segment has been deleted since it was chosen. An object that is missing although the metadata still
    /// name it is a loss: told once.
    func wasDeleted(_ error: LogError) async throws(LogError) -> Bool {
        guard let missing = error.cause as? MissingObject else { return false }
        try await catalog.load(partition, from: parts.metadata)
        guard catalog.view.segments.contains(where: { missing.key.hasPrefix($0.objectKey + ".") }) else { return true }
        if parts.reader.noteMissing(missing.key) {
            parts.logger.error(
                "An object of the tier is missing; its records cannot be read",
                metadata: ["partition": "\(partition)", "object": "\(missing.key)"])
        }
        return false
    }

    /// The tier's segments that may serve `offset`, best first; asks the metadata store if the catalog has none.
    func segments(holding offset: Offset) async throws(LogError) -> [RemoteSegment] {
        let known = catalog.view.segments(holding: offset, in: history)
        if !known.isEmpty { return known }
        try await catalog.load(partition, from: parts.metadata)
        return catalog.view.segments(holding: offset, in: history)
    }
}
