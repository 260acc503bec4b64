//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// A workload as OpenMessaging Benchmark's files describe it, with the keys of AutoMQ's and Redpanda's forks.
///
/// ``init(yaml:path:)`` reads one. What a key means is said where upstream leaves it open.
package struct WorkloadFile: Sendable, Hashable {
    /// How keys are chosen. They are sent, but partitions are taken in turn all the same.
    package enum KeyDistributor: String, Sendable, Hashable, CaseIterable {
        case noKey = "NO_KEY"
        case keyRoundRobin = "KEY_ROUND_ROBIN"
        case randomNano = "RANDOM_NANO"
    }

    /// A rate that begins at a time of the day (UTC) and lasts until the next.
    package struct TimedRate: Sendable, Hashable {
        package var hour: Int
        package var minute: Int
        package var recordsPerSecond: Double
    }

    package var name = ""
    package var topics = 1
    package var partitionsPerTopic = 1
    /// AutoMQ: by topic, instead of ``partitionsPerTopic``; repeated if there are more topics.
    package var partitionsPerTopicList: [Int] = []
    package var keyDistributor = KeyDistributor.noKey
    /// Bytes of each value.
    package var messageSize = 1024
    /// The values' content, if it is not made.
    package var payloadFile: String?
    package var useRandomizedPayloads = false
    /// The share of random bytes, 0 to 1; the others are zero.
    package var randomBytesRatio: Double?
    package var randomizedPayloadPoolSize = 0
    package var subscriptionsPerTopic = 1
    package var consumerPerSubscription = 1
    package var producersPerTopic = 1
    package var producersPerTopicList: [Int] = []
    /// Records per second over all producers; 0 is as fast as acknowledged, where upstream searches for the highest rate.
    package var producerRate: Double = 50_000
    package var producerRateList: [TimedRate] = []
    /// Consumers pause until so much is unread, then drain it.
    package var consumerBacklogSizeGB: Double = 0
    package var backlogDrainRatio: Double = 1
    package var testDurationMinutes: Double = 5
    package var warmupDurationMinutes: Double = 1
    package var randomTopicNames = true
    /// Length of an interval of the result's series.
    package var intervalMilliseconds = 10_000
    package var existingTopicList: [String] = []
    package var existingProduceTopicList: [String] = []
    package var existingConsumeTopicList: [String] = []
    /// One line for each key that is not known, or not known to matter here.
    package var warnings: [String] = []

    package init() {}

    /// What of a value is random. Half where the file does not say: records of the kind people compress.
    package var compressibleTo: Double { useRandomizedPayloads ? randomBytesRatio ?? 0.5 : randomBytesRatio ?? 0.5 }

    package func partitions(ofTopic index: Int) -> Int {
        partitionsPerTopicList.isEmpty ? partitionsPerTopic : partitionsPerTopicList[index % partitionsPerTopicList.count]
    }

    package func producers(ofTopic index: Int) -> Int {
        producersPerTopicList.isEmpty ? producersPerTopic : producersPerTopicList[index % producersPerTopicList.count]
    }

    /// The rate at a time of the day: that of the last row at or before it, or of the last row of the day before.
    package func rate(atMinuteOfDay minute: Int) -> Double {
        let rows = producerRateList.sorted { ($0.hour, $0.minute) < ($1.hour, $1.minute) }
        guard let last = rows.last else { return producerRate }
        return (rows.last { $0.hour * 60 + $0.minute <= minute } ?? last).recordsPerSecond
    }
}

/// What is wrong with a workload file: one line, with the place.
package struct WorkloadFileError: Error, Sendable, Hashable, CustomStringConvertible {
    /// From 1; nil where the file as a whole is meant.
    package var line: Int?
    package var description: String

    init(_ path: String, line: Int? = nil, _ problem: String) {
        self.line = line
        self.description = "\(path)\(line.map { ", line \($0)" } ?? ""): \(problem)"
    }
}
