//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import ClusterMetadata
import LogModel
import RuntimeEnvironment
import Testing

@Suite struct BrokerRegistrationTests {
    @Test func eachRunGetsAHigherEpoch() async throws {
        let cluster = TestCluster()
        let first = try await cluster.register(1)
        #expect(first.epoch == BrokerEpoch(0) && !first.isFenced)
        await first.deregister()
        #expect(first.isFenced)
        #expect(try await cluster.store.get("/brokers/1") == nil)
        #expect(try await cluster.store.get("/closed-epochs/1")?.text == "0")
        #expect(try await cluster.register(1).epoch == BrokerEpoch(1))
        #expect(try await cluster.register(2).epoch == BrokerEpoch(0))
    }

    @Test func heartbeatsCarryTheLeaseOnAndTheirEndFencesTheBroker() async throws {
        let cluster = TestCluster()
        let broker = try await cluster.register(1)
        let start = cluster.clock.now()
        #expect(broker.leaseDeadline == start + .seconds(9))
        for _ in 0..<20 {
            let before = broker.leaseDeadline
            await eventually { cluster.clock.hasSleeper(in: .seconds(2)) }
            cluster.clock.advance(by: .seconds(2))
            await eventually { broker.leaseDeadline > before }
        }
        #expect(broker.leaseDeadline == start + .seconds(49))
        await broker.abandon()
        #expect(broker.isFenced)
        #expect(try await cluster.store.get("/brokers/1") != nil)
        cluster.clock.advance(by: .seconds(9))
        #expect(try await cluster.store.get("/brokers/1") == nil)
        #expect(try await cluster.store.get("/closed-epochs/1") == nil)
    }

    @Test func aBrokerStalledForItsSessionIsFencedBeforeItCouldKnow() async throws {
        let cluster = TestCluster()
        let broker = try await cluster.register(1)
        await eventually { cluster.clock.hasSleeper(in: .seconds(2)) }
        cluster.clock.advance(by: .seconds(9))
        // Whether or not the heartbeat's task has run again:
        #expect(broker.isFenced)
        await broker.waitUntilEnded()
        #expect(broker.isFenced)
        #expect(try await cluster.store.get("/brokers/1") == nil)
    }

    @Test func theIDOfALiveBrokerIsRefusedAndThatOfADeadOneWaitedFor() async throws {
        let cluster = TestCluster()
        let broker = try await cluster.register(1)
        let refused = Task { try await cluster.register(1) }
        let moving = Task {
            while !Task.isCancelled {
                // As fast as the heartbeats follow.
                if cluster.clock.now() + .seconds(5) < broker.leaseDeadline { cluster.clock.advance(by: .milliseconds(100)) }
                await Task.yield()
            }
        }
        let error = await #expect(throws: MetadataOperationError.self) { _ = try await refused.value }
        #expect(error?.code == .nodeIDInUse)
        #expect(error?.message.contains("localhost:9001") == true)
        moving.cancel()
        await moving.value

        await broker.abandon()
        let restarted = Task { try await cluster.register(1) }
        let ageing = Task {
            while !Task.isCancelled {
                cluster.clock.advance(by: .milliseconds(50))
                await Task.yield()
            }
        }
        #expect(try await restarted.value.epoch == BrokerEpoch(1))
        ageing.cancel()
        await ageing.value
    }

    @Test func drainingShowsInTheRecordAndKeepsTheLease() async throws {
        let cluster = TestCluster()
        let broker = try await cluster.register(1)
        try await broker.beginDraining()
        let cache = try await cluster.cache()
        #expect(cache.current.drainingBrokers == [1])
        #expect(try await cluster.store.get("/brokers/1")?.lease == broker.lease)
        await broker.deregister()
        #expect(
            await cache.waitUntil(timeout: .seconds(3_600)) { $0.brokers.isEmpty && $0.closedEpochs[1] == BrokerEpoch(0) } != nil)
        await cache.stop()
    }
}
