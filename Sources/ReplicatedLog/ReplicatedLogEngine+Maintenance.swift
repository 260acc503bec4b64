//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogEngine
internal import LogModel
internal import LogSegments
internal import Logging
internal import RuntimeEnvironment
internal import Synchronization

/// What happens from time to time.
extension ReplicatedLogEngine {
    /// Runs until cancelled.
    func maintain() async {
        let settings = context.settings
        let clock = context.environment.clock
        let membershipInterval = settings.replicaLagTimeMax / 2
        let start = clock.now()
        var membershipAt = start + membershipInterval
        var highWatermarkAt = start + settings.highWatermarkCheckpointInterval
        var offsetsAt = start + settings.offsetCheckpointInterval
        var retentionAt = start + settings.retentionCheckInterval
        var producersAt = start + settings.producerIDExpirationCheckInterval
        var unlinkAt = start + Self.unlinkInterval
        var letGoAt = start + Self.letGoInterval
        while !Task.isCancelled {
            let next = min(membershipAt, highWatermarkAt, offsetsAt, retentionAt, producersAt, unlinkAt, letGoAt)
            do { try await clock.sleep(until: next) } catch { return }
            let now = clock.now()
            if now >= membershipAt {
                membershipAt = now + membershipInterval
                for partition in context.registry.applied { partition.proposeMembership(at: now, mayShrink: true) }
            }
            if now >= highWatermarkAt {
                highWatermarkAt = now + settings.highWatermarkCheckpointInterval
                // Not on the writer: a sync there would hold up appends.
                await onEachVolume(\.synchronizer) { (volume) throws(SegmentError) in
                    try self.context.registry.storeHighWatermarks(volume)
                }
            }
            if now >= offsetsAt {
                offsetsAt = now + settings.offsetCheckpointInterval
                await onEachVolume(\.synchronizer) { (volume) throws(SegmentError) in
                    try self.context.registry.storeRecoveryPoints(volume)
                    try self.context.registry.storeLogStarts(volume)
                }
            }
            if now >= retentionAt {
                retentionAt = now + settings.retentionCheckInterval
                await onEachVolume(\.writer) { (volume) throws(SegmentError) in self.applyRetention(on: volume) }
                await onEachVolume(\.synchronizer) { (volume) throws(SegmentError) in
                    try self.context.registry.storeLogStarts(volume)
                }
            }
            if now >= producersAt {
                producersAt = now + settings.producerIDExpirationCheckInterval
                let oldest = Timestamp(clock.wallMilliseconds() - settings.producerIDExpiration.inMilliseconds)
                for partition in context.registry.all { partition.forgetProducers(before: oldest) }
            }
            if now >= letGoAt {
                letGoAt = now + Self.letGoInterval
                for partition in context.registry.all { partition.log.letGoOfUnused() }
            }
            if now >= unlinkAt {
                unlinkAt = now + Self.unlinkInterval
                for partition in context.registry.applied { partition.flush(at: now) }
                await onEachVolume(\.sweeper) { (volume) throws(SegmentError) in try self.unlink(on: volume, at: now) }
            }
        }
    }

    /// How much later than asked a deleted file may vanish.
    private static var unlinkInterval: Duration { .milliseconds(500) }

    /// Sealed segments that nobody read for this long give back their open files and indexes.
    private static var letGoInterval: Duration { .seconds(15) }

    private func onEachVolume(
        _ worker: KeyPath<LogVolume, any Worker>, _ body: @escaping @Sendable (LogVolume) throws(SegmentError) -> Void
    ) async {
        for volume in volumes where volume.failure == nil {
            do { try await volume[keyPath: worker].run { () throws(SegmentError) in try body(volume) } } catch {
                context.logger.error(
                    "log directory not maintained", metadata: ["directory": "\(volume.directory.root)", "error": "\(error)"])
                context.failed(volume, error)
            }
        }
    }

