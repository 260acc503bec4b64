//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import ClusterMetadata
import LogModel
import Testing

@Suite struct ReassignmentTests {
    let brokers = BrokerAvailability(live: [1, 2, 3, 4, 5, 6])

    @Test func targetsAreAddedBesideTheOldReplicas() throws {
        let record = partition(1, isr: [1, 2, 3], replicas: [1, 2, 3])
        let moving = try Reassignment.begin(record, target: [4, 2, 5], placement: .replicated, brokers: brokers)
        #expect(moving.replicas == [4, 2, 5, 1, 3])
        #expect(moving.addingReplicas == [4, 5] && moving.removingReplicas == [1, 3] && moving.targetReplicas == [4, 2, 5])
        #expect(moving.leader == 1 && moving.leaderEpoch == record.leaderEpoch && moving.partitionEpoch == 8)
        #expect(moving.inSyncReplicas == [1, 2, 3])
    }

    @Test func aMoveIsDoneOnceAllTargetsAreInSyncAndAlive() throws {
        var moving = partition(1, isr: [1, 2, 3, 4], replicas: [4, 2, 5, 1, 3], adding: [4, 5], removing: [1, 3])
        #expect(Reassignment.progress(moving, brokers: brokers) == nil)
        moving.inSyncReplicas.append(5)
        #expect(Reassignment.progress(moving, brokers: BrokerAvailability(live: [1, 2, 3, 4])) == nil)
        let done = try #require(Reassignment.progress(moving, brokers: brokers))
        #expect(done.replicas == [4, 2, 5] && !done.isMoving)
        #expect(done.inSyncReplicas == [2, 4, 5])
        #expect(done.leader == 4 && done.leaderEpoch == LeaderEpoch(6) && done.partitionEpoch == 8)
        #expect(Reassignment.progress(done, brokers: brokers) == nil)
    }

