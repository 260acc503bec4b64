//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import ClusterMetadata
import LogModel
import RuntimeEnvironment
import Testing

@Suite struct ControllerTests {
    /// A broker with its image and its controller.
    final class Broker: Sendable {
        let registration: BrokerRegistration
        let cache: MetadataCache
        let controller: Controller
        let running: Task<Void, Never>

        init(_ id: Int32, in cluster: TestCluster) async throws {
            registration = try await cluster.register(id)
            cache = try await cluster.cache()
            let controller = Controller(
                registration: registration, store: cluster.store, cache: cache,
                planner: ControllerPlanner(placement: { $0 == "shared" ? .singleOwner : .replicated }), clock: cluster.clock,
                logger: quietLogger)
            self.controller = controller
            running = Task { await controller.run() }
        }

        /// As if killed: it does nothing more, and its lease runs out.
        func die() async {
            running.cancel()
            await running.value
            await registration.abandon()
            await cache.stop()
        }

        func stop() async {
            await registration.deregister()
            await running.value
            await cache.stop()
        }

        func sees(_ predicate: @escaping @Sendable (MetadataImage) -> Bool) async -> MetadataImage? {
            await cache.waitUntil(timeout: .seconds(1_000_000), predicate)
        }
    }

    /// Lets `dead`'s lease run out while the others' heartbeats go on.
    private func expire(_ dead: Broker, in cluster: TestCluster, others: [Broker]) async {
        for _ in 0..<5 {
            let deadlines = others.map(\.registration.leaseDeadline)
            await eventually { cluster.clock.hasSleeper(in: .seconds(2)) || others.isEmpty }
            cluster.clock.advance(by: .seconds(2))
            await eventually { zip(others, deadlines).allSatisfy { $0.registration.leaseDeadline > $1 } }
        }
    }

