//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
public import LogEngine
public import LogModel
internal import ObjectStore
internal import Synchronization

extension TieredEngine {
    /// The shared part goes in an order that a second call can take up: nobody may write any more, objects, records.
    public func delete(_ partition: PartitionID, ownsSharedData: Bool) async throws(LogError) {
        let held = state.withLock { state in
            state.gates[partition] = nil
            return state.logs.removeValue(forKey: partition)
        }
        // An upload that still runs cannot commit once the claim is retired, and then takes its objects away.
        held?.stop()
        try await tail.delete(partition, ownsSharedData: ownsSharedData)
        guard ownsSharedData else { return }
        try await parts.metadata.retire(partition, by: parts.broker)
        do throws(ObjectStoreError) {
            // By listing, not by the records: an attempt's objects go too if its record was lost.
            let objects = try await parts.store.listAll(prefix: TierKey.objects(of: partition))
            if !objects.isEmpty { try await parts.store.delete(objects.map(\.key)) }
        } catch {
            throw LogError(.notAvailable, "\(partition): its objects could not be deleted; it is tried again", cause: error)
        }
        _ = try await parts.metadata.commit([], [.deletePrefix(TierKey.segments(of: partition))])
    }
}
