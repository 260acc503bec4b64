//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
public import LogEngine
public import LogModel
internal import Logging
internal import ObjectStore
internal import RuntimeEnvironment
internal import Synchronization

extension TieredEngine {
    /// The shared part goes in an order that a second call can take up: nobody may write any more, objects, records; that it was deleted is
    /// remembered (``TierAudit/forgetDeletions(in:before:)``).
    public func delete(_ partition: PartitionID, ownsSharedData: Bool) async throws(LogError) {
        let held = state.withLock { state in
            state.gates[partition] = nil
            return state.logs.removeValue(forKey: partition)
        }
        // An upload that still runs cannot commit once the claim is retired, and then takes its objects away.
        held?.stop()
        try await tail.delete(partition, ownsSharedData: ownsSharedData)
        guard ownsSharedData else { return }
        let now = Timestamp(parts.environment.clock.wallMilliseconds())
        try await parts.metadata.retire(partition, by: parts.broker, at: now)
        let recorded = try await parts.metadata.segments(of: partition).segments
        do throws(ObjectStoreError) {
            try await removeObjects(of: partition, recorded.flatMap { TierKey.all($0.segment) })
        } catch {
            throw LogError(.notAvailable, "\(partition): its objects could not be deleted; it is tried again", cause: error)
        }
        if !recorded.isEmpty { _ = try await parts.metadata.commit([], recorded.map { .delete($0.key) }) }
        removeLatecomers(of: partition)
    }

    /// By listing too, not by the records alone: an attempt's objects go if its record was lost. And by the records too, for a list may be
    /// older than they are.
    private func removeObjects(of partition: PartitionID, _ recorded: [String] = []) async throws(ObjectStoreError) {
        let listed = try await parts.store.listAll(prefix: TierKey.objects(of: partition)).map(\.key)
        let keys = Set(listed).union(recorded).sorted()
        if !keys.isEmpty { try await parts.store.delete(keys) }
    }

    /// A put that was given up may yet be carried out, after the objects have been listed: they are listed once more when that is past.
    private func removeLatecomers(of partition: PartitionID) {
        let task = Task { [weak self, parts] in
            // Cancelled when the engine ends.
            guard (try? await parts.environment.clock.sleep(for: parts.settings.orphanGrace)) != nil else { return }
            do throws(ObjectStoreError) { try await self?.removeObjects(of: partition) } catch {
                parts.logger.warning(
                    "Objects of a deleted partition were not looked for once more",
                    metadata: ["partition": "\(partition)", "error": "\(error)"])
            }
            self?.state.withLock { _ = $0.latecomers.removeValue(forKey: partition) }
        }
        let isStopped = state.withLock { state in
            if !state.isStopped { state.latecomers[partition] = task }
            return state.isStopped
        }
        if isStopped { task.cancel() }
    }
}
