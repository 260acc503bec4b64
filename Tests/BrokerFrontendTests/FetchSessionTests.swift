//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import BrokerFrontend
import ClusterMetadata
import KafkaProtocol
import LogModel
import NIOCore
import RuntimeEnvironment
import SimulationKit
import Testing

/// Fetch sessions as clients see them (KIP-227).
@Suite struct FetchSessionTests {
    private func broker(partitions: Int32 = 3, settings: [String: String] = [:]) async throws -> TestBroker {
        let broker = try await TestCluster().broker(settings: settings)
        try await broker.createTopic("t", partitions: partitions)
        return broker
    }

    private func full(_ partitions: Range<Int32>, offset: Int64 = 0) -> FetchRequest {
        var request = TestBroker.fetchRequest("t")
        request.sessionEpoch = 0
        request.topics[0].partitions = partitions.map {
            FetchRequest.FetchPartition(partition: $0, fetchOffset: offset, partitionMaxBytes: 1 << 20)
        }
        return request
    }

    private func next(_ session: Int32, _ epoch: Int32, maxWaitMs: Int32 = 0) -> FetchRequest {
        var request = TestBroker.fetchRequest("t", maxWaitMs: maxWaitMs)
        request.topics = []
        request.sessionId = session
        request.sessionEpoch = epoch
        return request
    }

    /// The partitions an answer speaks of, with their records.
    private func told(_ response: FetchResponse) throws -> [Int32: [String]] {
        var told: [Int32: [String]] = [:]
        for partition in response.responses.flatMap(\.partitions) { told[partition.partitionIndex] = try values(partition.records) }
        return told
    }

    @Test(arguments: Int16(7)...16) func anIncrementalFetchIsToldOnlyWhatIsNew(_ version: Int16) async throws {
        let broker = try await broker()
        var request = full(0..<3)
        let topic = try #require(broker.metadata.current.topic(named: "t")).id
        request.topics[0].topicId = topic
        let first = try await broker.ask(request, version: version)
        let id = first.sessionId
        #expect(id > 0)
        #expect(try told(first) == [0: [], 1: [], 2: []])
        #expect(try told(try await broker.ask(next(id, 1), version: version)) == [:])
        _ = try await broker.produce(batch(["a"]), to: "t", 1)
        let third = try await broker.ask(next(id, 2), version: version)
        #expect(third.sessionId == id)
        #expect(try told(third) == [1: ["a"]])
        // Not said to be consumed: told again.
        #expect(try told(try await broker.ask(next(id, 3), version: version)) == [1: ["a"]])
        var consumed = next(id, 4)
        consumed.topics = [
            .init(topic: "t", topicId: topic, partitions: [.init(partition: 1, fetchOffset: 1, partitionMaxBytes: 1 << 20)])
        ]
        #expect(try told(try await broker.ask(consumed, version: version)) == [:])
        #expect(try told(try await broker.ask(next(id, 5), version: version)) == [:])
    }

    @Test func aWaitingFetchOfASessionIsAnsweredByAProduceToAnyOfItsPartitions() async throws {
        let broker = try await broker()
        let id = try await broker.ask(full(0..<3), version: 12).sessionId
        var epoch: Int32 = 1
        for partition in [Int32(2), 0, 2] {
            let request = next(id, epoch, maxWaitMs: 60_000)
            async let waiting = broker.ask(request, version: 12)
            await eventually { broker.cluster.clock.sleeperCount > 0 }
            _ = try await broker.produce(batch(["late"]), to: "t", partition)
            let answer = try await waiting
            let data = try #require(answer.responses.first?.partitions.first)
            #expect(try told(answer) == [partition: ["late"]])
            var consumed = next(id, epoch + 1)
            consumed.topics = [
                .init(
                    topic: "t",
                    partitions: [.init(partition: partition, fetchOffset: data.highWatermark, partitionMaxBytes: 1 << 20)])
            ]
            #expect(try told(try await broker.ask(consumed, version: 12)) == [:])
            epoch += 2
        }
    }

    /// It came to rest when the fetch began to wait, and stands among those to be read until the fetch is answered.
    @Test func aPartitionPokedInTheFetchInWhichItCameToRestIsReadOnceByTheNext() async throws {
        let broker = try await broker(partitions: 2)
        let topic = try #require(broker.metadata.current.topic(named: "t")).id
        let log = try #require(broker.hold(PartitionID(topicID: topic, topic: "t", partition: 0)))
        let id = try await broker.ask(full(0..<2), version: 12).sessionId
        for epoch in Int32(1)...3 {
            let request = next(id, epoch * 2 - 1, maxWaitMs: 60_000)
            async let waiting = broker.ask(request, version: 12)
            await eventually { broker.cluster.clock.sleeperCount > 0 }
            _ = try await broker.produce(batch(["late"]), to: "t", 0, acks: 1)
            let data = try #require(try await waiting.responses.first?.partitions.first)
            var consumed = next(id, epoch * 2)
            consumed.topics = [
                .init(topic: "t", partitions: [.init(partition: 0, fetchOffset: data.highWatermark, partitionMaxBytes: 1 << 20)])
            ]
            let before = log.readCount
            #expect(try told(try await broker.ask(consumed, version: 12)) == [:])
            #expect(log.readCount == before + 1)
        }
    }

