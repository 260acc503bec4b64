//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import BrokerFrontend
import ClusterMetadata
import KafkaProtocol
import LogModel
import Metering
import NIOCore
import RuntimeEnvironment
import SimulationKit
import Testing

@Suite struct FetchTests {
    private func broker() async throws -> TestBroker {
        let broker = try await TestCluster().broker()
        try await broker.createTopic("t")
        return broker
    }

    @Test(arguments: Int16(4)...16) func everyVersionReads(_ version: Int16) async throws {
        let broker = try await broker()
        _ = try await broker.produce(batch(["a", "b"]), to: "t")
        var request = TestBroker.fetchRequest("t")
        request.topics[0].topicId = try #require(broker.metadata.current.topic(named: "t")).id
        let response = try await broker.ask(request, version: version)
        let partition = response.responses[0].partitions[0]
        #expect(partition.errorCode == .none)
        #expect(partition.highWatermark == 2)
        #expect(try values(partition.records) == ["a", "b"])
        #expect(response.sessionId == 0)
    }

    @Test func anOffsetInsideABatchGetsTheWholeBatch() async throws {
        let broker = try await broker()
        _ = try await broker.produce(batch(["a", "b", "c"]), to: "t")
        #expect(try values(try await broker.fetch("t", offset: 1).records) == ["a", "b", "c"])
    }

    @Test func theFirstBatchComesWholeHoweverFewBytesAreAskedFor() async throws {
        let broker = try await broker()
        _ = try await broker.produce(batch(["a"]), to: "t")
        _ = try await broker.produce(batch(["b"]), to: "t")
        let response = try await broker.ask(TestBroker.fetchRequest("t", maxBytes: 1), version: 12)
        #expect(try values(response.responses[0].partitions[0].records) == ["a"])
    }

    @Test func theBytesOfTheRequestAreSharedByItsPartitions() async throws {
        let broker = try await TestCluster().broker()
        try await broker.createTopic("t", partitions: 2)
        _ = try await broker.produce(batch(["a"]), to: "t", 0)
        _ = try await broker.produce(batch(["b"]), to: "t", 1)
        var request = TestBroker.fetchRequest("t", maxBytes: 80)
        request.topics[0].partitions.append(FetchRequest.FetchPartition(partition: 1, partitionMaxBytes: 1000))
        request.topics[0].partitions[0].partitionMaxBytes = 1000
        let partitions = try await broker.ask(request, version: 12).responses[0].partitions
        #expect(try values(partitions[0].records) == ["a"])
        #expect(try values(partitions[1].records) == [])
        #expect(partitions[1].errorCode == .none)
    }

    /// Partition 0 lies in an object store.
    private func remoteBroker(stalls: Bool) async throws -> (broker: TestBroker, far: HeldLog) {
        let broker = try await TestCluster().broker()
        try await broker.createTopic("t", partitions: 2)
        _ = try await broker.produce(batch(["far"]), to: "t", 0)
        _ = try await broker.produce(batch(["near"]), to: "t", 1)
        let topic = try #require(broker.metadata.current.topic(named: "t"))
        let far = try #require(broker.hold(PartitionID(topicID: topic.id, topic: "t", partition: 0)))
        far.beRemote(stalls: stalls)
        return (broker, far)
    }

    private func both(maxWaitMs: Int32 = 0) -> FetchRequest {
        var request = TestBroker.fetchRequest("t", maxWaitMs: maxWaitMs)
        request.topics[0].partitions.append(FetchRequest.FetchPartition(partition: 1, partitionMaxBytes: 1 << 20))
        return request
    }

    private func texts(_ response: FetchResponse) throws -> [Int32: [String]] {
        var texts: [Int32: [String]] = [:]
        for partition in response.responses[0].partitions {
            #expect(partition.errorCode == .none)
            texts[partition.partitionIndex] = try values(partition.records)
        }
        return texts
    }

    @Test func aStoreThatStallsKeepsNobodyFromWhatIsAtHand() async throws {
        let (broker, far) = try await remoteBroker(stalls: true)
        async let first = broker.ask(both(), version: 12)
        await eventually { far.readCount == 1 && broker.cluster.clock.sleeperCount > 0 }
        broker.cluster.clock.advance(by: .milliseconds(500))
        #expect(try texts(try await first) == [0: [], 1: ["near"]])
        // The read goes on, and the next fetch takes what it brings.
        async let second = broker.ask(both(), version: 12)
        await eventually { broker.cluster.clock.sleeperCount > 0 }
        far.beRemote(stalls: false)
        #expect(try texts(try await second) == [0: ["far"], 1: ["near"]])
        #expect(far.readCount == 1)
        #expect(try texts(try await broker.ask(both(), version: 12)) == [0: ["far"], 1: ["near"]])
    }

    @Test func whatComesFromAfarIsAnsweredAtOnce() async throws {
        let (broker, _) = try await remoteBroker(stalls: false)
        var request = TestBroker.fetchRequest("t", maxWaitMs: 60_000, minBytes: 1 << 20)
        #expect(try texts(try await broker.ask(request, version: 12)) == [0: ["far"]])
        // The first batch comes whole, the room is shared with those at hand.
        request.maxBytes = 1
        #expect(try texts(try await broker.ask(request, version: 12)) == [0: ["far"]])
        var shared = both()
        shared.maxBytes = 1
        #expect(try texts(try await broker.ask(shared, version: 12)) == [0: [], 1: ["near"]])
    }

