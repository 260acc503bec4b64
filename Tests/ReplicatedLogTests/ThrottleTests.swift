//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogEngine
import LogModel
import LogSegments
import ReplicatedLog
import RuntimeEnvironment
import Testing

/// Replication throttles (KIP-73), and what progress says of a copy under one.
@Suite struct ThrottleTests {
    private let start = MonotonicInstant(nanoseconds: 0)

    // MARK: The throttle

    @Test func theRateHoldsOverAWhileWhateverTheSizeOfAnswers() {
        for size in [100, 5_000, 300_000] {
            var throttle = ReplicationThrottle(bytesPerSecond: 10_000)
            var passed = 0
            for tick in 0..<6_000 {
                let now = start + .milliseconds(tick * 100)
                while throttle.wait(at: now) == .zero {
                    throttle.charge(size, at: now)
                    passed += size
                }
            }
            // A second's credit at the beginning, and the last answer, may be above it.
            #expect(passed >= 10_000 * 590 && passed <= 10_000 * 601 + size, "\(size): \(passed)")
        }
    }

    @Test func withoutABoundAllPassesAndWithNoneNothing() {
        var free = ReplicationThrottle()
        free.charge(1 << 40, at: start)
        #expect(free.wait(at: start) == .zero)
        var shut = ReplicationThrottle(bytesPerSecond: 0)
        #expect(shut.wait(at: start) > .zero)
        #expect(shut.wait(at: start + .seconds(1_000_000)) > .zero)
        // Lifted: what was owed is forgotten.
        var owing = ReplicationThrottle(bytesPerSecond: 10)
        owing.charge(1_000, at: start)
        #expect(owing.wait(at: start) > .seconds(90))
        owing.set(1_000)
        #expect(owing.wait(at: start) == .zero)
    }

    @Test func throttledReplicasAreReadAsKafkaWritesThem() {
        #expect(ThrottledReplicas("")?.contains(0, on: 1) == false)
        #expect(ThrottledReplicas("*")?.contains(7, on: 9) == true)
        let some = ThrottledReplicas("0:1, 0:2,3:1")
        #expect(some?.contains(0, on: 2) == true && some?.contains(3, on: 1) == true && some?.contains(3, on: 2) == false)
        for wrong in ["0", "0:1:2", "a:1", "0:-1", "0:1,*", ":"] { #expect(ThrottledReplicas(wrong) == nil, "\(wrong)") }
    }

    // MARK: The forecast

    @Test func aThrottleAtOrBelowTheIngestNeverFinishes() {
        for throttle in [1_000.0, 999, 0] {
            let forecast = CopyForecast.forecast(remainingBytes: 1, copied: 5_000, ingested: 1_000, throttle: throttle)
            guard case .never = forecast else {
                Issue.record("\(throttle): \(forecast)")
                continue
            }
        }
        let forecast = CopyForecast.forecast(remainingBytes: 10, copied: 900, ingested: 1_000, throttle: 800)
        #expect(forecast.description == "never at this rate: throttle 800 B/s <= ingest 1000 B/s")
    }

    @Test func whatIsLeftShrinksByTheDifference() {
        #expect(
            CopyForecast.forecast(remainingBytes: 6_000, copied: 1_500, ingested: 500, throttle: nil) == .finishes(in: .seconds(6)))
        // The credit of the first second does not last.
        #expect(
            CopyForecast.forecast(remainingBytes: 6_000, copied: 9_000, ingested: 500, throttle: 1_000)
                == .finishes(in: .seconds(12)))
        #expect(CopyForecast.forecast(remainingBytes: 0, copied: nil, ingested: nil, throttle: 0) == .done)
        #expect(CopyForecast.forecast(remainingBytes: 1, copied: nil, ingested: nil, throttle: nil) == .notMeasured)
        #expect(
            CopyForecast.forecast(remainingBytes: 1, copied: 5, ingested: 5, throttle: nil) == .notAtThisRate(copied: 5, ingest: 5))
    }

    @Test func ratesAreThoseOfTheLastSeconds() throws {
        var meter = CopyMeter(logBytes: 1_000, at: start)
        #expect(meter.rates(at: start) == nil)
        for second in 1...20 {
            // Twice as fast in the second half; retention takes a kilobyte on the way.
            meter.note(
                copied: second <= 10 ? 100 : 200, logBytes: 1_000 + Int64(second) * 50 - (second >= 5 ? 1_000 : 0),
                at: start + .seconds(second))
        }
        let rates = try #require(meter.rates(at: start + .seconds(20)))
        #expect(meter.copiedBytes == 3_000)
        #expect(rates.copied == 200)
        #expect(rates.ingested == 50)
    }

    // MARK: In the engine

    @Test(arguments: [true, false]) func onlyReplicasOutOfSyncAreHeldBack(atLeader: Bool) async throws {
        var configuration = LogConfiguration.keeping
        if atLeader { configuration.leaderThrottledReplicas = .all } else { configuration.followerThrottledReplicas = .all }
        let cluster = try await Cluster(configuration: configuration)
        for id in Int32(1)...3 { cluster[id].throttles.set(leader: 0, follower: 0) }
        try await cluster.apply {
            $0.replicas = [BrokerID(1), BrokerID(2)]
            $0.inSyncReplicas = [BrokerID(1), BrokerID(2)]
        }
        for index in 0..<20 {
            try await cluster.log(1).append(Sent.batch("a\(index)"), acks: .all, epoch: nil).durable.wait()
        }
        try await cluster.apply {
            $0.replicas = [BrokerID(1), BrokerID(2), BrokerID(3)]
            $0.addingReplicas = [BrokerID(3)]
        }
        // The member goes on as before, while the newcomer gets nothing.
        for index in 0..<20 {
            try await cluster.log(1).append(Sent.batch("b\(index)"), acks: .all, epoch: nil).durable.wait()
        }
        if atLeader { #expect(await eventually { cluster[1].engine.copies.first?.ingestedBytesPerSecond != nil }) }
        #expect(cluster.log(3).offsets.logEnd == .zero)
        let copy = try #require(cluster[1].engine.copies.first)
        #expect(copy.replica == BrokerID(3) && copy.copiedBytes == 0)
        #expect(copy.remainingBytes == cluster.log(1).sizeInBytes)
        #expect(copy.isThrottledAtLeader == atLeader && copy.isThrottledAtFollower == !atLeader)
        for id in Int32(1)...3 { cluster[id].throttles.set(leader: nil, follower: 1 << 30) }
        #expect(await eventually { cluster.records[cluster.partition]?.inSyncReplicas.contains(BrokerID(3)) == true })
        #expect(cluster[1].engine.copies.first?.copiedBytes == cluster.log(1).sizeInBytes)
        await cluster.shutdown()
    }
}