    @Test func partitionsAreForgottenAndAdded() async throws {
        let broker = try await broker()
        let id = try await broker.ask(full(0..<2), version: 12).sessionId
        var change = next(id, 1)
        change.forgottenTopicsData = [.init(topic: "t", partitions: [0])]
        change.topics = [.init(topic: "t", partitions: [.init(partition: 2, partitionMaxBytes: 1 << 20)])]
        #expect(try told(try await broker.ask(change, version: 12)) == [2: []])
        for partition in Int32(0)..<3 { _ = try await broker.produce(batch(["x"]), to: "t", partition) }
        #expect(try told(try await broker.ask(next(id, 2), version: 12)) == [1: ["x"], 2: ["x"]])
        var last = next(id, 3)
        last.forgottenTopicsData = [.init(topic: "t", partitions: [1, 2])]
        #expect(try await broker.ask(last, version: 12).sessionId == 0)
        #expect(try await broker.ask(next(id, 4), version: 12).errorCode == .fetchSessionIdNotFound)
    }

    @Test func sessionsThatAreNotThereAreRefused() async throws {
        let broker = try await broker()
        #expect(try await broker.ask(next(77, 1), version: 12).errorCode == .fetchSessionIdNotFound)
        let id = try await broker.ask(full(0..<1), version: 12).sessionId
        #expect(try await broker.ask(next(id, 2), version: 12).errorCode == .invalidFetchSessionEpoch)
        #expect(try await broker.ask(next(id, 1), version: 13).errorCode == .fetchSessionTopicIdError)
        #expect(try await broker.ask(next(id, 1), version: 12).errorCode == .none)
        #expect(broker.frontend.fetchSessionCounts == FetchSessionCounts(sessions: 1, partitions: 1, evictions: 0))
        var close = full(0..<1)
        close.sessionId = id
        close.sessionEpoch = -1
        #expect(try await broker.ask(close, version: 12).sessionId == 0)
        #expect(try await broker.ask(next(id, 2), version: 12).errorCode == .fetchSessionIdNotFound)
    }

    @Test func withoutSlotsEveryFetchIsFull() async throws {
        let broker = try await broker(settings: ["max.incremental.fetch.session.cache.slots": "0"])
        let answer = try await broker.ask(full(0..<3), version: 12)
        #expect(answer.sessionId == 0)
        #expect(broker.frontend.fetchSessionCounts == FetchSessionCounts(sessions: 0, partitions: 0, evictions: 0))
        #expect(try told(answer).count == 3)
    }

    @Test func errorsAreToldEachTimeAndTheirEndToo() async throws {
        let broker = try await broker(partitions: 1)
        let id = try await broker.ask(full(0..<1, offset: 5), version: 12).sessionId
        for epoch in Int32(1)...2 {
            let answer = try await broker.ask(next(id, epoch), version: 12)
            #expect(answer.responses.first?.partitions.first?.errorCode == .offsetOutOfRange)
        }
        var mended = next(id, 3)
        mended.topics = [.init(topic: "t", partitions: [.init(partition: 0, partitionMaxBytes: 1 << 20)])]
        #expect(try await broker.ask(mended, version: 12).responses.first?.partitions.first?.errorCode == ErrorCode.none)
    }

    @Test func whatFindsNoRoomInAnAnswerComesWithTheNext() async throws {
        let broker = try await broker(partitions: 4)
        let size = Int32(batch(["x"]).readableBytes)
        let id = try await broker.ask(full(0..<4), version: 12).sessionId
        // They rest, then all have records at once.
        #expect(try told(try await broker.ask(next(id, 1), version: 12)) == [:])
        for partition in Int32(0)..<4 { _ = try await broker.produce(batch(["x"]), to: "t", partition) }
        var seen: [Int32] = []
        for epoch in Int32(2)...5 {
            var request = next(id, epoch)
            request.maxBytes = size
            request.topics =
                seen.last.map {
                    [.init(topic: "t", partitions: [.init(partition: $0, fetchOffset: 1, partitionMaxBytes: 1 << 20)])]
                } ?? []
            let partitions = try told(try await broker.ask(request, version: 12)).filter { !$0.value.isEmpty }
            #expect(partitions.count == 1)
            seen += partitions.keys
        }
        #expect(seen.sorted() == [0, 1, 2, 3])
    }

    @Test func aSecondFetchOfTheSessionEndsTheWaitOfTheFirst() async throws {
        let broker = try await broker()
        let id = try await broker.ask(full(0..<3), version: 12).sessionId
        async let first = broker.ask(next(id, 1, maxWaitMs: 60_000), version: 12)
        await eventually { broker.cluster.clock.sleeperCount > 0 }
        #expect(try await broker.ask(next(id, 2), version: 12).errorCode == .none)
        #expect(try await first.errorCode == .none)
    }

    @Test func aRestingPartitionIsToldOfWhenItsTopicGoes() async throws {
        let broker = try await broker(partitions: 1)
        let id = try await broker.ask(full(0..<1), version: 12).sessionId
        async let waiting = broker.ask(next(id, 1, maxWaitMs: 60_000), version: 12)
        await eventually { broker.cluster.clock.sleeperCount > 0 }
        let topic = try await broker.cluster.operations.deleteTopic("t").topic
        await eventually { broker.metadata.current.topic(named: "t") == nil }
        // As a broker does once the cluster has decided.
        broker.frontend.partitionChanged(PartitionID(topicID: topic.id, topic: "t", partition: 0), log: nil)
        #expect(try await waiting.responses.first?.partitions.first?.errorCode == .unknownTopicOrPartition)
    }
}
