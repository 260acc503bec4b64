//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel

/// Moves a partition to other brokers (KIP-455). Pure: record in, record out.
///
/// Replicated: the targets are added, copy the log, join the ISR; then, in one change, the old ones go. Single owner: the owner
/// hands over and completes the move itself (``PartitionStateStore/completeHandover(_:from:to:leaderEpoch:)``).
package enum Reassignment {
    /// - Parameter target: The replicas wanted, the preferred leader first. A single owner's partition goes to the first of them.
    /// - Returns: The record with the move under way; already done where nothing needs copying; unchanged where nothing is to do.
    /// - Throws: ``MetadataOperationError/Code/invalidReplicaAssignment``.
    package static func begin(
        _ record: PartitionRecord, target: [BrokerID], placement: ReplicaPlacement, brokers: BrokerAvailability
    ) throws(MetadataOperationError) -> PartitionRecord {
        try MetadataOperations.check(target, brokers: brokers.live)
        var next = record
        switch placement {
        case .singleOwner:
            let owner = record.leader ?? record.replicas[0]
            next.preferredOwner = nil
            if target[0] == owner { next.own(owner) } else { next.beginHandover(from: owner, to: target[0]) }
            return next.bumped(after: record) ?? record
        case .replicated:
            // Replicas of an earlier move that is given up for this one leave at once, unless the log may need them.
            let given = record.addingReplicas.filter { !target.contains($0) && isDispensable($0, in: record, keeping: target) }
            let current = record.replicas.filter { !given.contains($0) }
            let original = current.filter { !record.addingReplicas.contains($0) }
            next.inSyncReplicas = record.inSyncReplicas.filter { !given.contains($0) }
            next.addingReplicas = target.filter { !original.contains($0) }
            next.removingReplicas = current.filter { !target.contains($0) }
            next.replicas = target + next.removingReplicas
            next = progress(next, brokers: brokers) ?? next
            return next.bumped(after: record) ?? record
        }
    }

    /// Gives a move up: the replicas are those from before it.
    ///
    /// - Throws: ``MetadataOperationError/Code/noReassignmentInProgress``; ``MetadataOperationError/Code/eligibleLeadersNotAvailable``
    ///   if none of them is in sync any more.
    package static func cancel(
        _ record: PartitionRecord, placement: ReplicaPlacement, brokers: BrokerAvailability
    ) throws(MetadataOperationError) -> PartitionRecord {
        guard record.isMoving else {
            throw MetadataOperationError(.noReassignmentInProgress, "partition \(record.partition) is not being reassigned")
        }
        var next = record
        next.replicas = record.replicas.filter { !record.addingReplicas.contains($0) }
        next.inSyncReplicas = record.inSyncReplicas.filter(next.replicas.contains)
        next.addingReplicas = []
        next.removingReplicas = []
        guard !next.replicas.isEmpty, !next.inSyncReplicas.isEmpty else {
            throw MetadataOperationError(
                .eligibleLeadersNotAvailable,
                "partition \(record.partition)'s reassignment cannot be cancelled: none of its former replicas is in sync")
        }
        if let leader = record.leader, !next.replicas.contains(leader) { next.lead(heir(in: next, brokers), after: record) }
        // Followers that are dropped must not be believed any more (as Kafka: a removed replica means a new leader epoch).
        if placement == .replicated, next.leaderEpoch == record.leaderEpoch, !record.addingReplicas.isEmpty {
            next.leaderEpoch = record.leaderEpoch.next
        }
        return next.bumped(after: record) ?? record
    }

    /// Completes the move of a replicated partition once every target is alive and in sync; nil until then.
    package static func progress(_ record: PartitionRecord, brokers: BrokerAvailability) -> PartitionRecord? {
        let target = record.targetReplicas
        guard record.isMoving, !target.isEmpty,
            target.allSatisfy({ record.inSyncReplicas.contains($0) && brokers.live.contains($0) })
        else { return nil }
        var next = record
        next.replicas = target
        next.inSyncReplicas = record.inSyncReplicas.filter(target.contains)
        next.addingReplicas = []
        next.removingReplicas = []
        if let leader = record.leader, !target.contains(leader) { next.lead(heir(in: next, brokers), after: record) }
        if next.leaderEpoch == record.leaderEpoch, !record.removingReplicas.isEmpty { next.leaderEpoch = record.leaderEpoch.next }
        return next.bumped(after: record)
    }

    /// The next leader among the replicas in sync, in their order.
    private static func heir(in record: PartitionRecord, _ brokers: BrokerAvailability) -> BrokerID? {
        let candidates = record.replicas.filter { record.inSyncReplicas.contains($0) && brokers.live.contains($0) }
        return candidates.first(where: brokers.isSteady) ?? candidates.first
    }

    private static func isDispensable(_ broker: BrokerID, in record: PartitionRecord, keeping target: [BrokerID]) -> Bool {
        record.leader != broker
            && record.inSyncReplicas.contains { $0 != broker && (target.contains($0) || !record.addingReplicas.contains($0)) }
    }
}
