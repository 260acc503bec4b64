//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogEngine
import LogModel
import ReplicatedLog
import RuntimeEnvironment
import Testing

@Suite struct LeaderStateTests {
    private let one = BrokerID(1), two = BrokerID(2), three = BrokerID(3)

    private func at(_ seconds: Int64) -> MonotonicInstant { MonotonicInstant(nanoseconds: seconds * 1_000_000_000) }

    private func assignment(epoch: Int64 = 1, inSync: [Int32] = [1, 2, 3]) -> PartitionAssignment {
        PartitionAssignment(
            partition: PartitionID(topicID: .zero, topic: "t", partition: 0), leader: one, leaderEpoch: LeaderEpoch(4),
            partitionEpoch: epoch, replicas: [one, two, three], inSyncReplicas: inSync.map { BrokerID($0) })
    }

    private func leader(inSync: [Int32] = [1, 2, 3], epochStart: Int64 = 10) -> LeaderState {
        LeaderState(broker: one, assignment: assignment(inSync: inSync), epochStart: Offset(epochStart), at: at(0))
    }

    private func fetched(_ state: inout LeaderState, _ broker: BrokerID, _ offset: Int64, end: Int64, at time: Int64) {
        state.followerFetched(broker, from: Offset(offset), leaderEnd: Offset(end), brokerEpoch: BrokerEpoch(7), at: at(time))
    }

    @Test func theHighWatermarkIsTheLowestEndInTheInSyncSet() {
        var state = leader()
        #expect(state.highWatermark(after: Offset(5), leaderEnd: Offset(20), minInSyncReplicas: 2) == Offset(5))
        fetched(&state, two, 20, end: 20, at: 1)
        #expect(state.highWatermark(after: Offset(5), leaderEnd: Offset(20), minInSyncReplicas: 2) == Offset(5))
        fetched(&state, three, 12, end: 20, at: 1)
        #expect(state.highWatermark(after: Offset(5), leaderEnd: Offset(20), minInSyncReplicas: 2) == Offset(12))
        // It never goes back.
        #expect(state.highWatermark(after: Offset(15), leaderEnd: Offset(20), minInSyncReplicas: 2) == Offset(15))
    }

    @Test func theHighWatermarkStandsStillBelowTheMinimum() {
        let state = leader(inSync: [1])
        #expect(state.highWatermark(after: Offset(5), leaderEnd: Offset(20), minInSyncReplicas: 2) == Offset(5))
        #expect(state.highWatermark(after: Offset(5), leaderEnd: Offset(20), minInSyncReplicas: 1) == Offset(20))
    }

    @Test func aFollowerJoinsOnceItHasWhatIsCommittedAndTheEpochsStart() {
        var state = leader(inSync: [1, 2])
        fetched(&state, three, 8, end: 20, at: 1)
        #expect(state.membershipChange(highWatermark: Offset(8), leaderEnd: Offset(20), lagTimeMax: nil, at: at(1)) == nil)
        fetched(&state, three, 11, end: 20, at: 1)
        #expect(state.membershipChange(highWatermark: Offset(12), leaderEnd: Offset(20), lagTimeMax: nil, at: at(1)) == nil)
        fetched(&state, three, 12, end: 20, at: 1)
        let change = state.membershipChange(highWatermark: Offset(12), leaderEnd: Offset(20), lagTimeMax: nil, at: at(1))
        #expect(change?.inSyncReplicas == [one, two, three])
        #expect(change?.brokerEpochs[three] == BrokerEpoch(7))
        #expect(state.maximalInSyncReplicas == [one, two, three])
        // One at a time.
        #expect(state.membershipChange(highWatermark: Offset(12), leaderEnd: Offset(20), lagTimeMax: nil, at: at(1)) == nil)
    }

    @Test func aSilentFollowerLeavesAfterTheLagTimeUnlessItHasEverything() {
        var state = leader()
        fetched(&state, two, 20, end: 20, at: 1)
        fetched(&state, three, 20, end: 20, at: 1)
        #expect(
            state.membershipChange(highWatermark: Offset(20), leaderEnd: Offset(20), lagTimeMax: .seconds(30), at: at(90)) == nil)
        fetched(&state, two, 25, end: 25, at: 90)
        let change = state.membershipChange(
            highWatermark: Offset(20), leaderEnd: Offset(25), lagTimeMax: .seconds(30), at: at(90))
        #expect(change?.inSyncReplicas == [one, two])
        // Until it is known, the old member counts.
        #expect(state.maximalInSyncReplicas == [one, two, three])
    }

    @Test func aFollowerThatKeepsUpWithAMovingEndStays() {
        var state = leader()
        // Each fetch reaches what the leader had at the one before, never what it has now.
        for second in Int64(1)...100 {
            for follower in [two, three] { fetched(&state, follower, second * 10, end: second * 10 + 10, at: second) }
        }
        #expect(
            state.membershipChange(highWatermark: Offset(1_000), leaderEnd: Offset(1_010), lagTimeMax: .seconds(30), at: at(101))
                == nil)
    }

    @Test func aProposalWithoutAnAnswerKeepsItsMembersUntilTheRecordTells() {
        var state = leader(inSync: [1, 2])
        fetched(&state, two, 20, end: 20, at: 1)
        fetched(&state, three, 20, end: 20, at: 1)
        _ = state.membershipChange(highWatermark: Offset(20), leaderEnd: Offset(20), lagTimeMax: nil, at: at(1))
        state.membershipChangeUnknown(retryAt: at(2))
        #expect(state.maximalInSyncReplicas == [one, two, three])
        #expect(state.membershipChange(highWatermark: Offset(20), leaderEnd: Offset(20), lagTimeMax: nil, at: at(1)) == nil)
        fetched(&state, two, 30, end: 30, at: 1)
        #expect(state.highWatermark(after: Offset(20), leaderEnd: Offset(30), minInSyncReplicas: 1) == Offset(20))
        state.adopt(assignment(epoch: 2, inSync: [1, 2]), at: at(3))
        #expect(state.highWatermark(after: Offset(20), leaderEnd: Offset(30), minInSyncReplicas: 1) == Offset(30))
    }

    @Test func aRefusedProposalIsMadeAgainLater() {
        var state = leader(inSync: [1, 2])
        fetched(&state, three, 20, end: 20, at: 1)
        #expect(state.membershipChange(highWatermark: Offset(20), leaderEnd: Offset(20), lagTimeMax: nil, at: at(1)) != nil)
        state.membershipChangeRefused(retryAt: at(2))
        #expect(state.maximalInSyncReplicas == [one, two])
        #expect(state.membershipChange(highWatermark: Offset(20), leaderEnd: Offset(20), lagTimeMax: nil, at: at(1)) == nil)
        #expect(state.membershipChange(highWatermark: Offset(20), leaderEnd: Offset(20), lagTimeMax: nil, at: at(2)) != nil)
    }
}
