//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import ClusterMetadata
import LogModel
import Testing

/// Leadership goes back (`auto.leader.rebalance.enable`).
@Suite struct LeaderRebalanceTests {
    private let brokers = BrokerAvailability(live: [1, 2, 3])

    private func partitions(preferring broker: BrokerID, all: Int, elsewhere: Int) -> [PartitionRecord] {
        (0..<all).map { partition($0 < elsewhere ? 3 : broker, isr: [broker, 3], replicas: [broker, 3]) }
    }

    @Test(arguments: [(0, false), (1, false), (2, true), (20, true)]) func aBrokerIsLookedAfterAboveThePercentage(
        elsewhere: Int, isImbalanced: Bool
    ) {
        let records = partitions(preferring: 1, all: 20, elsewhere: elsewhere) + partitions(preferring: 2, all: 20, elsewhere: 0)
        let rebalance = LeaderRebalance(percentage: 9)
        #expect(rebalance.imbalanced(records, brokers: brokers) == (isImbalanced ? [1] : []))
        // One that is not there, or about to go, gets nothing back.
        #expect(rebalance.imbalanced(records, brokers: BrokerAvailability(live: [2, 3])).isEmpty)
        #expect(rebalance.imbalanced(records, brokers: BrokerAvailability(live: [1, 2, 3], draining: [1])).isEmpty)
    }

    @Test func replicatedLeadershipGoesBackOnlyToOneInSyncAndNotDuringAMove() throws {
        func back(_ record: PartitionRecord) -> PartitionRecord? {
            LeaderRebalance.back(record, placement: .replicated, imbalanced: [1], brokers: brokers)
        }
        let next = try #require(back(partition(2, isr: [2, 1], replicas: [1, 2])))
        #expect(next.leader == 1 && next.leaderEpoch == LeaderEpoch(6) && next.partitionEpoch == 8)
        #expect(back(partition(2, isr: [2], replicas: [1, 2])) == nil)
        #expect(back(partition(1, isr: [1, 2], replicas: [1, 2])) == nil)
        #expect(back(partition(3, isr: [3, 2], replicas: [2, 3])) == nil)
        #expect(back(partition(2, isr: [2, 1], replicas: [1, 2, 3], adding: [3])) == nil)
    }

    @Test func anOwnersPartitionRemembersWhoseItIsOverAnyNumberOfHeirs() throws {
        var load: [BrokerID: Int] = [1: 1, 2: 0, 3: 5]
        // It dies, its heir stops in good order, and it comes back.
        let second = try #require(
            LeaderElection.electOwner(
                partition(1, isr: [1], replicas: [1]), brokers: BrokerAvailability(live: [2, 3]), load: &load))
        #expect(second.leader == 2 && second.preferredLeader == 1)
        var third = try #require(
            LeaderElection.electOwner(second, brokers: BrokerAvailability(live: [2, 3], draining: [2]), load: &load))
        #expect(third.addingReplicas == [3] && third.preferredLeader == 1)
        third = PartitionRecord(
            topicID: third.topicID, partition: 0, leader: 3, replicas: [3], inSyncReplicas: [3],
            preferredOwner: third.preferredOwner)
        #expect(LeaderRebalance(percentage: 0).imbalanced([third], brokers: brokers) == [1])
        let back = try #require(LeaderRebalance.back(third, placement: .singleOwner, imbalanced: [1], brokers: brokers))
        #expect(back.leader == 3 && back.addingReplicas == [1] && back.removingReplicas == [3] && back.preferredLeader == 1)
        // Moved by hand, it belongs where it was moved to.
        let moved = try Reassignment.begin(third, target: [2], placement: .singleOwner, brokers: brokers)
        #expect(moved.preferredLeader == 2)
    }
}