    @Test func anotherBrokerBecomesTheControllerWhenItDies() async throws {
        let cluster = TestCluster()
        let one = try await Broker(1, in: cluster)
        _ = await one.sees { $0.controller != nil }
        let two = try await Broker(2, in: cluster)
        let three = try await Broker(3, in: cluster)
        await eventually { one.controller.isActive }
        #expect(!two.controller.isActive && !three.controller.isActive)
        let topic = try await cluster.createTopic("t", partitions: 6)
        await one.die()
        await expire(one, in: cluster, others: [two, three])
        let image = try #require(
            await two.sees { image in
                image.controller != nil && image.partitions(of: topic.id).count == 6
                    && image.partitions(of: topic.id).allSatisfy {
                        $0.leader != nil && $0.leader != 1 && $0.inSyncReplicas.count == 2
                    }
            })
        #expect(image.controller?.record.broker != 1)
        #expect(two.controller.isActive != three.controller.isActive)
        await two.stop()
        #expect(await three.sees { $0.controller?.record.broker == 3 } != nil)
        await eventually { three.controller.isActive }
        await three.stop()
    }

    @Test func aDeadOwnersPartitionsAreSpreadAndOneSurvivorRecovers() async throws {
        let cluster = TestCluster()
        let brokers = try await [Broker(1, in: cluster), Broker(2, in: cluster), Broker(3, in: cluster)]
        let topic = try await cluster.createTopic("t", partitions: 12, mode: "shared")
        await eventually { brokers.contains { $0.controller.isActive } }
        let dead = brokers.first { !$0.controller.isActive }!
        let survivors = brokers.filter { $0 !== dead }
        let deadID = dead.registration.id
        await dead.die()
        await expire(dead, in: cluster, others: survivors)
        let image = try #require(
            await survivors[0].sees { image in
                image.recoveries[deadID] != nil
                    && image.partitions(of: topic.id).allSatisfy { $0.leader != deadID && $0.leader != nil }
            })
        for survivor in survivors { #expect(image.partitions(ledBy: survivor.registration.id).count == 6) }
        #expect(image.partitions(of: topic.id).allSatisfy { $0.replicas == [$0.leader!] && $0.inSyncReplicas == $0.replicas })
        let recovery = try #require(image.recoveries[deadID]?.record)
        #expect(recovery.epoch == dead.registration.epoch)
        #expect(
            survivors.filter { !image.recoveryDuties(of: $0.registration.id).isEmpty }.map(\.registration.id) == [recovery.assignee]
        )
        try await cluster.operations.completeRecovery(recovery)
        #expect(await survivors[0].sees { $0.recoveries.isEmpty && $0.closedEpochs[deadID] == recovery.epoch } != nil)

        // Nobody recovers it again, whoever is the controller.
        await survivors[0].stop()
        await eventually { survivors[1].controller.isActive }
        try await cluster.createTopic("later", partitions: 1, replicas: 1)
        let later = try #require(await survivors[1].sees { $0.topic(named: "later") != nil })
        #expect(later.recoveries.isEmpty)
        await survivors[1].stop()
    }

    /// Both die, with nobody left to see it, and come back: what they lead, they lead in a new epoch, for what they told in the old one
    /// may be lost with what they had not synced.
    @Test func aClusterThatDiedAsAWholeLeadsInNewEpochs() async throws {
        let cluster = TestCluster()
        let brokers = try await [Broker(1, in: cluster), Broker(2, in: cluster)]
        await eventually { brokers.contains { $0.controller.isActive } }
        let topic = try await cluster.createTopic("t", partitions: 4, replicas: 2)
        let before = try #require(await brokers[0].sees { $0.partitions(of: topic.id).count == 4 })
        for record in before.partitions(of: topic.id) {
            for broker in brokers { #expect(record.inSyncRun(of: broker.registration.id) == broker.registration.epoch) }
        }
        for broker in brokers { await broker.die() }
        await expire(brokers[0], in: cluster, others: [])
        let returned = try await Broker(2, in: cluster)
        let image = try #require(
            await returned.sees { image in
                let partitions = image.partitions(of: topic.id)
                return partitions.count == 4
                    && partitions.allSatisfy { $0.leader == 2 && $0.inSyncRun(of: 2) == returned.registration.epoch }
            })
        for record in image.partitions(of: topic.id) {
            let old = try #require(before.partition(topic.id, record.partition))
            #expect(record.leaderEpoch > old.leaderEpoch && record.inSyncReplicas == [2])
        }
        await returned.stop()
    }

    @Test func brokersOfThreeProcessesShareOneFile() async throws {
        try await withTemporaryDirectory { directory in
            let path = directory + "/cluster.db"
            let first = try TestCluster(makeStore: { try SQLiteMetadataStore(path: path, clock: $0) })
            let clusters =
                try [first]
                + (0..<2).map { _ in
                    TestCluster(beside: first, store: try SQLiteMetadataStore(path: path, clock: first.clock))
                }
            var brokers: [Broker] = []
            for (number, cluster) in clusters.enumerated() { brokers.append(try await Broker(Int32(number + 1), in: cluster)) }
            await eventually { brokers.contains { $0.controller.isActive } }
            let topic = try await clusters[1].createTopic("r", partitions: 30)
            let owned = try await clusters[2].createTopic("s", partitions: 30, mode: "shared")
            let dead = brokers.first { $0.controller.isActive }!
            let survivors = brokers.filter { $0 !== dead }
            await dead.die()
            await expire(dead, in: first, others: survivors)
            for survivor in survivors {
                let image = try #require(
                    await survivor.sees { image in
                        [topic.id, owned.id].allSatisfy { id in
                            image.partitions(of: id).count == 30
                                && image.partitions(of: id).allSatisfy { $0.leader != nil && $0.leader != dead.registration.id }
                        }
                    })
                #expect(image.recoveries[dead.registration.id]?.record.epoch == dead.registration.epoch)
            }
            #expect(survivors.filter(\.controller.isActive).count == 1)
            for survivor in survivors { await survivor.stop() }
            for cluster in clusters { await cluster.store.close() }
        }
    }

    @Test func aMoveCompletesWhenItsTargetsAreInSync() async throws {
        let cluster = TestCluster()
        let broker = try await Broker(1, in: cluster)
        let others = try await [cluster.register(2), cluster.register(3)]
        let (topic, _, _) = try await cluster.operations.createTopic(
            NewTopic(name: "t", layout: .manual([0: [1, 2]]), storageMode: "isr"))
        let (moving, _) = try await cluster.operations.reassign(topic: "t", partition: 0, to: [3, 2])
        #expect(await broker.sees { $0.reassignments.map(\.record) == [moving] } != nil)
        let states = PartitionStateStore(store: cluster.store)
        _ = try await states.changeInSyncReplicas(
            PartitionID(topicID: topic.id, topic: "t", partition: 0), leader: 1, leaderEpoch: LeaderEpoch(0),
            expectedPartitionEpoch: moving.partitionEpoch, inSyncReplicas: [1, 2, 3])
        let image = try #require(await broker.sees { $0.reassignments.isEmpty && $0.partition(topic.id, 0)?.replicas == [3, 2] })
        #expect(image.partition(topic.id, 0)?.leader == 3)
        #expect(image.partition(topic.id, 0)?.inSyncReplicas == [3, 2])
        for other in others { await other.abandon() }
        await broker.stop()
    }

    @Test func aDeletedTopicGoesWhenAllLiveReplicasHaveLetGo() async throws {
        let cluster = TestCluster()
        let broker = try await Broker(1, in: cluster)
        let two = try await cluster.register(2)
        let topic = try await cluster.createTopic("t", partitions: 4, replicas: 2)
        try await cluster.operations.deleteTopic("t")
        let image = try #require(await broker.sees { $0.deletion(of: topic.id) != nil })
        #expect(image.topic(named: "t") == nil && image.topic(topic.id) == nil)
        try await expect(.unknownTopic) { try await cluster.operations.deleteTopic("t") }
        let duties = image.deletionDuties(of: 1) + image.deletionDuties(of: 2)
        #expect(duties.count == 2)
        #expect(duties.allSatisfy { $0.localPartitions == [0, 1, 2, 3] })
        #expect(duties.flatMap(\.ownedPartitions).sorted() == [0, 1, 2, 3])
        for duty in duties {
            #expect(try await cluster.store.get("/topics/t") != nil)
            try await cluster.operations.acknowledgeDeletion(duty)
        }
        let gone = try #require(await broker.sees { $0.storedTopic(named: "t") == nil })
        #expect(gone.deletionDuties(of: 1).isEmpty)
        for prefix in ["/topics/", "/partitions/", "/deletions/"] {
            #expect(try await cluster.store.list(prefix: prefix).values.isEmpty)
        }
        // Too late an acknowledgement leaves nothing behind.
        try await cluster.operations.acknowledgeDeletion(duties[0])
        #expect(try await cluster.store.list(prefix: "/deletions/").values.isEmpty)
        try await cluster.createTopic("t", partitions: 1, replicas: 1)
        await two.abandon()
        await broker.stop()
    }

    @Test func whatADeadBrokerWasToDeleteAnotherDeletes() async throws {
        let cluster = TestCluster()
        let broker = try await Broker(1, in: cluster)
        let two = try await cluster.register(2)
        let topic = try await cluster.operations.createTopic(
            NewTopic(name: "t", layout: .manual([0: [2], 1: [1]]), storageMode: "shared")
        ).topic
        try await cluster.operations.deleteTopic("t")
        let image = try #require(await broker.sees { $0.deletion(of: topic.id)?.owners == [2, 1] })
        try await cluster.operations.acknowledgeDeletion(image.deletionDuties(of: 1)[0])
        await two.deregister()
        let later = try #require(await broker.sees { $0.deletion(of: topic.id)?.owners == [1, 1] })
        let duty = try #require(later.deletionDuties(of: 1).first)
        #expect(duty.localPartitions == [1] && duty.ownedPartitions == [0, 1])
        try await cluster.operations.acknowledgeDeletion(duty)
        #expect(await broker.sees { $0.storedTopic(named: "t") == nil } != nil)
        await broker.stop()
    }

    @Test func aDrainingBrokerLosesItsLeaderships() async throws {
        let cluster = TestCluster()
        let broker = try await Broker(1, in: cluster)
        let two = try await cluster.register(2)
        let replicated = try await cluster.createTopic("r", partitions: 4, replicas: 2)
        let owned = try await cluster.createTopic("s", partitions: 4, mode: "shared")
        try await two.beginDraining()
        let image = try #require(
            await broker.sees { image in
                image.partitions(of: replicated.id).allSatisfy { $0.leader == 1 && $0.inSyncReplicas == [1] }
                    && image.partitions(of: owned.id).allSatisfy { $0.leader == 1 || $0.addingReplicas == [1] }
            })
        let states = PartitionStateStore(store: cluster.store)
        for record in image.partitions(of: owned.id) where record.leader == 2 {
            _ = try await states.completeHandover(
                image.partitionID(owned.id, record.partition)!, from: 2, to: 1, leaderEpoch: record.leaderEpoch)
        }
        #expect(await broker.sees { $0.partitions(ledBy: 2).isEmpty } != nil)
        await two.deregister()
        let after = try #require(await broker.sees { $0.liveBrokers == [1] })
        #expect(after.recoveries.isEmpty)
        await broker.stop()
    }

    @Test func decisionsForAThousandPartitionsAreRight() async throws {
        let cluster = TestCluster()
        let broker = try await Broker(1, in: cluster)
        let others = try await [cluster.register(2), cluster.register(3)]
        let topic = try await cluster.createTopic("t", partitions: 1_000, replicas: 2)
        await others[0].deregister()
        let image = try #require(
            await broker.sees { image in
                let partitions = image.partitions(of: topic.id)
                return partitions.count == 1_000 && partitions.allSatisfy { $0.leader != 2 && !$0.inSyncReplicas.contains(2) }
            })
        #expect(image.partitions(of: topic.id).allSatisfy { $0.partitionEpoch == ($0.replicas.contains(2) ? 1 : 0) })
        await others[1].abandon()
        await broker.stop()
    }
}
