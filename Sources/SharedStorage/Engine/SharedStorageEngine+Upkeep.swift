//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
public import LogEngine
internal import LogModel
internal import Metering
internal import ObjectStore
internal import RuntimeEnvironment
internal import Synchronization

extension SharedStorageEngine {
    /// Retention, compaction and the deletion of garbage, as long as the engine runs.
    func maintain() {
        Task { [weak self, clock = environment.clock, interval = settings.maintenanceInterval] in
            var round = 0
            while true {
                try? await clock.sleep(for: interval)
                guard let self, let parts = try? self.running() else { return }
                round += 1
                // All objects are looked at now and then only: there may be very many.
                await self.maintain(Compactor(parts: parts), looksAtAllObjects: round % 10 == 0)
                // A recoverer whose run has ended leaves it to others.
                self.recoverLeft()
            }
        }
    }

    /// One round. One partition's trouble, or one object's, does not keep the others from it; it is tried again with the next.
    private func maintain(_ compactor: Compactor, looksAtAllObjects: Bool) async {
        var mustLeave: Set<ObjectID> = []
        if looksAtAllObjects {
            do throws(LogError) { mustLeave = try await compactor.mostlyDeadObjects() } catch {
                upkeep.failed(.compaction, "Objects that are mostly dead could not be looked for", error)
            }
        }
        let expired = Timestamp(environment.clock.wallMilliseconds() - settings.producerIDExpiration.inMilliseconds)
        for log in heldLogs where log.isLeading {
            log.forgetProducers(before: expired)
            do throws(LogError) { try await compactor.retain(log) } catch {
                upkeep.failed(.retention, "Retention of partition \(log.partition) failed", error)
            }
            do throws(LogError) { try await compactor.compact(log, goal: .bounded, mustLeave: mustLeave) } catch {
                upkeep.failed(.compaction, "Compaction of partition \(log.partition) failed", error)
            }
        }
        // What failed has been told.
        try? await compactor.collectGarbage(all: false)
    }

    /// Uploads everything, rewrites what shares stream-set objects, deletes what no stream needs, without waiting for any grace.
    ///
    /// Objects shared with partitions of other brokers go once those have settled too.
    public func settle() async throws(LogError) {
        let parts = try running()
        let deadline = environment.clock.now() + settings.openTimeout
        repeat {
            try await parts.uploader.uploadAll()
            if parts.dirty.all.isEmpty { break }
            try? await environment.clock.sleep(for: .milliseconds(10))
        } while environment.clock.now() < deadline
        let compactor = Compactor(parts: parts)
        for log in heldLogs where log.isLeading && !log.waitsForTail {
            try await compactor.retain(log)
            try await compactor.compact(log, goal: .complete)
        }
        try await compactor.collectGarbage(all: true)
        try await parts.wal.releaseSettled()
    }

    /// Uploads everything appended before the call, and does none of the rest that ``settle()`` does.
    public func uploadAll() async throws(LogError) { try await running().uploader.uploadAll() }

    /// Bytes of this broker's own WAL, on its volume or in the object store. What else lies in the object store belongs to no single
    /// broker: ask one of them for ``objectFootprint()`` and add it once.
    public func footprint() async throws(LogError) -> Footprint {
        guard let parts = state.withLock({ $0.parts }) else { return Footprint() }
        return try await parts.wal.footprint()
    }

    /// All that the engine's brokers together hold in the object store, whoever of them is asked: what streams need as `object`, what is
    /// dead in objects still needed, destroyed and not yet deleted, or put and never committed as `garbage`.
    public func objectFootprint() async throws(LogError) -> Footprint {
        let copies = store.copies.count
        func physical(_ bytes: Int64) -> Int64 { Int64((Double(bytes) * copies).rounded()) }
        let total = try await physicalBytes(below: ObjectPutter.prefix)
        var footprint = Footprint()
        var garbage: Int64 = 0
        var live: Int64 = 0
        let objects = try await metadata.list(SharedKey.objects, as: ObjectRecord.self).map(\.record.value)
        for object in objects {
            live += object.recordBytes - object.deadBytes
            garbage += physical(object.deadBytes)
            if object.deadBytes > 0 {
                footprint.add(
                    .garbage, physicalBytes: physical(object.deadBytes), recordBytes: physical(object.deadBytes), count: 0)
            }
        }
        var dead = try await metadata.list(SharedKey.destroyed, as: DestroyedObject.self).map {
            ($0.record.value.key, $0.record.value.recordBytes)
        }
        dead += try await metadata.list(SharedKey.prepared, as: PreparedObject.self).map {
            ($0.record.value.key, $0.record.value.recordBytes)
        }
        for (key, recordBytes) in dead {
            let bytes = try await physicalBytes(below: key)
            guard bytes.objects > 0 else { continue }
            footprint.add(.garbage, physicalBytes: bytes.bytes, recordBytes: physical(recordBytes), count: bytes.objects)
            garbage += bytes.bytes
        }
        footprint.add(
            .object, physicalBytes: max(0, total.bytes - garbage), recordBytes: physical(live), count: Int64(objects.count))
        return footprint
    }

    private func physicalBytes(below prefix: String) async throws(LogError) -> (bytes: Int64, objects: Int64) {
        do throws(ObjectStoreError) {
            let counted = try await store.physicalBytes(prefix: prefix)
            return (counted.bytes, counted.objects)
        } catch {
            throw LogError(.notAvailable, "the objects in \(store.url) cannot be counted now", cause: error)
        }
    }

    /// Uploads everything and closes the streams, so that another broker can open them at once and the next start has nothing to
    /// replay. What cannot be uploaded stays in the WAL, for whoever recovers it.
    public func shutdown() async {
        let (parts, logs) = state.withLock { state -> (EngineParts?, [SharedLog]) in
            defer {
                state.isStopped = true
                state.logs = [:]
            }
            return (state.isStopped ? nil : state.parts, Array(state.logs.values))
        }
        guard let parts else { return }
        for log in logs { log.close() }
        try? await parts.uploader.uploadAll()
        var closed = true
        for log in logs {
            // A move that was under way may take back its close: not after this one.
            await partitionGates.enter(log.stream)
            do throws(LogError) { try await close(log, parts) } catch { closed = false }
            partitionGates.leave(log.stream)
        }
        // Appends that were under way while the first upload ran.
        if !parts.dirty.all.isEmpty { try? await parts.uploader.uploadAll() }
        parts.uploader.stop()
        if closed, parts.dirty.all.isEmpty, parts.wal.failure == nil {
            var recovered = WALOwnership(broker: writer.broker, epoch: writer.epoch, state: .recovered)
            recovered.recoverer = writer.broker
            recovered.recovererEpoch = writer.epoch
            _ = try? await metadata.commit(
                Transaction(
                    conditions: [parts.ownership], operations: [SharedMetadata.put(SharedKey.wal(writer.broker), recovered)]))
        }
        await parts.wal.close()
    }
}
