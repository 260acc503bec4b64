//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import ClusterMetadata
import LogModel
import Testing

/// Replicas whose log directory failed, of brokers that live.
@Suite struct OfflineReplicaTests {
    private struct NotUpdated: Error { var change: PartitionStateStore.Change }

    private func elected(_ record: PartitionRecord) -> PartitionRecord? {
        LeaderElection.elect(record, brokers: BrokerAvailability(live: [1, 2, 3]).able(record))
    }

    @Test func leadershipMovesToAnotherMember() throws {
        var record = partition(1, isr: [1, 2, 3], replicas: [1, 2, 3])
        record.offlineReplicas = [1]
        let next = try #require(elected(record))
        #expect(next.leader == 2 && next.inSyncReplicas == [2, 3] && next.leaderEpoch == LeaderEpoch(6))
        #expect(elected(next) == nil)
        // It is not the preferred leader as long as it is offline.
        #expect(throws: MetadataOperationError.self) {
            try LeaderElection.electPreferred(next, brokers: BrokerAvailability(live: [1, 2, 3]).able(next))
        }
        #expect(LeaderRebalance(percentage: 0).imbalanced([next], brokers: BrokerAvailability(live: [1, 2, 3])).isEmpty)
    }

    @Test func theOnlyMemberIsRememberedAndLeadsAgainOnceItIsBack() throws {
        var record = partition(1, isr: [1], replicas: [1, 2])
        record.offlineReplicas = [1]
        var next = try #require(elected(record))
        #expect(next.leader == nil && next.inSyncReplicas == [1])
        next.offlineReplicas = nil
        #expect(elected(next)?.leader == 1)
    }

    @Test func theStoreTakesNoteAndRefusesItAsAMember() async throws {
        let cluster = TestCluster()
        for id in Int32(1)...3 { _ = try await cluster.register(id) }
        let topic = try await cluster.createTopic("t", partitions: 1)
        let id = PartitionID(topicID: topic.id, topic: "t", partition: 0)
        let store = PartitionStateStore(store: cluster.store)
        let first = try #require(try await cluster.cache().waitUntil(timeout: .seconds(10)) { $0.partition(topic.id, 0) != nil })
        var record = try #require(first.partition(topic.id, 0))
        let leader = try #require(record.leader)
        let victim = try #require(record.replicas.first { $0 != leader })
        func change(_ members: [BrokerID]) async throws -> PartitionStateStore.Change {
            try await store.changeInSyncReplicas(
                id, leader: leader, leaderEpoch: record.leaderEpoch, expectedPartitionEpoch: record.partitionEpoch,
                inSyncReplicas: members)
        }
        func updated(_ change: PartitionStateStore.Change) throws -> PartitionRecord {
            guard case .updated(let record) = change else { throw NotUpdated(change: change) }
            return record
        }
        record = try updated(try await change(record.replicas.filter { $0 != victim }))
        record = try updated(try await store.setOffline(id, replica: victim, true))
        #expect(record.isOffline(victim) && !record.isOffline(leader))
        guard case .ineligible([victim]) = try await change(record.replicas) else {
            Issue.record("an offline replica was let in")
            return
        }
        #expect(try updated(try await store.setOffline(id, replica: victim, true)) == record)
        record = try updated(try await store.setOffline(id, replica: victim, false))
        #expect(record.offlineReplicas == nil)
        record = try updated(try await change(record.replicas))
        #expect(record.inSyncReplicas == record.replicas)
    }
}
