//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import LogEngine
internal import LogModel
internal import SharedStorage

/// Lets the shared engine name a partition's next leader in the cluster's metadata.
struct PartitionOwnership: OwnershipRegistry {
    let store: PartitionStateStore

    func completeHandover(_ assignment: PartitionAssignment, from source: BrokerID, to target: BrokerID) async throws(LogError) {
        let change: PartitionStateStore.Change
        do throws(MetadataStoreError) {
            change = try await store.completeHandover(
                assignment.partition, from: source, to: target, leaderEpoch: assignment.leaderEpoch)
        } catch {
            throw LogError(
                .storageFailure, "\(assignment.partition): the metadata store did not say whether the move ended", cause: error)
        }
        switch change {
        case .updated: return
        case .fenced(let record):
            // An earlier try may have been carried out although its answer was lost.
            if record?.leader == target, record?.isMoving == false { return }
            throw LogError(.fencedLeaderEpoch, "\(assignment.partition): the partition's record changed during the move")
        case .ineligible:
            throw LogError(
                .fencedLeaderEpoch, "\(assignment.partition): broker \(target) is not alive; the move waits for it or is cancelled")
        }
    }
}