    @Test func aLeaderAmongTheTargetsStaysInANewEpoch() throws {
        let moving = partition(2, isr: [1, 2, 4], replicas: [4, 2, 1], adding: [4], removing: [1])
        let done = try #require(Reassignment.progress(moving, brokers: brokers))
        #expect(done.leader == 2 && done.leaderEpoch == LeaderEpoch(6))
        let grown = try #require(
            Reassignment.progress(partition(1, isr: [1, 2], replicas: [1, 2], adding: [2]), brokers: brokers))
        #expect(grown.leader == 1 && grown.leaderEpoch == LeaderEpoch(5) && !grown.isMoving)
    }

    @Test func whatNeedsNoCopyingIsDoneAtOnce() throws {
        let record = partition(1, isr: [1, 2, 3], replicas: [1, 2, 3])
        let reordered = try Reassignment.begin(record, target: [3, 2, 1], placement: .replicated, brokers: brokers)
        #expect(reordered.replicas == [3, 2, 1] && !reordered.isMoving && reordered.leader == 1)
        let shrunk = try Reassignment.begin(record, target: [2], placement: .replicated, brokers: brokers)
        #expect(shrunk.replicas == [2] && shrunk.leader == 2 && shrunk.inSyncReplicas == [2] && !shrunk.isMoving)
        #expect(try Reassignment.begin(record, target: [1, 2, 3], placement: .replicated, brokers: brokers) == record)
    }

    @Test func aNewTargetReplacesTheOldOne() throws {
        let first = try Reassignment.begin(
            partition(1, isr: [1, 2], replicas: [1, 2]), target: [3, 4], placement: .replicated, brokers: brokers)
        var second = try Reassignment.begin(first, target: [4, 5], placement: .replicated, brokers: brokers)
        #expect(second.replicas == [4, 5, 1, 2] && second.addingReplicas == [4, 5] && second.removingReplicas == [1, 2])
        second.inSyncReplicas = [1, 2, 4, 5]
        // One that is in sync already is let go as well, as long as others hold the log.
        let third = try Reassignment.begin(second, target: [4, 6], placement: .replicated, brokers: brokers)
        #expect(third.replicas == [4, 6, 1, 2] && third.inSyncReplicas == [1, 2, 4])
        #expect(try Reassignment.cancel(third, placement: .replicated, brokers: brokers).replicas == [1, 2])
        // Not so the only one that holds it.
        let last = partition(5, isr: [5], replicas: [4, 5, 1, 2], adding: [4, 5], removing: [1, 2])
        let kept = try Reassignment.begin(last, target: [6], placement: .replicated, brokers: brokers)
        #expect(kept.replicas.contains(5) && kept.inSyncReplicas == [5] && kept.targetReplicas == [6])
    }

    @Test func cancellingBringsTheFormerReplicasBack() throws {
        let record = partition(1, isr: [1, 2, 3], replicas: [1, 2, 3])
        let moving = try Reassignment.begin(record, target: [4, 5, 6], placement: .replicated, brokers: brokers)
        let cancelled = try Reassignment.cancel(moving, placement: .replicated, brokers: brokers)
        #expect(cancelled.replicas == [1, 2, 3] && !cancelled.isMoving && cancelled.leader == 1)
        #expect(cancelled.leaderEpoch == LeaderEpoch(6))

        let led = partition(4, isr: [4, 2], replicas: [4, 5, 1, 2], adding: [4, 5], removing: [1, 2])
        let back = try Reassignment.cancel(led, placement: .replicated, brokers: brokers)
        #expect(back.leader == 2 && back.inSyncReplicas == [2] && back.leaderEpoch == LeaderEpoch(6))
    }

    @Test func cancellingIsRefusedWhereItCannotBe() throws {
        let still = partition(1, isr: [1], replicas: [1])
        let lost = partition(4, isr: [4], replicas: [4, 1], adding: [4], removing: [1])
        for (record, code) in [(still, MetadataOperationError.Code.noReassignmentInProgress), (lost, .eligibleLeadersNotAvailable)]
        {
            let error = #expect(throws: MetadataOperationError.self) {
                try Reassignment.cancel(record, placement: .replicated, brokers: brokers)
            }
            #expect(error?.code == code)
        }
    }

    @Test(arguments: [[], [1, 1], [9], [2, 9]] as [[BrokerID]])
    func badTargetsAreRefused(_ target: [BrokerID]) {
        for placement in [ReplicaPlacement.replicated, .singleOwner] {
            let error = #expect(throws: MetadataOperationError.self) {
                try Reassignment.begin(
                    partition(1, isr: [1], replicas: [1]), target: target, placement: placement, brokers: brokers)
            }
            #expect(error?.code == .invalidReplicaAssignment)
        }
    }

    @Test func aSingleOwnerIsToldWhereToHandOver() throws {
        let record = partition(1, isr: [1], replicas: [1])
        let moving = try Reassignment.begin(record, target: [2, 3, 4], placement: .singleOwner, brokers: brokers)
        #expect(moving.addingReplicas == [2] && moving.removingReplicas == [1] && moving.targetReplicas == [2])
        #expect(moving.leader == 1 && moving.inSyncReplicas == [1] && moving.leaderEpoch == record.leaderEpoch)
        #expect(Reassignment.progress(moving, brokers: brokers) == nil)
        let other = try Reassignment.begin(moving, target: [3], placement: .singleOwner, brokers: brokers)
        #expect(other.addingReplicas == [3] && other.replicas == [3, 1])
        let cancelled = try Reassignment.cancel(other, placement: .singleOwner, brokers: brokers)
        #expect(cancelled.replicas == [1] && !cancelled.isMoving && cancelled.leaderEpoch == record.leaderEpoch)
        let back = try Reassignment.begin(moving, target: [1, 2], placement: .singleOwner, brokers: brokers)
        #expect(back.replicas == [1] && !back.isMoving)
        #expect(try Reassignment.begin(record, target: [1, 2, 3], placement: .singleOwner, brokers: brokers) == record)
    }
}
