//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogEngine
internal import LogModel
internal import Logging
internal import Synchronization
internal import LogSegments

extension TieredLog {
    /// Asks for a round soon; returns at once.
    func kick() {
        state.withLock { state in
            guard !state.isClosed else { return }
            guard state.task == nil else {
                state.again = true
                return
            }
            state.task = Task { await self.runRounds() }
        }
    }

    private func runRounds() async {
        while true {
            do throws(LogError) {
                try await round()
            } catch {
                report(error)
            }
            let goesOn = state.withLock { state in
                defer { state.again = false }
                guard state.again, !state.isClosed else {
                    state.task = nil
                    return false
                }
                return true
            }
            guard goesOn else { return }
        }
    }

    private func report(_ error: LogError) {
        let metadata: Logger.Metadata = ["partition": "\(partition)", "error": "\(error)"]
        if error.code == .corruptLog {
            parts.logger.error("Tier cannot take a segment", metadata: metadata)
        } else {
            parts.logger.warning("Tier is behind, tried again later", metadata: metadata)
        }
    }

    /// Does once all that is due: on the leader copies, total retention, deletion; on every replica local retention. What fails does not keep
    /// the rest from being done.
    ///
    /// - Throws: The first failure.
    func round() async throws(LogError) {
        await rounds.enter()
        defer { rounds.leave() }
        guard !state.withLock({ $0.isClosed }) else { return }
        let size = tail.sizeInBytes
        state.withLock { $0.sizeAtRound = size }
        if !catalog.isLoaded { try await catalog.load(partition, from: parts.metadata) }
        var failure: LogError?
        func attempt(_ step: () async throws(LogError) -> Void) async {
            do throws(LogError) {
                try await step()
            } catch {
                // A later leader has been here: its claim must be seen anew.
                if error.code == .fencedLeaderEpoch { state.withLock { $0.claim = nil } }
                if failure == nil { failure = error }
            }
        }
        if isLeader {
            await attempt { () async throws(LogError) in try await lead() }
            await attempt { () async throws(LogError) in try await copySealedSegments() }
            await attempt { () async throws(LogError) in try await applyRetention() }
            await attempt { () async throws(LogError) in try await collectGarbage() }
        }
        await attempt { () async throws(LogError) in try await applyLocalRetention() }
        if let failure { throw failure }
    }

    /// Takes over the partition's tier, if that has not been done for this leader epoch.
    private func lead() async throws(LogError) {
        let epoch = assignment.leaderEpoch
        if state.withLock({ $0.claim?.epoch }) != epoch {
            let condition = try await parts.metadata.claim(partition, by: parts.broker, at: epoch)
            // Nothing that a former leader commits can follow this.
            try await catalog.load(partition, from: parts.metadata)
            state.withLock { $0.claim = (epoch, condition) }
        }
        try await alignLogStart()
    }

    /// A follower that becomes leader may not yet know that the first segments were deleted: the log starts where the tier does.
    func alignLogStart() async throws(LogError) {
        let offsets = tail.offsets
        guard catalog.isLoaded, offsets.logStart < offsets.localStart else { return }
        let (view, history) = (catalog.view, history)
        guard view.segment(holding: offsets.logStart, in: history) == nil else { return }
        let lowest = view.pieces(from: offsets.logStart, in: history).first?.offsets.lowerBound
        try await raiseLogStart(to: min(lowest ?? offsets.localStart, offsets.localStart))
    }

    func raiseLogStart(to offset: Offset) async throws(LogError) {
        do {
            try await source.raiseLogStart(to: offset)
        } catch {
            throw Self.failure(error, "\(partition): the log start cannot be raised to \(offset)")
        }
    }

    static func failure(_ error: any Error, _ message: String) -> LogError {
        error as? LogError ?? LogError(.storageFailure, message, cause: error)
    }

    /// Ends the rounds, the one that runs as soon as its request to the store returns. The tail stays as it is.
    func stop() {
        let task = state.withLock { state in
            state.isClosed = true
            return state.task
        }
        tail.setProgressListener(nil)
        task?.cancel()
    }

    /// ``stop()``, and waits for the end of the round.
    func close() async {
        stop()
        await state.withLock { $0.task }?.value
        await rounds.enter()
        rounds.leave()
    }
}
