//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import LogEngine
internal import LogModel
internal import LogSegments
internal import Metering
internal import RuntimeEnvironment
internal import Synchronization
internal import Logging

extension TieredLog {
    /// Copies up, oldest first, the sealed segments below the last stable offset that the tier does not cover.
    func copySealedSegments() async throws(LogError) {
        let epoch = assignment.leaderEpoch
        let offsets = tail.offsets
        let bound = min(offsets.highWatermark, offsets.lastStable)
        let (view, history, logStart) = (catalog.view, history, offsets.logStart)
        let pending = await sealedSegments(below: offsets.logEnd).filter { segment in
            let start = max(segment.baseOffset, logStart)
            return start < segment.endOffset && !view.covers(start..<segment.endOffset, in: history)
        }
        noteCopyLag(pending[...])
        for (index, segment) in pending.enumerated() {
            guard segment.endOffset <= bound else {
                // An open transaction below it: the next round looks again.
                if offsets.highWatermark < segment.endOffset { state.withLock { $0.awaitedHighWatermark = segment.endOffset } }
                return
            }
            // Deleted while those before it went up.
            guard tail.offsets.logStart < segment.endOffset else { continue }
            guard let claim = claim(at: epoch) else { return }
            await parts.copySlots.enter()
            defer { parts.copySlots.leave() }
            guard !Task.isCancelled, self.claim(at: epoch) != nil else { return }
            if let delay = parts.copyGate.admit(segment.sizeInBytes) { return kick(after: delay) }
            parts.meters.remoteCopy.requests.add()
            do throws(LogError) {
                try await parts.uploader.upload(
                    segment, of: partition, history: source.epochHistory, leaderEpoch: epoch, claim: claim, catalog: catalog,
                    attempts: parts.attempts, worker: parts.worker)
            } catch {
                parts.meters.remoteCopy.errors.add()
                throw error
            }
            parts.meters.remoteCopy.bytes.add(segment.sizeInBytes)
            noteCopyLag(pending[(index + 1)...])
            parts.logger.debug(
                "Segment copied to the tier",
                metadata: ["partition": "\(partition)", "offset": "\(segment.baseOffset)", "bytes": "\(segment.sizeInBytes)"])
            // Not at the end: a volume that is short of space gets it back segment by segment.
            if hasLocalRetention { try await applyLocalRetention() }
        }
    }

    private func noteCopyLag(_ segments: ArraySlice<SealedSegment>) {
        let bytes = segments.reduce(0) { $0 + $1.sizeInBytes }
        state.withLock { $0.copyLag = (bytes, Int64(segments.count)) }
    }

    /// The broker's copy quota is used up: the other steps of the round go on, and a later one copies.
    private func kick(after delay: Duration) {
        Task { [weak self, clock = parts.environment.clock] in
            try? await clock.sleep(for: delay)
            self?.kick()
        }
    }

    /// Off the cooperative threads: the tail may look at its files for it.
    func sealedSegments(below bound: Offset) async -> [SealedSegment] {
        await parts.worker.run { [source] in source.sealedSegments(below: bound) }
    }

    private var hasLocalRetention: Bool {
        state.withLock { $0.configuration.localRetentionBytes != nil || $0.configuration.localRetentionTime != nil }
    }

    /// nil once this broker no longer leads at `epoch`, or is closed.
    func claim(at epoch: LeaderEpoch) -> Transaction.Condition? {
        guard isLeader, assignment.leaderEpoch == epoch else { return nil }
        return state.withLock { state in
            guard !state.isClosed, let claim = state.claim, claim.epoch == epoch else { return nil }
            return claim.condition
        }
    }
}
