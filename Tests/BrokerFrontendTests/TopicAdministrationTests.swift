//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import BrokerFrontend
import ClusterMetadata
import KafkaProtocol
import LogEngine
import LogModel
import NIOCore
import SimulationKit
import Testing

@Suite struct TopicAdministrationTests {
    private static func topic(
        _ name: String, partitions: Int32 = 1, replicas: Int16 = 1, _ configs: [String: String?] = [:]
    ) -> CreateTopicsRequest.CreatableTopic {
        CreateTopicsRequest.CreatableTopic(
            name: name, numPartitions: partitions, replicationFactor: replicas,
            configs: configs.map { CreateTopicsRequest.CreatableTopicConfig(name: $0.key, value: $0.value) })
    }

    private func create(
        _ broker: TestBroker, _ topics: [CreateTopicsRequest.CreatableTopic], version: Int16 = 7, validateOnly: Bool = false
    ) async throws -> [String: CreateTopicsResponse.CreatableTopicResult] {
        let answer = try await broker.ask(CreateTopicsRequest(topics: topics, validateOnly: validateOnly), version: version)
        return Dictionary(uniqueKeysWithValues: answer.topics.map { ($0.name, $0) })
    }

    @Test(arguments: Int16(2)...7) func everyVersionMakesTopics(_ version: Int16) async throws {
        let broker = try await TestCluster().broker()
        let made = try await create(broker, [Self.topic("t", partitions: 3, ["retention.ms": "1000"])], version: version)["t"]
        #expect(made?.errorCode == ErrorCode.none)
        let record = try #require(broker.metadata.current.topic(named: "t"))
        #expect(record.partitionCount == 3)
        #expect(record.configs == ["retention.ms": "1000"])
        if version >= 5 {
            #expect(made?.numPartitions == 3)
            let configs = Dictionary(uniqueKeysWithValues: (made?.configs ?? []).map { ($0.name, $0) })
            #expect(configs["retention.ms"]?.value == "1000")
            #expect(configs["retention.ms"]?.configSource == 1)
            #expect(configs["segment.bytes"]?.configSource == 5)
        }
        if version >= 7 { #expect(made?.topicId == record.id) }
    }

    @Test func defaultsAreTheBrokersAndTheModeIsFixed() async throws {
        let broker = try await TestCluster().broker()
        let made = try await create(
            broker,
            [
                Self.topic("plain", partitions: -1, replicas: -1), Self.topic("chosen", ["storage.mode": "shared"]),
                Self.topic("remote", ["remote.storage.enable": "true"]),
                Self.topic("both", ["remote.storage.enable": "true", "storage.mode": "shared"]),
            ])
        #expect(made["plain"]?.numPartitions == 2)
        #expect(made["both"]?.errorCode == .invalidConfig)
        let image = broker.metadata.current
        #expect(image.topic(named: "plain")?.storageMode == "memory")
        #expect(image.topic(named: "chosen")?.storageMode == "shared")
        #expect(image.topic(named: "remote")?.storageMode == "tiered")
    }

    @Test func badTopicsAreRefusedOneByOne() async throws {
        let broker = try await TestCluster().broker()
        try await broker.createTopic("there")
        let made = try await create(
            broker,
            [
                Self.topic("there"), Self.topic("a b"), Self.topic("many", replicas: 3), Self.topic("none", partitions: 0),
                Self.topic("unknown", ["no.such": "1"]), Self.topic("value", ["retention.ms": "long"]),
                Self.topic("null", ["retention.ms": nil]), Self.topic("compact", ["cleanup.policy": "compact"]),
                Self.topic("local", ["local.retention.ms": "10", "retention.ms": "5"]), Self.topic("twice"), Self.topic("twice"),
                Self.topic("good"),
            ])
        #expect(made["there"]?.errorCode == .topicAlreadyExists)
        #expect(made["a b"]?.errorCode == .invalidTopicException)
        #expect(made["none"]?.errorCode == .invalidPartitions)
        for name in ["unknown", "value", "null", "compact", "local"] { #expect(made[name]?.errorCode == .invalidConfig) }
        #expect(made["compact"]?.errorMessage?.contains("compacted topics are not there yet") == true)
        #expect(made["twice"]?.errorCode == .invalidRequest)
        #expect(made["good"]?.errorCode == ErrorCode.none)
    }

    @Test func tooManyReplicasAreRefused() async throws {
        let broker = try await TestCluster(placement: .replicated).broker()
        #expect(try await create(broker, [Self.topic("many", replicas: 3)])["many"]?.errorCode == .invalidReplicationFactor)
    }

    @Test func brokersMayBeNamedByHand() async throws {
        let broker = try await TestCluster().broker()
        var asked = Self.topic("t", partitions: -1, replicas: -1)
        asked.assignments = [CreateTopicsRequest.CreatableReplicaAssignment(partitionIndex: 0, brokerIds: [0])]
        #expect(try await create(broker, [asked])["t"]?.errorCode == ErrorCode.none)
        asked.name = "u"
        asked.assignments[0].brokerIds = [9]
        #expect(try await create(broker, [asked])["u"]?.errorCode == .invalidReplicaAssignment)
        asked.numPartitions = 3
        #expect(try await create(broker, [asked])["u"]?.errorCode == .invalidRequest)
    }

    @Test func validatingMakesNothing() async throws {
        let broker = try await TestCluster().broker()
        #expect(try await create(broker, [Self.topic("t")], validateOnly: true)["t"]?.errorCode == ErrorCode.none)
        #expect(broker.metadata.current.topic(named: "t") == nil)
    }

    @Test func aDeletedTopicIsGoneForClients() async throws {
        let broker = try await TestCluster().broker()
        let topic = try await broker.createTopic("t")
        let byName = try await broker.ask(DeleteTopicsRequest(topicNames: ["t", "none"]), version: 5)
        #expect(byName.responses.map(\.errorCode) == [.none, .unknownTopicOrPartition])
        #expect(try await broker.produce(batch(["x"]), to: "t").errorCode == .unknownTopicOrPartition)
        let byID = try await broker.ask(
            DeleteTopicsRequest(topics: [DeleteTopicsRequest.DeleteTopicState(topicId: topic.id)]), version: 6)
        #expect(byID.responses.map(\.errorCode) == [.unknownTopicId])
    }

    @Test func partitionsCanOnlyGrow() async throws {
        let broker = try await TestCluster().broker()
        try await broker.createTopic("t", partitions: 2)
        func ask(_ count: Int32) async throws -> CreatePartitionsResponse.CreatePartitionsTopicResult {
            try await broker.ask(
                CreatePartitionsRequest(topics: [
                    CreatePartitionsRequest.CreatePartitionsTopic(name: "t", count: count, assignments: nil)
                ]), version: 3
            ).results[0]
        }
        #expect(try await ask(4).errorCode == .none)
        #expect(broker.metadata.current.topic(named: "t")?.partitionCount == 4)
        let less = try await ask(3)
        #expect(less.name == "t")
        #expect(less.errorCode == .invalidPartitions)
    }

    @Test func recordsAreDeletedUpToAnOffset() async throws {
        let broker = try await TestCluster().broker()
        try await broker.createTopic("t")
        for value in ["a", "b", "c"] { _ = try await broker.produce(batch([value]), to: "t") }
        func delete(_ offset: Int64, of topic: String = "t") async throws -> DeleteRecordsResponse.DeleteRecordsPartitionResult {
            try await broker.ask(
                DeleteRecordsRequest(topics: [
                    DeleteRecordsRequest.DeleteRecordsTopic(
                        name: topic, partitions: [DeleteRecordsRequest.DeleteRecordsPartition(partitionIndex: 0, offset: offset)])
                ]), version: 2
            ).topics[0].partitions[0]
        }
        #expect(try await delete(2).lowWatermark == 2)
        #expect(try await broker.fetch("t", offset: 0).errorCode == .offsetOutOfRange)
        #expect(try values(try await broker.fetch("t", offset: 2).records) == ["c"])
        #expect(try await delete(9).errorCode == .offsetOutOfRange)
        #expect(try await delete(-1).lowWatermark == 3)
        #expect(try await delete(1, of: "none").errorCode == .unknownTopicOrPartition)
    }

    @Test func recordsCountAsDeletedWhenAllLiveReplicasHaveDeletedThem() async throws {
        let broker = try await TestCluster().broker()
        try await broker.createTopic("t")
        let other = try await broker.cluster.broker(1)
        for value in ["a", "b", "c"] { _ = try await broker.produce(batch([value]), to: "t") }
        let topic = try #require(broker.metadata.current.topic(named: "t")).id
        let log = try #require(broker.hold(PartitionID(topicID: topic, topic: "t", partition: 0)))
        await eventually { broker.metadata.current.broker(BrokerID(1)) != nil }
        log.follow(BrokerID(1), logStart: .zero)
        @Sendable func delete(
            _ offset: Int64, timeoutMs: Int32
        ) async throws -> DeleteRecordsResponse.DeleteRecordsPartitionResult {
            try await broker.ask(
                DeleteRecordsRequest(topics: [.init(name: "t", partitions: [.init(offset: offset)])], timeoutMs: timeoutMs),
                version: 2
            ).topics[0].partitions[0]
        }
        // The follower follows.
        async let first = delete(1, timeoutMs: 60_000)
        await eventually { log.offsets.logStart == Offset(1) && broker.cluster.clock.sleeperCount > 0 }
        log.follow(BrokerID(1), logStart: Offset(1))
        let followed = try await first
        #expect(followed.errorCode == .none && followed.lowWatermark == 1)
        // It does not, in time: the leader's records are gone all the same.
        let late = try await delete(2, timeoutMs: 0)
        #expect(late.errorCode == .requestTimedOut && late.lowWatermark == 1)
        #expect(log.offsets.logStart == Offset(2))
        // It dies: nobody has to wait for it.
        async let last = delete(3, timeoutMs: 60_000)
        await eventually { log.offsets.logStart == Offset(3) && broker.cluster.clock.sleeperCount > 0 }
        await other.stop()
        try await broker.cluster.deregister(BrokerID(1))
        let alone = try await last
        #expect(alone.errorCode == .none && alone.lowWatermark == 3)
    }

    @Test func logDirectoriesTellSizesByPartition() async throws {
        let broker = try await TestCluster().broker()
        try await broker.createTopic("t", partitions: 2)
        let bytes = batch(["abc"])
        _ = try await broker.produce(bytes, to: "t", 1)
        let all = try await broker.ask(DescribeLogDirsRequest(topics: nil), version: 4)
        #expect(all.results.map(\.logDir) == ["memory:0"])
        #expect(all.results[0].totalBytes == 1000)
        #expect(all.results[0].topics[0].partitions.map(\.partitionSize) == [0, Int64(bytes.readableBytes)])
        let one = try await broker.ask(
            DescribeLogDirsRequest(topics: [DescribeLogDirsRequest.DescribableLogDirTopic(topic: "t", partitions: [1])]), version: 1
        )
        #expect(one.results[0].topics[0].partitions.map(\.partitionIndex) == [1])
    }

    @Test func offsetsAreFoundByTimeAndEnds() async throws {
        let broker = try await TestCluster().broker()
        try await broker.createTopic("t")
        let start = broker.cluster.clock.wallMilliseconds()
        _ = try await broker.produce(batch(["a"], timestamp: start), to: "t")
        _ = try await broker.produce(batch(["b"], timestamp: start + 20), to: "t")
        _ = try await broker.produce(batch(["c"], timestamp: start + 10), to: "t")
        func look(_ timestamp: Int64, version: Int16 = 8, epoch: Int32 = -1) async throws
            -> ListOffsetsResponse.ListOffsetsPartitionResponse
        {
            try await broker.ask(
                ListOffsetsRequest(
                    replicaId: -1,
                    topics: [
                        ListOffsetsRequest.ListOffsetsTopic(
                            name: "t",
                            partitions: [
                                ListOffsetsRequest.ListOffsetsPartition(
                                    partitionIndex: 0, currentLeaderEpoch: version >= 4 ? epoch : -1, timestamp: timestamp)
                            ])
                    ]), version: version
            ).topics[0].partitions[0]
        }
        for version in Int16(1)...9 { #expect(try await look(-1, version: version).offset == 3) }
        #expect(try await look(-2).offset == 0)
        #expect(try await look(-3).offset == 1)
        #expect(try await look(-3).timestamp == start + 20)
        #expect(try await look(-4).offset == 0)
        #expect(try await look(start + 5).offset == 1)
        #expect(try await look(start + 50).offset == -1)
        #expect(try await look(start, epoch: 9).errorCode == .unknownLeaderEpoch)
        #expect(try await look(-5).errorCode == .unsupportedVersion)
        // Nothing of it is in a tier.
        #expect(try await look(-5, version: 9).errorCode == .none)
        #expect(try await look(-5, version: 9).offset == -1)
        #expect(try await look(-3, version: 6).errorCode == .unsupportedVersion)
    }

    @Test func theEndOfAnEpochIsTold() async throws {
        let broker = try await TestCluster().broker()
        try await broker.createTopic("t")
        _ = try await broker.produce(batch(["a", "b"]), to: "t")
        for version in Int16(2)...4 {
            let request = OffsetForLeaderEpochRequest(topics: [
                OffsetForLeaderEpochRequest.OffsetForLeaderTopic(
                    topic: "t", partitions: [OffsetForLeaderEpochRequest.OffsetForLeaderPartition(partition: 0, leaderEpoch: 0)])
            ])
            let end = try await broker.ask(request, version: version).topics[0].partitions[0]
            #expect(end.errorCode == .none)
            #expect(end.endOffset == 2)
        }
    }

    @Test func aMoveIsBegunListedAndCancelled() async throws {
        let cluster = try await TestCluster(placement: .replicated)
        let broker = try await cluster.broker(0)
        _ = try await cluster.broker(1)
        await eventually { broker.metadata.current.isLive(BrokerID(1)) }
        let made = try await broker.ask(
            CreateTopicsRequest(topics: [
                CreateTopicsRequest.CreatableTopic(
                    name: "t", numPartitions: -1, replicationFactor: -1,
                    assignments: [CreateTopicsRequest.CreatableReplicaAssignment(partitionIndex: 0, brokerIds: [0])])
            ]), version: 7)
        #expect(made.topics[0].errorCode == .none)
        func alter(_ replicas: [Int32]?) async throws -> ErrorCode {
            try await broker.ask(
                AlterPartitionReassignmentsRequest(topics: [
                    AlterPartitionReassignmentsRequest.ReassignableTopic(
                        name: "t",
                        partitions: [
                            AlterPartitionReassignmentsRequest.ReassignablePartition(partitionIndex: 0, replicas: replicas)
                        ])
                ]), version: 0
            ).responses[0].partitions[0].errorCode
        }
        func list() async throws -> [ListPartitionReassignmentsResponse.OngoingTopicReassignment] {
            try await broker.ask(ListPartitionReassignmentsRequest(topics: nil), version: 0).topics
        }
        #expect(try await list() == [])
        #expect(try await alter([1]) == .none)
        let moving = try await list()
        #expect(moving.map(\.name) == ["t"])
        #expect(moving.first?.partitions.first?.addingReplicas == [1])
        #expect(moving.first?.partitions.first?.removingReplicas == [0])
        #expect(try await alter(nil) == .none)
        #expect(try await list() == [])
        #expect(try await alter(nil) == .noReassignmentInProgress)
        #expect(try await alter([9]) == .invalidReplicaAssignment)
    }

    @Test func thePreferredLeaderIsElectedWhereNeeded() async throws {
        let broker = try await TestCluster(placement: .replicated).broker()
        try await broker.createTopic("t")
        let asked = ElectLeadersRequest(topicPartitions: [ElectLeadersRequest.TopicPartitions(topic: "t", partitions: [0, 5])])
        let answer = try await broker.ask(asked, version: 2)
        #expect(
            answer.replicaElectionResults[0].partitionResult.map(\.errorCode) == [.electionNotNeeded, .unknownTopicOrPartition])
        #expect(try await broker.ask(ElectLeadersRequest(topicPartitions: nil), version: 2).replicaElectionResults == [])
    }
}
