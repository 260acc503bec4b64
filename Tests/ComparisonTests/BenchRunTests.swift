//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Comparison
import Foundation
import NIOCore
import NIOPosix
import RuntimeEnvironment
import Synchronization
import Testing

@Suite struct BenchRunTests {
    private static func run(
        _ workload: WorkloadFile, _ change: (inout BenchRun) -> Void = { _ in },
        progress: @escaping @Sendable (String) -> Void = { _ in }
    ) async throws -> BenchRun.Outcome {
        try await FakeBroker.with(topics: [:]) { _, bootstrap in
            let generator = LoadGenerator(
                group: MultiThreadedEventLoopGroup.singleton, clock: SystemClock(), randomness: SystemRandomSource(),
                progress: progress)
            var run = BenchRun(workload: workload, bootstrap: bootstrap)
            change(&run)
            do {
                let outcome = try await run.run(generator)
                await generator.close()
                return outcome
            } catch {
                await generator.close()
                throw error
            }
        }
    }

    private static var workload: WorkloadFile {
        var workload = WorkloadFile()
        workload.name = "small"
        workload.topics = 2
        workload.partitionsPerTopic = 3
        workload.producersPerTopic = 2
        workload.subscriptionsPerTopic = 2
        workload.producerRate = 2000
        workload.messageSize = 100
        workload.warmupDurationMinutes = 0.002
        workload.testDurationMinutes = 0.01
        workload.intervalMilliseconds = 200
        return workload
    }

    @Test func aRunAtARateFillsBothResults() async throws {
        let pid = ProcessInfo.processInfo.processIdentifier
        let outcome = try await Self.run(Self.workload) { $0.brokerPIDs = [pid] }
        let (omb, extra) = (outcome.omb, outcome.extra)
        #expect(omb.topics == 2 && omb.partitions == 6 && omb.producersPerTopic == 2 && omb.consumersPerTopic == 2)
        #expect(!omb.publishRate.isEmpty)
        for count in [
            omb.consumeRate.count, omb.backlog.count, omb.publishLatency999pct.count, omb.publishDelayLatencyMax.count,
            omb.endToEndLatencyAvg.count,
        ] {
            #expect(count == omb.publishRate.count)
        }
        #expect(omb.aggregatedPublishLatency50pct > 0)
        #expect(omb.aggregatedPublishLatency9999pct <= omb.aggregatedPublishLatencyMax)
        #expect(omb.aggregatedEndToEndLatencyQuantiles["100.0"] != nil)
        #expect(extra.records > 0 && extra.errors == 0 && extra.damaged == 0)
        #expect((extra.responseSeconds?.p50 ?? 0) > 0 && (extra.endToEndSeconds?.p50 ?? 0) > 0)
        #expect(extra.brokerCPU.map(\.pid) == [pid])
        #expect(extra.settings.producers == 4 && extra.settings.consumers == 4)
        for word in ["produced", "consumed", "p99.9", "acks=all", "CPU"] { #expect(extra.table.contains(word)) }
    }

    @Test func aRateOfZeroIsAsFastAsAcknowledged() async throws {
        var workload = Self.workload
        workload.producerRate = 0
        let outcome = try await Self.run(workload)
        #expect(outcome.extra.records > 0)
        #expect(outcome.extra.notMeasured["brokerCPUSeconds"] != nil)
        #expect(outcome.extra.brokerCPUSecondsPerGB == nil)
    }

    @Test func unansweredProducesHaveNoResponseTime() async throws {
        let outcome = try await Self.run(Self.workload) { $0.acks = 0 }
        #expect(outcome.extra.records > 0)
        #expect(outcome.extra.responseSeconds == nil)
        #expect(outcome.extra.table.contains("acks=0 is not answered"))
        #expect(try String(decoding: outcome.extra.json(), as: UTF8.self).contains("\"responseSeconds\" : null"))
    }

    @Test func aBacklogPilesUpAndIsDrained() async throws {
        var workload = Self.workload
        workload.topics = 1
        workload.subscriptionsPerTopic = 1
        workload.producerRate = 20_000
        workload.messageSize = 1000
        workload.consumerBacklogSizeGB = 0.005
        let lines = Mutex<[String]>([])
        let outcome = try await Self.run(workload, progress: { line in lines.withLock { $0.append(line) } })
        // Samples are taken by time, and on a slow machine none need fall between the two.
        let told = lines.withLock { $0 }
        let paused = try #require(told.firstIndex { $0.contains("consumers paused until 5368 records are unread") })
        let drained = try #require(told.firstIndex { $0.contains("backlog drained") })
        #expect(paused < drained)
        #expect(!outcome.omb.backlog.isEmpty)
        #expect(outcome.extra.recordsConsumed > 0)
    }

    @Test func theResultHasUpstreamsFieldsAndNoOthers() throws {
        let fields = try #require(JSONSerialization.jsonObject(with: OMBResult().json()) as? [String: Any]).keys
        var expected: Set = [
            "workload", "driver", "messageSize", "topics", "partitions", "producersPerTopic", "consumersPerTopic", "publishRate",
            "publishErrorRate", "consumeRate", "backlog", "aggregatedPublishLatencyQuantiles",
            "aggregatedPublishDelayLatencyQuantiles",
            "aggregatedEndToEndLatencyQuantiles",
        ]
        for name in ["publishLatency", "publishDelayLatency", "endToEndLatency"] {
            for suffix in ["Avg", "50pct", "75pct", "95pct", "99pct", "999pct", "9999pct", "Max"] {
                expected.insert(name + suffix)
                expected.insert("aggregated" + name.prefix(1).uppercased() + name.dropFirst() + suffix)
            }
        }
        #expect(Set(fields) == expected)
    }

    @Test func theFilesAreNamedAsOpenMessagingNamesThem() async throws {
        let directory = NSTemporaryDirectory() + "ninefold-bench-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: directory) }
        var workload = Self.workload
        workload.testDurationMinutes = 0.004
        let outcome = try await Self.run(workload)
        let paths = try outcome.write(into: directory, at: Date(timeIntervalSince1970: 0))
        #expect(paths.omb.contains("/small-Kafka-") && paths.omb.hasSuffix(".json"))
        #expect(paths.extra.hasSuffix(".extra.json"))
        let read = try JSONDecoder().decode(OMBResult.self, from: Data(contentsOf: URL(fileURLWithPath: paths.omb)))
        #expect(read == outcome.omb)
        #expect(
            try JSONDecoder().decode(BenchResult.self, from: Data(contentsOf: URL(fileURLWithPath: paths.extra))) == outcome.extra)
    }
}
