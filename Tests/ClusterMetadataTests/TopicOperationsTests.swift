//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import ClusterMetadata
import LogModel
import RuntimeEnvironment
import Testing

@Suite struct TopicOperationsTests {
    @Test(arguments: [
        ("", false), (".", false), ("..", false), ("a", true), ("a.b_c-D9", true), ("a b", false), ("ä", false), ("a/b", false),
        (String(repeating: "x", count: 249), true), (String(repeating: "x", count: 250), false),
    ])
    func topicNamesFollowKafkasRules(_ name: String, _ isAllowed: Bool) async throws {
        let cluster = TestCluster()
        _ = try await cluster.register(1)
        if isAllowed {
            try await cluster.createTopic(name, replicas: 1)
        } else {
            let error = await #expect(throws: MetadataOperationError.self) { try await cluster.createTopic(name, replicas: 1) }
            #expect(error?.code == .invalidTopic)
        }
    }

    @Test func aTopicIsMadeOnceAndItsNameMustNotCollide() async throws {
        let cluster = TestCluster()
        _ = try await cluster.register(1)
        try await cluster.createTopic("a.b", replicas: 1)
        try await expect(.topicExists) { try await cluster.createTopic("a.b", replicas: 1) }
        try await expect(.invalidTopic) { try await cluster.createTopic("a_b", replicas: 1) }
        try await cluster.createTopic("a-b", replicas: 1)
    }

    @Test func whatCannotBePlacedIsRefused() async throws {
        let cluster = TestCluster()
        _ = try await cluster.register(1)
        _ = try await cluster.register(2)
        try await expect(.invalidPartitions) { try await cluster.createTopic("t", partitions: 0, replicas: 1) }
        try await expect(.invalidPartitions) { try await cluster.createTopic("t", partitions: .max, replicas: 1) }
        try await expect(.invalidReplicationFactor) { try await cluster.createTopic("t", replicas: 3) }
        try await expect(.invalidReplicationFactor) { try await cluster.createTopic("t", replicas: 0) }
        let manual: [[Int32: [BrokerID]]] = [
            [:], [1: [1]], [0: []], [0: [1, 1]], [0: [3]], [0: [1], 1: [1, 2]], [0: [1], 2: [2]],
        ]
        for layout in manual {
            let expected: MetadataOperationError.Code = layout.isEmpty ? .invalidPartitions : .invalidReplicaAssignment
            try await expect(expected) {
                _ = try await cluster.operations.createTopic(NewTopic(name: "t", layout: .manual(layout), storageMode: "isr"))
            }
        }
        #expect(try await cluster.store.list(prefix: "/topics/").values.isEmpty)
    }

    @Test func onlyValidatingMakesNothing() async throws {
        let cluster = TestCluster()
        _ = try await cluster.register(1)
        let topic = NewTopic(name: "t", layout: .automatic(partitionCount: 2, replicationFactor: 1), storageMode: "isr")
        let made = try await cluster.operations.createTopic(topic, validateOnly: true)
        #expect(made.partitions.count == 2)
        #expect(try await cluster.store.list(prefix: "/topics/").values.isEmpty)
    }

    @Test func aSingleOwnerKeepsOneReplicaWhateverIsAsked() async throws {
        let cluster = TestCluster()
        for id in 1...2 { _ = try await cluster.register(Int32(id)) }
        let made = try await cluster.operations.createTopic(
            NewTopic(name: "t", layout: .automatic(partitionCount: 4, replicationFactor: 3), storageMode: "shared"))
        #expect(made.topic.requestedReplicationFactor == 3)
        #expect(
            made.partitions.allSatisfy { $0.replicas.count == 1 && $0.inSyncReplicas == $0.replicas && $0.leader == $0.replicas[0] }
        )
        let added = try await cluster.operations.createPartitions(topic: "t", partitionCount: 5)
        #expect(added.partitions.map(\.replicas.count) == [1])
    }

    @Test func leadersAndFollowersAreSpreadOverAllBrokers() {
        var generator = SystemRandomNumberGenerator()
        for brokers in 1...6 {
            for factor in 1...brokers {
                let ids = (0..<brokers).map { BrokerID(Int32($0)) }
                let placed = ReplicaPlacer.place(
                    partitionCount: brokers * 12, replicationFactor: factor, brokers: ids, using: &generator)
                #expect(placed.allSatisfy { Set($0).count == factor })
                for id in ids {
                    #expect(placed.filter { $0[0] == id }.count == 12)
                    #expect(placed.filter { $0.contains(id) }.count == 12 * factor)
                }
            }
        }
    }

    @Test func settingsAreChangedByCompareAndSet() async throws {
        let cluster = TestCluster()
        _ = try await cluster.register(1)
        try await cluster.createTopic("t", replicas: 1)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<8 {
                group.addTask {
                    try await cluster.operations.alterTopicConfigs("t") { $0["k\(number)"] = "v" }
                    try await cluster.operations.alterBrokerConfigs(nil) { $0["k\(number)"] = "v" }
                }
            }
            try await group.waitForAll()
        }
        try await cluster.operations.alterBrokerConfigs(1) { $0["k0"] = "own" }
        let cache = try await cluster.cache()
        #expect(cache.current.topic(named: "t")?.configs.count == 8)
        #expect(cache.current.brokerConfig("k0", of: 1) == "own")
        #expect(cache.current.brokerConfig("k0", of: 2) == "v")
        #expect(cache.current.brokerConfig("k1", of: 1) == "v")
        try await expect(.unknownTopic) { try await cluster.operations.alterTopicConfigs("u") { $0["k"] = "v" } }
        await cache.stop()
    }

    @Test func producerIDsAreGivenOutOnce() async throws {
        let cluster = TestCluster()
        let blocks = try await withThrowingTaskGroup(of: Range<Int64>.self) { group in
            for _ in 0..<10 { group.addTask { try await cluster.operations.allocateProducerIDs() } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(blocks.map(\.lowerBound).sorted() == (0..<10).map { $0 * 1_000 })
        #expect(blocks.allSatisfy { $0.count == 1_000 })
    }

    @Test func theClusterHasOneIdentity() async throws {
        let cluster = TestCluster()
        let record = try await cluster.operations.openCluster()
        #expect(record.clusterID.utf8.count == 22)
        #expect(try await cluster.operations.openCluster() == record)
        try await cluster.store.put("/cluster", #"{"clusterID":"x","formatVersion":99}"#)
        try await expect(.unsupportedFormat) { _ = try await cluster.operations.openCluster() }
    }
}

func expect(_ code: MetadataOperationError.Code, _ body: () async throws -> Void) async throws {
    let error = await #expect(throws: MetadataOperationError.self) { try await body() }
    #expect(error?.code == code)
}
