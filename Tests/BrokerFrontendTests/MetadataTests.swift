//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import BrokerFrontend
import ClusterMetadata
import KafkaProtocol
import LogModel
import NIOCore
import Testing

@Suite struct MetadataTests {
    private static func request(_ names: [String]?, creates: Bool = true) -> MetadataRequest {
        MetadataRequest(
            topics: names.map { $0.map { MetadataRequest.MetadataRequestTopic(name: $0) } }, allowAutoTopicCreation: creates)
    }

    @Test(arguments: Int16(0)...12) func everyVersionDescribesTopics(_ version: Int16) async throws {
        let broker = try await TestCluster().broker()
        try await broker.createTopic("t", partitions: 3)
        let answer = try await broker.ask(Self.request(["t"]), version: version)
        #expect(answer.brokers.map(\.port) == [9092])
        #expect(answer.topics.map(\.name) == ["t"])
        #expect(answer.topics[0].partitions.map(\.leaderId) == [0, 0, 0])
        if version >= 1 { #expect(answer.controllerId == 0) }
        if version >= 2 { #expect(answer.clusterId?.count == 22) }
    }

    @Test func allTopicsAreAskedForWithNullAndInVersionZeroWithNone() async throws {
        let broker = try await TestCluster().broker()
        try await broker.createTopic("a")
        try await broker.createTopic("b")
        #expect(try await broker.ask(Self.request(nil), version: 9).topics.map(\.name) == ["a", "b"])
        #expect(try await broker.ask(Self.request([]), version: 0).topics.map(\.name) == ["a", "b"])
        #expect(try await broker.ask(Self.request([]), version: 1).topics == [])
    }

    @Test func askingForATopicMakesIt() async throws {
        let broker = try await TestCluster().broker()
        let answer = try await broker.ask(Self.request(["new"]), version: 9)
        #expect(answer.topics[0].errorCode == .none)
        #expect(answer.topics[0].partitions.count == 2)
        #expect(broker.metadata.current.topic(named: "new")?.storageMode == "memory")
    }

    @Test func manyWhoAskAtOnceMakeItOnce() async throws {
        let broker = try await TestCluster().broker()
        try await withThrowingTaskGroup(of: TopicID.self) { group in
            for _ in 0..<10 {
                group.addTask {
                    let topic = try await broker.ask(Self.request(["new"]), version: 10).topics[0]
                    #expect(topic.errorCode == .none)
                    return topic.topicId
                }
            }
            var ids: Set<TopicID> = []
            for try await id in group { ids.insert(id) }
            #expect(ids.count == 1)
        }
    }

    @Test func topicsAreNotMadeWhereClientOrBrokerDoNotWantIt() async throws {
        let broker = try await TestCluster().broker()
        #expect(
            try await broker.ask(Self.request(["new"], creates: false), version: 9).topics[0].errorCode == .unknownTopicOrPartition)
        let strict = try await TestCluster().broker(settings: ["auto.create.topics.enable": "false"])
        #expect(try await strict.ask(Self.request(["new"]), version: 9).topics[0].errorCode == .unknownTopicOrPartition)
    }

    @Test func badNamesAreRefused() async throws {
        let broker = try await TestCluster().broker()
        #expect(
            try await broker.ask(Self.request(["a b", "ok"]), version: 9).topics.map(\.errorCode) == [
                .invalidTopicException, .none,
            ])
    }

    @Test func topicsAreFoundByTheirId() async throws {
        let broker = try await TestCluster().broker()
        let topic = try await broker.createTopic("t")
        let request = MetadataRequest(topics: [
            MetadataRequest.MetadataRequestTopic(topicId: topic.id, name: nil),
            MetadataRequest.MetadataRequestTopic(topicId: TopicID(high: 1, low: 1), name: nil),
        ])
        let answer = try await broker.ask(request, version: 12)
        #expect(answer.topics.map(\.name) == ["t", nil])
        #expect(answer.topics.map(\.errorCode) == [.none, .unknownTopicId])
    }

    @Test func aPartitionWhoseLeaderDiedHasNone() async throws {
        let cluster = try await TestCluster()
        let broker = try await cluster.broker(0)
        _ = try await cluster.broker(1)
        try await broker.createTopic("t")
        try await cluster.move("t", 0, to: BrokerID(1))
        try await cluster.deregister(BrokerID(1))
        await eventually { !broker.metadata.current.isLive(BrokerID(1)) }
        let partition = try await broker.ask(Self.request(["t"]), version: 9).topics[0].partitions[0]
        #expect(partition.errorCode == .leaderNotAvailable)
        #expect(partition.leaderId == -1)
        #expect(partition.offlineReplicas == [1])
    }

    @Test func whatMayBeDoneIsToldWhenAskedFor() async throws {
        let broker = try await TestCluster().broker()
        try await broker.createTopic("t")
        var request = Self.request(["t"])
        request.includeTopicAuthorizedOperations = true
        // Kafka without an authorizer tells the same.
        #expect(try await broker.ask(request, version: 9).topics[0].topicAuthorizedOperations == 3576)
        #expect(try await broker.ask(Self.request(["t"]), version: 9).topics[0].topicAuthorizedOperations == .min)
    }

    @Test func theClusterIsDescribed() async throws {
        let cluster = try await TestCluster()
        let broker = try await cluster.broker(0)
        _ = try await cluster.broker(1)
        await eventually { broker.metadata.current.isLive(BrokerID(1)) }
        let answer = try await broker.ask(DescribeClusterRequest(includeClusterAuthorizedOperations: true), version: 1)
        #expect(answer.brokers.map(\.brokerId) == [0, 1])
        #expect(answer.clusterId.count == 22)
        let controllers = try await broker.ask(DescribeClusterRequest(endpointType: 2), version: 1)
        #expect(controllers.errorCode == .mismatchedEndpointType)
    }
}
