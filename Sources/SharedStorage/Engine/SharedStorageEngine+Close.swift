//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
public import LogEngine
public import LogModel
internal import Metering
internal import RuntimeEnvironment
internal import Synchronization

extension SharedStorageEngine {
    /// The move: closes the stream at its logical end, lets the registry name the new leader, and uploads the tail behind. Or uploads
    /// first, most of it while the stream still serves, the rest once it is closed to appends.
    func handOver(
        _ log: SharedLog, _ assignment: PartitionAssignment, to target: BrokerID, _ parts: EngineParts
    ) async throws(LogError) {
        if settings.closesByUploading {
            // A store that does not take it now takes it behind, as with the other strategy.
            try? await parts.uploader.uploadAll()
            log.close()
            try? await parts.uploader.uploadAll()
        }
        try await close(log, parts)
        let deadline = environment.clock.now() + settings.openTimeout
        var delay: Int64 = 5
        while true {
            do throws(LogError) {
                try await registry.completeHandover(assignment, from: writer.broker, to: target)
                break
            } catch {
                if error.code == .fencedLeaderEpoch {
                    // The move was cancelled, or its target is gone: the partition stays here until the metadata say otherwise. Or until
                    // the next run, where this one ends: nobody would close it again.
                    _ = try running()
                    try await reclaim(log, assignment, reopens: true, parts)
                    log.reopen()
                    throw error
                }
                guard environment.clock.now() < deadline else { throw error }
                try? await environment.clock.sleep(for: .milliseconds(delay))
                delay = min(2 * delay, 500)
            }
        }
        drain(log, parts, countsAsMove: true)
    }

    /// Closes the stream at the log's end: what is acknowledged is synced, what is not in objects is announced as a tail. Repeatable.
    func close(_ log: SharedLog, _ parts: EngineParts) async throws(LogError) {
        log.close()
        parts.wal.expedite()
        try await log.flush()
        let writer = writer
        let end = log.closing()
        try await metadata.update(SharedKey.stream(log.stream), as: StreamRecord.self, alsoRequiring: [parts.ownership]) {
            current throws(LogError) in
            guard var next = current, next.owner == writer, next.isOpen else { return nil }
            next.isOpen = false
            next.closedEnd = end.offset
            if end.offset > next.tailsEnd {
                next.tails.append(StreamTail(writer: writer, start: next.tailsEnd, end: end.offset, bytes: end.bytes))
            }
            next.stateEnd = end.offset
            next.producers = end.producers
            next.epochs = end.epochs
            return next
        }
    }

    /// Uploads what is left of a closed log, then lets go of it.
    func drain(_ log: SharedLog, _ parts: EngineParts, countsAsMove: Bool) {
        let bytes = log.uncommittedBytes
        if countsAsMove { parts.meters.reassignmentBytesOut.add(bytes) }
        Task {
            while log.hasUncommitted, parts.wal.failure == nil {
                try? await parts.uploader.uploadAll()
                if log.hasUncommitted { try? await environment.clock.sleep(for: .milliseconds(20)) }
            }
            if parts.wal.failure == nil { log.abandon() }
        }
    }

    public func delete(_ partition: PartitionID, ownsSharedData: Bool) async throws(LogError) {
        let parts = try running()
        let stream = StreamID(partition)
        await partitionGates.enter(stream)
        defer { partitionGates.leave(stream) }
        let held = state.withLock { state in
            state.applied[stream] = nil
            // An assignment that is late must not make the stream anew.
            state.deleted.insert(stream)
            return state.logs.removeValue(forKey: stream)
        }
        if let held {
            held.uploadObsolete()
            parts.uploader.kick()
        }
        guard ownsSharedData else { return }
        // Closed first, and without tails: no upload or compaction under way adds a range that would be left behind.
        let closed = try await metadata.update(SharedKey.stream(stream), as: StreamRecord.self, alsoRequiring: [parts.ownership]) {
            current throws(LogError) in
            guard var next = current else { return nil }
            next.isOpen = false
            next.tails = []
            return next
        }
        guard let closed else { return }
        while true {
            let ranges = try await metadata.ranges(of: stream)
            let some = Array(ranges.prefix(200))
            let isLast = some.count == ranges.count
            let done = try await metadata.replaceRanges(of: stream, some, with: nil, requiring: [parts.ownership]) {
                record throws(LogError) in
                guard !record.isOpen, record.tails.isEmpty, record.committedEnd == closed.committedEnd else {
                    throw LogError(.notAvailable, "partition \(partition) was opened while it is being deleted; it is tried again")
                }
                return isLast ? nil : record
            }
            if done && isLast { return }
            guard try await metadata.stream(stream) != nil else { return }
        }
    }
}
