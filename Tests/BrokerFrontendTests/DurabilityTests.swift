//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import BrokerFrontend
import ClusterMetadata
import KafkaProtocol
import LogEngine
import LogModel
import Metering
import NIOCore
import SimulationKit
import Testing

/// What is answered while, and after, an append waits to be durable.
@Suite struct DurabilityTests {
    private func broker() async throws -> (TestBroker, HeldLog) {
        let broker = try await TestCluster().broker()
        let topic = try await broker.createTopic("t")
        let held = try #require(broker.hold(PartitionID(topicID: topic.id, topic: "t", partition: 0)))
        return (broker, held)
    }

    @Test func aProduceIsAnsweredOnceItIsDurable() async throws {
        let (broker, held) = try await broker()
        async let answer = broker.produce(batch(["a"]), to: "t")
        await eventually { held.heldCount == 1 }
        #expect(broker.meters.logicalRecords.value == 0)
        held.release()
        #expect(try await answer.errorCode == .none)
        #expect(broker.meters.logicalRecords.value == 1)
    }

    @Test func aLeadersWordIsEnoughForAcksOne() async throws {
        let (broker, _) = try await broker()
        #expect(try await broker.produce(batch(["a"]), to: "t", acks: 1).errorCode == .none)
    }

    @Test func aProduceThatTakesTooLongTimesOutAndMayBecomeDurableAllTheSame() async throws {
        let (broker, held) = try await broker()
        async let answer = broker.produce(batch(["a"]), to: "t")
        await eventually { held.heldCount == 1 && broker.cluster.clock.sleeperCount > 0 }
        broker.cluster.clock.advance(by: .seconds(1))
        let timedOut = try await answer
        #expect(timedOut.errorCode == .requestTimedOut)
        #expect(timedOut.errorMessage?.contains("t-0") == true)
        #expect(broker.meters.logicalRecords.value == 0)
        held.release()
        #expect(broker.meters.logicalRecords.value == 1)
    }

    @Test func aFailedReplicationIsToldByPartition() async throws {
        let (broker, held) = try await broker()
        async let answer = broker.produce(batch(["a"]), to: "t")
        await eventually { held.heldCount == 1 }
        held.release(LogError(.notEnoughReplicasAfterAppend, "t-0: one replica is left"))
        let failed = try await answer
        #expect(failed.errorCode == .notEnoughReplicasAfterAppend)
        #expect(failed.errorMessage == "t-0: one replica is left")
        #expect(failed.baseOffset == -1)
        #expect(broker.meters.logicalRecords.value == 0)
    }

    @Test func theOrderOfAConnectionsProducesIsThatOfTheirArrival() async throws {
        let (broker, held) = try await broker()
        var later: [@Sendable () async -> FinalOutcome] = []
        for value in ["a", "b", "c"] {
            let frame = try broker.frame(TestBroker.produceRequest(batch([value]), to: "t"), version: 9)
            guard
                case .respondLater(let work) = broker.frontend.dispatch(
                    try RequestFrame(parsing: frame), from: TestBroker.connection)
            else {
                Issue.record("answered before it was durable")
                return
            }
            later.append(work)
        }
        // Offsets are fixed although nobody has waited yet.
        #expect(try values(try await broker.fetch("t").records) == ["a", "b", "c"])
        held.release()
        for work in later { _ = await work() }
    }

    @Test func offsetsAreVisibleOnceTheyAreDurable() async throws {
        let broker = try await TestCluster().broker(settings: ["offsets.topic.num.partitions": "1"])
        try await broker.createTopic("t")
        _ = try await broker.ask(FindCoordinatorRequest(key: "g"), version: 3)
        try await broker.opened("__consumer_offsets")
        let id = try #require(broker.metadata.current.topic(named: "__consumer_offsets")).id
        let held = try #require(broker.hold(PartitionID(topicID: id, topic: "__consumer_offsets", partition: 0)))
        let fetch = OffsetFetchRequest(
            groupId: "g", topics: [OffsetFetchRequest.OffsetFetchRequestTopic(name: "t", partitionIndexes: [0])])
        try await eventually { try await broker.ask(fetch, version: 7).errorCode == .none }
        func commit(_ offset: Int64) -> OffsetCommitRequest {
            OffsetCommitRequest(
                groupId: "g",
                topics: [
                    OffsetCommitRequest.OffsetCommitRequestTopic(
                        name: "t",
                        partitions: [
                            OffsetCommitRequest.OffsetCommitRequestPartition(partitionIndex: 0, committedOffset: offset)
                        ])
                ])
        }
        async let answer = broker.ask(commit(5), version: 8)
        await eventually { held.heldCount == 1 }
        #expect(try await broker.ask(fetch, version: 7).topics[0].partitions[0].committedOffset == -1)
        held.release()
        #expect(try await answer.topics[0].partitions[0].errorCode == .none)
        #expect(try await broker.ask(fetch, version: 7).topics[0].partitions[0].committedOffset == 5)

        async let failing = broker.ask(commit(6), version: 8)
        await eventually { held.heldCount == 1 }
        held.release(LogError(.notEnoughReplicasAfterAppend, "one replica is left"))
        #expect(try await failing.topics[0].partitions[0].errorCode == .coordinatorNotAvailable)
        #expect(try await broker.ask(fetch, version: 7).topics[0].partitions[0].committedOffset == 5)

        async let late = broker.ask(commit(7), version: 8)
        await eventually { held.heldCount == 1 && broker.cluster.clock.sleeperCount > 0 }
        broker.cluster.clock.advance(by: .seconds(5))
        #expect(try await late.topics[0].partitions[0].errorCode == .coordinatorNotAvailable)
        // It was written all the same, and counts once it is durable.
        held.release()
        #expect(try await broker.ask(fetch, version: 7).topics[0].partitions[0].committedOffset == 7)
    }
}
