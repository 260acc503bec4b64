//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import ClusterMetadata
import LogModel
import Testing

/// A partition record in short.
func partition(
    _ leader: BrokerID?, isr: [BrokerID], replicas: [BrokerID], adding: [BrokerID] = [], removing: [BrokerID] = []
) -> PartitionRecord {
    PartitionRecord(
        topicID: TopicID(high: 1, low: 2), partition: 0, leader: leader, leaderEpoch: LeaderEpoch(5), partitionEpoch: 7,
        replicas: replicas, inSyncReplicas: isr, addingReplicas: adding, removingReplicas: removing)
}

@Suite struct LeaderElectionTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        var record: PartitionRecord
        var live: Set<BrokerID>
        var draining: Set<BrokerID> = []
        var restarted: Set<BrokerID> = []
        var unclean = false
        /// Nil: the record stays as it is.
        var expected: (leader: BrokerID?, isr: [BrokerID], epoch: Int32)?
        var testDescription: String { name }

        var brokers: BrokerAvailability { BrokerAvailability(live: live, draining: draining, restarted: restarted) }
    }

    static let replicated: [Case] = [
        Case(name: "a live leader stays", record: partition(1, isr: [1, 2, 3], replicas: [1, 2, 3]), live: [1, 2, 3]),
        Case(
            name: "a dead follower leaves the ISR, no new epoch", record: partition(1, isr: [1, 2, 3], replicas: [1, 2, 3]),
            live: [1, 3],
            expected: (1, [1, 3], 5)),
        Case(
            name: "the first live member in the order of the replicas leads",
            record: partition(1, isr: [3, 2, 1], replicas: [1, 2, 3]),
            live: [2, 3], expected: (2, [3, 2], 6)),
        Case(
            name: "one out of sync does not lead", record: partition(1, isr: [1, 3], replicas: [1, 2, 3]), live: [2, 3],
            expected: (3, [3], 6)),
        Case(
            name: "nobody leads when the ISR is dead, and the ISR is remembered",
            record: partition(1, isr: [1, 3], replicas: [1, 2, 3]),
            live: [2], expected: (nil, [1, 3], 6)),
        Case(name: "and nothing more changes then", record: partition(nil, isr: [1, 3], replicas: [1, 2, 3]), live: [2]),
        Case(
            name: "the first to return of the ISR leads", record: partition(nil, isr: [1, 3], replicas: [1, 2, 3]), live: [2, 3],
            expected: (3, [3], 6)),
        Case(
            name: "unclean: a live replica leads alone", record: partition(1, isr: [1], replicas: [1, 2, 3]), live: [3, 2],
            unclean: true, expected: (2, [2], 6)),
        Case(
            name: "unclean is the last resort", record: partition(1, isr: [1, 3], replicas: [1, 2, 3]), live: [3, 2], unclean: true,
            expected: (3, [3], 6)),
        Case(
            name: "unclean with nobody alive", record: partition(1, isr: [1], replicas: [1, 2, 3]), live: [], unclean: true,
            expected: (nil, [1], 6)),
        Case(
            name: "a draining leader gives way and leaves the ISR", record: partition(1, isr: [1, 2, 3], replicas: [1, 2, 3]),
            live: [1, 2, 3], draining: [1], expected: (2, [2, 3], 6)),
        Case(
            name: "a draining leader stays where nobody else is in sync", record: partition(1, isr: [1], replicas: [1, 2, 3]),
            live: [1, 2, 3], draining: [1]),
        Case(
            name: "one draining rather than none", record: partition(1, isr: [1, 2], replicas: [1, 2, 3]), live: [2, 3],
            draining: [2],
            expected: (2, [2], 6)),
        Case(
            name: "a restarted leader gives way", record: partition(1, isr: [1, 2], replicas: [1, 2]), live: [1, 2], restarted: [1],
            expected: (2, [2], 6)),
        Case(
            name: "a restarted leader alone leads again, in a new epoch", record: partition(1, isr: [1], replicas: [1, 2]),
            live: [1, 2],
            restarted: [1], expected: (1, [1], 6)),
        Case(
            name: "a restarted follower leaves the ISR", record: partition(1, isr: [1, 2], replicas: [1, 2]), live: [1, 2],
            restarted: [2], expected: (1, [1], 5)),
        Case(
            name: "during a move, targets in sync may lead",
            record: partition(1, isr: [1, 4], replicas: [4, 2, 1], adding: [4], removing: [1]), live: [2, 4], expected: (4, [4], 6)),
    ]

    @Test(arguments: replicated) func replicatedPartition(_ test: Case) throws {
        let next = LeaderElection.elect(test.record, brokers: test.brokers, unclean: test.unclean)
        check(next, test)
        if let next {
            #expect(next.replicas == test.record.replicas && next.addingReplicas == test.record.addingReplicas)
            // A decision once made stands.
            let settled = BrokerAvailability(live: test.live, draining: test.draining)
            #expect(LeaderElection.elect(next, brokers: settled, unclean: test.unclean) == nil)
        }
    }

    @Test func aMemberThatBeganAnotherRunSinceCountsAsRestartedWhoeverSawItDie() throws {
        let epochs: [BrokerID: BrokerEpoch] = [1: BrokerEpoch(7), 2: BrokerEpoch(4), 3: BrokerEpoch(9)]
        let brokers = BrokerAvailability(live: [1, 2, 3], epochs: epochs)
        var record = partition(1, isr: [1, 2, 3], replicas: [1, 2, 3])
        // Nobody noted the runs: nothing is known against any.
        #expect(LeaderElection.elect(record, brokers: brokers.able(record)) == nil)
        record.inSyncRuns = [
            BrokerRun(broker: 1, epoch: BrokerEpoch(3)), BrokerRun(broker: 2, epoch: BrokerEpoch(4)),
            BrokerRun(broker: 3, epoch: BrokerEpoch(9)),
        ]
        let next = try #require(LeaderElection.elect(record, brokers: brokers.able(record)))
        #expect(next.leader == 2 && next.leaderEpoch == LeaderEpoch(6) && next.inSyncReplicas == [2, 3])
        #expect(next.inSyncRun(of: 2) == BrokerEpoch(4) && next.inSyncRun(of: 1) == nil)
        #expect(LeaderElection.elect(next, brokers: brokers.able(next)) == nil)
    }

    @Test func wholeClustersThatRestartLeadInNewEpochs() throws {
        let record: PartitionRecord = {
            var record = partition(1, isr: [1, 2], replicas: [1, 2])
            record.inSyncRuns = [BrokerRun(broker: 1, epoch: BrokerEpoch(1)), BrokerRun(broker: 2, epoch: BrokerEpoch(2))]
            return record
        }()
        let alone = BrokerAvailability(live: [1], epochs: [1: BrokerEpoch(3)])
        let next = try #require(LeaderElection.elect(record, brokers: alone.able(record)))
        #expect(next.leader == 1 && next.leaderEpoch == LeaderEpoch(6) && next.inSyncReplicas == [1])
        #expect(next.inSyncRun(of: 1) == BrokerEpoch(3))
        // The one that returns later has to be counted in anew.
        let both = BrokerAvailability(live: [1, 2], epochs: [1: BrokerEpoch(3), 2: BrokerEpoch(4)])
        #expect(LeaderElection.elect(next, brokers: both.able(next)) == nil)

        var owned = partition(1, isr: [1], replicas: [1])
        owned.inSyncRuns = [BrokerRun(broker: 1, epoch: BrokerEpoch(1))]
        var load: [BrokerID: Int] = [1: 1]
        let again = try #require(LeaderElection.electOwner(owned, brokers: alone.able(owned), load: &load))
        #expect(again.leader == 1 && again.leaderEpoch == LeaderEpoch(6) && again.inSyncRun(of: 1) == BrokerEpoch(3))
        #expect(LeaderElection.electOwner(again, brokers: alone.able(again), load: &load) == nil)
    }

    static let singleOwner: [Case] = [
        Case(name: "a live owner stays", record: partition(1, isr: [1], replicas: [1]), live: [1, 2]),
        Case(
            name: "a dead owner's partition goes to the survivor with least", record: partition(1, isr: [1], replicas: [1]),
            live: [2, 3, 4], expected: (3, [3], 6)),
        Case(name: "nobody is left", record: partition(1, isr: [1], replicas: [1]), live: [], expected: (nil, [1], 6)),
        Case(
            name: "its own broker returns first", record: partition(nil, isr: [1], replicas: [1]), live: [1, 3],
            expected: (1, [1], 6)),
        Case(name: "another returns first", record: partition(nil, isr: [1], replicas: [1]), live: [2], expected: (2, [2], 6)),
        Case(
            name: "the owner dies during a move, which is completed",
            record: partition(1, isr: [1], replicas: [2, 1], adding: [2], removing: [1]), live: [2, 3, 4], expected: (2, [2], 6)),
        Case(
            name: "both die during a move", record: partition(1, isr: [1], replicas: [2, 1], adding: [2], removing: [1]),
            live: [3, 4],
            expected: (3, [3], 6)),
        Case(
            name: "the target dies during a move, which waits",
            record: partition(1, isr: [1], replicas: [2, 1], adding: [2], removing: [1]), live: [1, 3]),
        Case(
            name: "a restarted owner keeps its partition, in a new epoch", record: partition(1, isr: [1], replicas: [1]),
            live: [1, 2],
            restarted: [1], expected: (1, [1], 6)),
    ]

    @Test(arguments: singleOwner) func singleOwnerPartition(_ test: Case) throws {
        var load: [BrokerID: Int] = [1: 3, 2: 5, 3: 2, 4: 4]
        let next = LeaderElection.electOwner(test.record, brokers: test.brokers, load: &load)
        check(next, test)
        if let next, let leader = next.leader {
            #expect(next.replicas == [leader] && !next.isMoving)
            if leader != 1 { #expect(load[leader] == [2: 6, 3: 3, 4: 5][leader]) }
        }
    }

    @Test func aDrainingOwnerIsToldToHandOver() throws {
        var load: [BrokerID: Int] = [1: 1, 2: 4, 3: 2]
        let brokers = BrokerAvailability(live: [1, 2, 3], draining: [1])
        let record = partition(1, isr: [1], replicas: [1])
        let next = try #require(LeaderElection.electOwner(record, brokers: brokers, load: &load))
        #expect(next.leader == 1 && next.leaderEpoch == record.leaderEpoch)
        #expect(next.addingReplicas == [3] && next.removingReplicas == [1] && next.targetReplicas == [3])
        #expect(load == [1: 0, 2: 4, 3: 3])
        #expect(LeaderElection.electOwner(next, brokers: brokers, load: &load) == nil)
        // With nobody to hand over to, it stays.
        #expect(LeaderElection.electOwner(record, brokers: BrokerAvailability(live: [1], draining: [1]), load: &load) == nil)
    }

    @Test func ownersOfADeadBrokerAreSpread() {
        var load: [BrokerID: Int] = [2: 10, 3: 10]
        let brokers = BrokerAvailability(live: [2, 3])
        let heirs = (0..<10).compactMap { _ in
            LeaderElection.electOwner(partition(1, isr: [1], replicas: [1]), brokers: brokers, load: &load)?.leader
        }
        #expect(heirs.filter { $0 == 2 }.count == 5)
        #expect(load == [2: 15, 3: 15])
    }

    @Test func thePreferredLeaderIsTheFirstReplicaIfInSync() throws {
        let brokers = BrokerAvailability(live: [1, 2])
        let next = try LeaderElection.electPreferred(partition(2, isr: [2, 1], replicas: [1, 2]), brokers: brokers)
        #expect(next.leader == 1 && next.leaderEpoch == LeaderEpoch(6) && next.inSyncReplicas == [2, 1])
        for (record, code) in [
            (partition(1, isr: [1, 2], replicas: [1, 2]), MetadataOperationError.Code.electionNotNeeded),
            (partition(2, isr: [2], replicas: [1, 2]), .preferredLeaderNotAvailable),
            (partition(2, isr: [2, 3], replicas: [3, 2]), .preferredLeaderNotAvailable),
        ] {
            let error = #expect(throws: MetadataOperationError.self) { try LeaderElection.electPreferred(record, brokers: brokers) }
            #expect(error?.code == code)
        }
    }

    private func check(_ next: PartitionRecord?, _ test: Case) {
        guard let expected = test.expected else {
            #expect(next == nil)
            return
        }
        #expect(next?.leader == expected.leader)
        #expect(next?.inSyncReplicas == expected.isr)
        #expect(next?.leaderEpoch == LeaderEpoch(expected.epoch))
        #expect(next?.partitionEpoch == 8)
    }
}
