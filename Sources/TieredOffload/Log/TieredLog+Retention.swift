//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import LogEngine
internal import LogModel
internal import LogSegments
internal import Metering
internal import ObjectStore
internal import RuntimeEnvironment
internal import Synchronization

extension TieredLog {
    private var now: Timestamp { Timestamp(parts.environment.clock.wallMilliseconds()) }

    private static func isOlder(_ timestamp: Timestamp, than age: Duration, at now: Timestamp) -> Bool {
        // A segment whose records carry no time is not deleted by time.
        timestamp > .none && now.milliseconds(since: timestamp) > age.inMilliseconds
    }

    // MARK: The local tier

    /// Frees local segments that the tier covers and that the local retention no longer keeps, and those below the log start.
    func applyLocalRetention() async throws(LogError) {
        let configuration = configuration
        let offsets = tail.offsets
        let (view, history, now) = (catalog.view, history, now)
        var bytes = tail.sizeInBytes
        var bound: Offset?
        for segment in await sealedSegments(below: offsets.highWatermark) {
            if segment.endOffset > offsets.logStart {
                guard view.covers(max(segment.baseOffset, offsets.logStart)..<segment.endOffset, in: history) else { break }
                let isTooMuch = configuration.localRetentionBytes.map { bytes - segment.sizeInBytes >= $0 } ?? false
                let isTooOld =
                    configuration.localRetentionTime.map { Self.isOlder(segment.maxTimestamp, than: $0, at: now) } ?? false
                guard isTooMuch || isTooOld else { break }
                bytes -= segment.sizeInBytes
            }
            bound = segment.endOffset
        }
        guard let bound else { return }
        do {
            try await source.freeLocalSegments(below: bound)
        } catch {
            throw Self.failure(error, "\(partition): local segments below \(bound) cannot be freed")
        }
        let size = tail.sizeInBytes
        state.withLock { $0.sizeAtRound = size }
    }

    // MARK: Both tiers

    /// Raises the log start past the segments that `retention.ms` and `retention.bytes` no longer keep, counted over both tiers.
    ///
    /// Segments that are not yet in the tier stay: their upload comes first, as in Kafka.
    func applyRetention() async throws(LogError) {
        let configuration = configuration
        guard configuration.retentionTime != nil || configuration.retentionBytes != nil else { return }
        let offsets = tail.offsets
        let now = now
        var excess = configuration.retentionBytes.map { tail.sizeInBytes + tieredBytes(offsets) - $0 } ?? 0
        var start = offsets.logStart
        for piece in catalog.view.pieces(from: offsets.logStart, in: history) {
            // What lies between is on the volume alone, or nowhere any more.
            guard piece.offsets.lowerBound <= max(start, offsets.localStart) else { break }
            let bytes = piece.sizeInBytes
            let isTooMuch = excess >= bytes && configuration.retentionBytes != nil
            let isTooOld =
                configuration.retentionTime.map { Self.isOlder(piece.segment.maxTimestamp, than: $0, at: now) } ?? false
            guard isTooMuch || isTooOld, piece.offsets.upperBound <= offsets.highWatermark else { break }
            excess -= bytes
            start = piece.offsets.upperBound
        }
        guard start > offsets.logStart else { return }
        try await raiseLogStart(to: start)
    }

    // MARK: Objects nobody needs

    /// Removes the objects of segments below the log start, of those that an unclean election left beside the log, of deletions that were
    /// interrupted, and of attempts that died.
    func collectGarbage() async throws(LogError) {
        let epoch = assignment.leaderEpoch
        let logStart = tail.offsets.logStart
        let history = history
        var failure: LogError?
        for entry in catalog.all where isGarbage(entry, logStart: logStart, history: history) {
            guard let claim = claim(at: epoch) else { return }
            do throws(LogError) {
                try await delete(entry, claim: claim)
            } catch {
                // One object that cannot be deleted does not keep the others.
                if error.code == .fencedLeaderEpoch { throw error }
                if failure == nil { failure = error }
            }
        }
        if let failure { throw failure }
    }

    private func isGarbage(_ entry: VersionedSegment, logStart: Offset, history: EpochHistory) -> Bool {
        switch entry.segment.state {
        case .deleteStarted: return true
        case .copyFinished:
            return entry.segment.endOffset <= logStart || SegmentView.isForeign(entry.segment, from: logStart, to: history)
        case .copyStarted:
            guard !parts.attempts.contains(entry.key) else { return false }
            let now = parts.environment.clock.now()
            if let since = parts.attempts.givenUp(entry.key) { return now - since >= parts.settings.orphanGrace }
            // An earlier run of this very broker is certainly over.
            if entry.segment.broker == parts.broker { return true }
            let since = state.withLock { state in
                let since = state.orphansSince[entry.key] ?? now
                state.orphansSince[entry.key] = since
                return since
            }
            return now - since >= parts.settings.orphanGrace
        }
    }

    /// DELETE_STARTED, the objects, then the record: a deletion that is cut off anywhere is found and repeated.
    private func delete(_ entry: VersionedSegment, claim: Transaction.Condition) async throws(LogError) {
        var (segment, revision) = (entry.segment, entry.revision)
        if segment.state != .deleteStarted {
            segment.state = .deleteStarted
            segment.eventTime = now
            let operations: [Transaction.Operation] = [.put(entry.key, TierMetadata.encode(segment))]
            guard let started = try await parts.metadata.commit([claim, .revision(entry.key, revision)], operations) else {
                return try await lost(entry)
            }
            catalog.note(entry.key, segment, revision: started)
            revision = started
        }
        await parts.reader.forget(segment)
        parts.meters.remoteDelete.requests.add()
        do throws(ObjectStoreError) {
            try await parts.store.delete(TierKey.all(segment))
            parts.meters.remoteDelete.bytes.add(segment.objectBytes)
        } catch {
            parts.meters.remoteDelete.errors.add()
            throw LogError(
                .notAvailable, "\(partition): the objects of segment \(segment.baseOffset) could not be deleted; it is tried again",
                cause: error)
        }
        guard let gone = try await parts.metadata.commit([claim, .revision(entry.key, revision)], [.delete(entry.key)]) else {
            return try await lost(entry)
        }
        catalog.note(entry.key, nil, revision: gone)
        _ = state.withLock { $0.orphansSince.removeValue(forKey: entry.key) }
        parts.attempts.forget(entry.key)
    }

    /// A condition did not hold: either the record was changed behind the catalog's back, or the claim is another's.
    private func lost(_ entry: VersionedSegment) async throws(LogError) {
        try await catalog.load(partition, from: parts.metadata)
        if let current = catalog.all.first(where: { $0.key == entry.key }), current.revision == entry.revision {
            throw SegmentUploader.fenced(partition)
        }
    }
}
