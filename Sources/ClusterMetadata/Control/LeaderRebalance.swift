//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel

/// Gives leadership back to the brokers that are meant to lead (`auto.leader.rebalance.enable`). Pure.
///
/// A broker is looked after once more than `percentage` of the partitions that prefer it are led elsewhere: then each of those that it can
/// lead now goes back.
package struct LeaderRebalance: Sendable, Hashable {
    /// `leader.imbalance.per.broker.percentage`
    package var percentage: Int
    /// `leader.imbalance.check.interval.seconds`
    package var interval: Duration

    package init(percentage: Int = 10, interval: Duration = .seconds(300)) {
        self.percentage = percentage
        self.interval = interval
    }

    /// The brokers among the steady ones that lead too few of what prefers them.
    package func imbalanced(
        _ partitions: some Sequence<PartitionRecord>, brokers: BrokerAvailability
    ) -> Set<BrokerID> {
        var preferring: [BrokerID: (all: Int, elsewhere: Int)] = [:]
        for partition in partitions {
            guard let preferred = partition.preferredLeader, brokers.isSteady(preferred), !partition.isOffline(preferred) else {
                continue
            }
            preferring[preferred, default: (0, 0)].all += 1
            if partition.leader != preferred { preferring[preferred]!.elsewhere += 1 }
        }
        return Set(preferring.filter { $0.value.elsewhere * 100 > percentage * $0.value.all }.keys)
    }

    /// The record with its leadership on the way back; nil if it is where it should be, or cannot go now.
    package static func back(
        _ record: PartitionRecord, placement: ReplicaPlacement, imbalanced: Set<BrokerID>, brokers: BrokerAvailability
    ) -> PartitionRecord? {
        guard let preferred = record.preferredLeader, imbalanced.contains(preferred), !record.isMoving else { return nil }
        return try? LeaderElection.electPreferred(record, placement: placement, brokers: brokers)
    }
}
