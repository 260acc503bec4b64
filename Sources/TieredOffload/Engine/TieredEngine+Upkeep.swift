//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
public import LogEngine
internal import LogModel
internal import Logging
internal import ObjectStore
internal import RuntimeEnvironment
internal import Synchronization

extension TieredEngine {
    // MARK: In the background

    func kickAtIntervals() async {
        while !Task.isCancelled {
            do {
                try await parts.environment.clock.sleep(for: parts.settings.taskInterval)
            } catch { return }
            for log in heldLogs { log.kick() }
        }
    }

    /// Tells the logs what the metadata store says of their segments: followers learn from it what they may free.
    func followMetadata() async {
        while !Task.isCancelled {
            do {
                // No key begins so: only the revision is wanted.
                let revision = try await parts.metadata.store.list(prefix: TierKey.metadata + "/").revision
                let changes = parts.metadata.store.watchBatches(prefix: TierKey.metadata, after: revision)
                // What was loaded before that revision may lack changes up to it.
                for log in heldLogs {
                    try await log.catalog.load(log.partition, from: parts.metadata)
                    log.kick()
                }
                for try await batch in changes { distribute(batch) }
                // The store was closed.
                return
            } catch {
                if Task.isCancelled { return }
                parts.logger.warning("Tier metadata cannot be followed, tried again", metadata: ["error": "\(error)"])
                do {
                    try await parts.environment.clock.sleep(for: .seconds(1))
                } catch { return }
            }
        }
    }

    private func distribute(_ batch: [MetadataChange]) {
        var changes: [PartitionID: [MetadataChange]] = [:]
        for change in batch where !change.key.hasSuffix(TierKey.claimSuffix) {
            guard let (topicID, partition) = TierKey.partition(of: change.key) else { continue }
            changes[PartitionID(topicID: topicID, topic: "", partition: partition), default: []].append(change)
        }
        for (partition, changes) in changes {
            guard let log = state.withLock({ $0.logs[partition] }) else { continue }
            log.catalog.apply(changes)
            // The leader made the change itself.
            if !log.isLeader { log.kick() }
        }
    }

    // MARK: Asked for

    /// Changes how many bytes a second may go to the tier and come from it; nil for no limit. What waited for its turn looks again.
    public func setTransferLimits(copyBytesPerSecond: Int64?, fetchBytesPerSecond: Int64?) {
        parts.copyGate.set(bytesPerSecond: copyBytesPerSecond)
        parts.fetchGate.set(bytesPerSecond: fetchBytesPerSecond)
        for log in heldLogs { log.kick() }
    }

    /// Sealed segments of partitions led here that are not in the tier yet, as of each partition's last look (Kafka's RemoteCopyLag).
    public var copyLag: (bytes: Int64, segments: Int64) {
        heldLogs.filter(\.isLeader).reduce(into: (bytes: 0, segments: 0)) { sum, log in
            let lag = log.state.withLock { $0.copyLag }
            sum.bytes += lag.bytes
            sum.segments += lag.segments
        }
    }

    /// Everything sealed is in the tier, local and total retention are applied, and what is due is deleted, as far as this broker's roles go.
    /// A follower waits a while for its leader's uploads (``TieredSettings/settlePatience``). Active segments stay as they are.
    public func settle() async throws(LogError) {
        let failures = await withTaskGroup(of: LogError?.self) { group in
            for log in heldLogs {
                group.addTask { [settings = parts.settings] in
                    do throws(LogError) {
                        try await log.settle(patience: settings.settlePatience)
                        return nil
                    } catch { return error }
                }
            }
            return await group.reduce(into: [LogError]()) { failures, failure in if let failure { failures.append(failure) } }
        }
        // Last: what was freed above is taken off the volume by the tail.
        try await tail.settle()
        if let failure = failures.first { throw failure }
    }

    /// All that the engine's brokers together hold in the object store, whoever of them is asked: finished copies as `object` (their indexes and
    /// manifests are its part that is not records), unfinished and deleted ones as `garbage`.
    public func objectFootprint() async throws(LogError) -> Footprint {
        let copies = parts.store.copies.count
        func physical(_ bytes: Int64) -> Int64 { Int64((Double(bytes) * copies).rounded()) }
        var footprint = Footprint()
        var records: Int64 = 0
        var count: Int64 = 0
        var garbage: Int64 = 0
        for entry in try await parts.metadata.allSegments() {
            guard entry.segment.state != .copyFinished else {
                records += entry.segment.objectBytes
                count += 3
                continue
            }
            let found = try await physicalBytes(below: entry.segment.objectKey + ".")
            guard found.objects > 0 else { continue }
            garbage += found.bytes
            footprint.add(
                .garbage, physicalBytes: found.bytes, recordBytes: min(physical(entry.segment.sizeInBytes), found.bytes),
                count: found.objects)
        }
        let total = try await physicalBytes(below: TierKey.objects)
        footprint.add(.object, physicalBytes: max(0, total.bytes - garbage), recordBytes: physical(records), count: count)
        return footprint
    }

    private func physicalBytes(below prefix: String) async throws(LogError) -> (bytes: Int64, objects: Int64) {
        do throws(ObjectStoreError) {
            let counted = try await parts.store.physicalBytes(prefix: prefix)
            return (counted.bytes, counted.objects)
        } catch {
            throw LogError(.notAvailable, "the objects below \(prefix) cannot be counted now", cause: error)
        }
    }
}