    @Test func howLongAStoreIsWaitedForMayChangeWhileTheBrokerRuns() async throws {
        let (broker, far) = try await remoteBroker(stalls: true)
        let request = IncrementalAlterConfigsRequest(resources: [
            .init(
                resourceType: 4, resourceName: "",
                configs: [.init(name: "remote.fetch.max.wait.ms", configOperation: 0, value: "40")])
        ])
        #expect(try await broker.ask(request, version: 1).responses.map(\.errorCode) == [.none])
        await eventually { broker.metadata.current.brokerConfig("remote.fetch.max.wait.ms", of: broker.id) == "40" }
        async let answer = broker.ask(both(), version: 12)
        await eventually { far.readCount == 1 && broker.cluster.clock.sleeperCount > 0 }
        broker.cluster.clock.advance(by: .milliseconds(40))
        #expect(try texts(try await answer) == [0: [], 1: ["near"]])
        far.beRemote(stalls: false)
    }

    @Test func aWaitingFetchIsAnsweredByAProduce() async throws {
        let broker = try await broker()
        async let waiting = broker.ask(TestBroker.fetchRequest("t", maxWaitMs: 60_000), version: 12)
        // The fetch sleeps on the time it may wait at most.
        await eventually { broker.cluster.clock.sleeperCount > 0 }
        _ = try await broker.produce(batch(["late"]), to: "t")
        #expect(try values(try await waiting.responses[0].partitions[0].records) == ["late"])
    }

    @Test func aWaitingFetchIsAnsweredEmptyWhenTimeIsUp() async throws {
        let broker = try await broker()
        async let waiting = broker.ask(TestBroker.fetchRequest("t", maxWaitMs: 500), version: 12)
        await eventually { broker.cluster.clock.sleeperCount > 0 }
        broker.cluster.clock.advance(by: .milliseconds(500))
        let partition = try await waiting.responses[0].partitions[0]
        #expect(partition.errorCode == .none)
        #expect(partition.records?.isEmpty != false)
    }

    @Test func aFetchWaitsForAsManyBytesAsItAsksFor() async throws {
        let broker = try await broker()
        let one = batch(["a"]).readableBytes
        async let waiting = broker.ask(
            TestBroker.fetchRequest("t", maxWaitMs: 60_000, minBytes: Int32(one * 2)), version: 12)
        await eventually { broker.cluster.clock.sleeperCount > 0 }
        _ = try await broker.produce(batch(["a"]), to: "t")
        _ = try await broker.produce(batch(["b"]), to: "t")
        #expect(try values(try await waiting.responses[0].partitions[0].records) == ["a", "b"])
    }

    @Test func aWaitingFetchLearnsThatTheLeaderChanged() async throws {
        let cluster = try await TestCluster()
        let first = try await cluster.broker(0)
        try await first.createTopic("t")
        let second = try await cluster.broker(1)
        async let waiting = first.ask(TestBroker.fetchRequest("t", maxWaitMs: 60_000), version: 12)
        await eventually { cluster.clock.sleeperCount > 0 }
        try await cluster.move("t", 0, to: second.id)
        let partition = try await waiting.responses[0].partitions[0]
        #expect(partition.errorCode == .notLeaderOrFollower)
        #expect(partition.currentLeader.leaderId == 1)
    }

    @Test func wrongOffsetsEpochsAndTopicsGetKafkasErrors() async throws {
        let broker = try await broker()
        _ = try await broker.produce(batch(["a"]), to: "t")
        #expect(try await broker.fetch("t", offset: 5).errorCode == .offsetOutOfRange)
        #expect(try await broker.fetch("none").errorCode == .unknownTopicOrPartition)
        #expect(try await broker.fetch("none", version: 13).errorCode == .unknownTopicId)
        var fenced = TestBroker.fetchRequest("t")
        fenced.topics[0].partitions[0].currentLeaderEpoch = 7
        #expect(try await broker.ask(fenced, version: 12).responses[0].partitions[0].errorCode == .unknownLeaderEpoch)
    }

    @Test func errorsAreToldAtOnce() async throws {
        let broker = try await broker()
        let response = try await broker.ask(TestBroker.fetchRequest("none", maxWaitMs: 60_000), version: 12)
        #expect(response.responses[0].partitions[0].errorCode == .unknownTopicOrPartition)
    }

    @Test func whatFollowersFetchCountsAsReplication() async throws {
        let broker = try await broker()
        _ = try await broker.produce(batch(["a"]), to: "t")
        var request = TestBroker.fetchRequest("t")
        request.replicaId = 3
        let consumed = broker.meters.snapshot["network.consume"]
        _ = try await broker.ask(request, version: 12)
        #expect(broker.meters.snapshot["network.consume"] == consumed)
        #expect(broker.meters.snapshot["network.replication"]! > 0)
    }

    @Test func aWaitingFetchEndsWithTheBroker() async throws {
        let broker = try await broker()
        async let waiting = broker.ask(TestBroker.fetchRequest("t", maxWaitMs: 60_000), version: 12)
        await eventually { broker.cluster.clock.sleeperCount > 0 }
        await broker.frontend.shutdown()
        #expect(try await waiting.responses[0].partitions[0].errorCode == .none)
    }

    @Test func manyWaitingFetchesAreAllAnswered() async throws {
        let broker = try await broker()
        try await withThrowingTaskGroup(of: [String].self) { group in
            for _ in 0..<20 {
                group.addTask {
                    try values(
                        try await broker.ask(TestBroker.fetchRequest("t", maxWaitMs: 60_000), version: 12).responses[0].partitions[
                            0
                        ]
                        .records)
                }
            }
            await eventually { broker.cluster.clock.sleeperCount > 0 }
            _ = try await broker.produce(batch(["x"]), to: "t")
            for try await found in group { #expect(found == ["x"]) }
        }
    }
}