    /// Removes segments that the topics' settings no longer keep. On the volume's writer; log starts are stored by the caller, elsewhere.
    func applyRetention(on volume: LogVolume) {
        for partition in context.registry.applied where partition.volume === volume {
            do throws(SegmentError) { try partition.applyRetention() } catch {
                context.logger.error(
                    "retention failed", metadata: ["partition": "\(partition.partition)", "error": "\(error)"])
                context.failed(volume, error)
            }
        }
    }

    /// Unlinks what was deleted and whose delay is over; all of it with `now` nil. On the volume's sweeper.
    func unlink(on volume: LogVolume, at now: MonotonicInstant?) throws(SegmentError) {
        for partition in context.registry.all where partition.volume === volume { try partition.log.unlinkRemoved(at: now) }
        try volume.removeRetired(at: now)
    }
}

extension ReplicatedPartition {
    func applyRetention() throws(SegmentError) {
        let (configuration, highWatermark, isManagedAbove) = state.withLock {
            ($0.configuration, $0.highWatermark, $0.retentionIsManagedAbove)
        }
        guard !isManagedAbove else { return }
        let clock = context.environment.clock
        let wallClock = Timestamp(clock.wallMilliseconds())
        // A log of old records whose active segment never fills is rolled, as Kafka does, so that it can go.
        if log.logEnd == highWatermark,
            try log.activeIsBeyond(time: configuration.retentionTime, wallClock: wallClock)
        {
            try log.roll()
        }
        let freed = try log.applyRetention(
            time: configuration.retentionTime, bytes: configuration.retentionBytes, below: highWatermark, wallClock: wallClock,
            at: clock.now())
        if freed > 0 { tellProgress() }
    }

    /// Forgets producers whose last record is older than that and who have no open transaction. Followers and leaders each by their clocks, as
    /// in Kafka.
    func forgetProducers(before time: Timestamp) {
        log.forgetProducers(before: time)
        state.withLock { $0.producers.removeExpired(before: time) }
    }

    /// Has what has waited for as long as `flush.ms` says synced behind the writer's back.
    func flush(at now: MonotonicInstant) {
        let isUnsynced = log.recoveryPoint < log.logEnd
        let isDue = state.withLock { state in
            guard let interval = state.configuration.flushInterval, isUnsynced else {
                state.unsyncedSince = nil
                return false
            }
            guard let since = state.unsyncedSince else {
                state.unsyncedSince = now
                return interval == .zero
            }
            return since + interval <= now
        }
        if isDue { scheduleSync(ofAll: true) }
    }

    /// No appends, no reads from here on; nothing that was acknowledged is undone.
    func stop() {
        var completions = Completions()
        state.withLock { state in
            failAppends(.notLeader(partition), &state, &completions)
            state.role = .idle
        }
        completions.run()
        tellProgress()
    }
}

extension LogVolume {
    /// Files beside the partitions', and those of partitions taken away.
    func ownFootprint() throws(SegmentError) -> Footprint {
        var footprint = Footprint()
        do throws(DiskError) {
            for entry in try disk.list(directory.root) where !entry.isDirectory {
                if let allocated = try? ReplicatedPartition.allocatedBytes(disk, directory.path(entry.name)) {
                    footprint.add(.metadata, physicalBytes: allocated, count: Int64(disk.copies))
                }
            }
        } catch { throw .disk(error) }
        for path in retiredPaths {
            // Being removed just now is as good as gone.
            guard let entries = try? disk.list(path) else { continue }
            for entry in entries where !entry.isDirectory {
                guard let allocated = try? ReplicatedPartition.allocatedBytes(disk, "\(path)/\(entry.name)") else { continue }
                let recordBytes = entry.name.hasSuffix(".log") ? entry.size * Int64(disk.copies) : 0
                footprint.add(.garbage, physicalBytes: allocated, recordBytes: recordBytes, count: Int64(disk.copies))
            }
        }
        return footprint
    }
}
