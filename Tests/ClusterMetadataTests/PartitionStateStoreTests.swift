//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import ClusterMetadata
import LogModel
import RuntimeEnvironment
import Testing

@Suite struct PartitionStateStoreTests {
    @Test func theLeaderSetsTheISRAndLosesToWhoeverWasFaster() async throws {
        let cluster = TestCluster()
        let brokers = try await [cluster.register(1), cluster.register(2), cluster.register(3)]
        let topic = try await cluster.operations.createTopic(
            NewTopic(name: "t", layout: .manual([0: [1, 2, 3]]), storageMode: "isr")
        ).topic
        let states = PartitionStateStore(store: cluster.store)
        let id = PartitionID(topicID: topic.id, topic: "t", partition: 0)
        func change(_ isr: [BrokerID], epoch: Int64, leader: BrokerID = 1, leaderEpoch: Int32 = 0) async throws
            -> PartitionStateStore.Change
        {
            try await states.changeInSyncReplicas(
                id, leader: leader, leaderEpoch: LeaderEpoch(leaderEpoch), expectedPartitionEpoch: epoch, inSyncReplicas: isr,
                brokerEpochs: [2: BrokerEpoch(0)])
        }
        guard case .updated(let shrunk) = try await change([3, 1], epoch: 0) else { return #expect(Bool(false), "not updated") }
        #expect(shrunk.inSyncReplicas == [1, 3] && shrunk.partitionEpoch == 1 && shrunk.leaderEpoch == LeaderEpoch(0))
        #expect(try await change([1], epoch: 0) == .fenced(shrunk))
        #expect(try await change([1], epoch: 1, leaderEpoch: 1) == .fenced(shrunk))
        #expect(try await change([2], epoch: 1, leader: 2) == .fenced(shrunk))
        #expect(try await change([1, 3], epoch: 1) == .updated(shrunk))
        #expect(try await change([1, 3, 4], epoch: 1) == .ineligible([4]))
        try await brokers[1].beginDraining()
        #expect(try await change([1, 2, 3], epoch: 1) == .ineligible([2]))
        await brokers[1].deregister()
        #expect(try await change([1, 2, 3], epoch: 1) == .ineligible([2]))
        // Back, in another run than the one that fetched.
        _ = try await cluster.register(2)
        #expect(try await change([1, 2, 3], epoch: 1) == .ineligible([2]))

        await brokers[0].abandon()
        cluster.clock.advance(by: .seconds(9))
        #expect(try await change([1], epoch: 1) == .fenced(shrunk))
        #expect(try await states.read(topic.id, 0) == shrunk)
        let unknown = PartitionID(topicID: topic.id, topic: "t", partition: 9)
        #expect(
            try await states.changeInSyncReplicas(
                unknown, leader: 1, leaderEpoch: LeaderEpoch(0), expectedPartitionEpoch: 0, inSyncReplicas: [1]) == .fenced(nil))
    }

    @Test func anOwnerHandsOverOnceAndToTheLiving() async throws {
        let cluster = TestCluster()
        _ = try await cluster.register(1)
        let two = try await cluster.register(2)
        let topic = try await cluster.operations.createTopic(
            NewTopic(name: "t", layout: .manual([0: [1], 1: [1]]), storageMode: "shared")
        ).topic
        let states = PartitionStateStore(store: cluster.store)
        func handOver(_ number: Int32, epoch: Int32 = 0) async throws -> PartitionStateStore.Change {
            try await states.completeHandover(
                PartitionID(topicID: topic.id, topic: "t", partition: number), from: 1, to: 2, leaderEpoch: LeaderEpoch(epoch))
        }
        let before = try #require(try await states.read(topic.id, 0))
        #expect(try await handOver(0) == .fenced(before))
        for number in 0..<2 { try await cluster.operations.reassign(topic: "t", partition: Int32(number), to: [2]) }
        guard case .updated(let moved) = try await handOver(0) else { return #expect(Bool(false), "not updated") }
        #expect(moved.leader == 2 && moved.replicas == [2] && moved.inSyncReplicas == [2] && !moved.isMoving)
        #expect(moved.leaderEpoch == LeaderEpoch(1))
        #expect(try await handOver(0) == .fenced(moved))
        await two.deregister()
        #expect(try await handOver(1) == .ineligible([2]))
    }
}
