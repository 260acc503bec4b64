//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation
internal import KafkaNetwork
internal import NIOCore
internal import RuntimeEnvironment

/// One run of a workload against any Kafka-compatible cluster: what `ninefold bench` does.
package struct BenchRun: Sendable {
    package var workload: WorkloadFile
    /// `HOST:PORT,…`.
    package var bootstrap: String
    /// Of topics it creates; at most as many as there are brokers.
    package var replicationFactor = 3
    package var topicConfiguration: [String: String] = [:]
    /// -1, 0 or 1.
    package var acks: Int16 = -1
    package var linger: Duration = .milliseconds(1)
    package var batchBytesMax = 131_072
    package var inflightRequestsMax = 5
    package var isIdempotent = true
    /// Processes whose CPU time is told.
    package var brokerPIDs: [Int32] = []
    /// Files in which brokers' ``AllocationCounter``s keep their counts.
    package var allocationCounts: [String] = []
    package var seed: UInt64 = 1
    /// Keeps the topics it created.
    package var keepsTopics = false
    /// What the result calls the cluster.
    package var driver = "Kafka"
    package var version = "0"
    package var commandLine: [String] = []

    package init(workload: WorkloadFile, bootstrap: String) {
        self.workload = workload
        self.bootstrap = bootstrap
    }

    package struct Outcome: Sendable {
        package var omb: OMBResult
        package var extra: BenchResult
        /// Produce requests answered in the counted time.
        package var requests: Int64
        /// What all brokers together used in the counted time; nil if any of them cannot be looked at.
        package var brokerUsage: ProcessUsage?
        /// Allocations of all brokers in the counted time; nil if they are not counted.
        package var allocations: Int64?
    }

    /// The pieces of a run under way.
    struct Parties: Sendable {
        var producers: [LoopBound<LoadProducer>] = []
        /// With the topic's index, by which ends are found.
        var consumers: [(topic: String, consumer: LoopBound<MeasuringConsumer>)] = []
        var partitions = 0
    }

    /// Runs it with `generator`, which the caller closes.
    package func run(_ generator: LoadGenerator) async throws -> Outcome {
        let client = try generator.client(bootstrap)
        let (topics, created) = try await prepareTopics(client)
        do {
            let outcome = try await run(generator, topics: topics, client)
            if !keepsTopics, !created.isEmpty { try await client.deleteTopics(created) }
            return outcome
        } catch {
            if !keepsTopics, !created.isEmpty { try? await client.deleteTopics(created) }
            throw error
        }
    }

    // MARK: Topics

    private func prepareTopics(_ client: KafkaClient) async throws -> (topics: Topics, created: [String]) {
        if !workload.existingTopicList.isEmpty {
            return (Topics(produced: workload.existingTopicList, consumed: workload.existingTopicList), [])
        }
        if !workload.existingProduceTopicList.isEmpty || !workload.existingConsumeTopicList.isEmpty {
            return (Topics(produced: workload.existingProduceTopicList, consumed: workload.existingConsumeTopicList), [])
        }
        let brokers = try await client.refresh(topics: []).brokers.count
        var generator = SystemRandomNumberGenerator()
        let suffix = workload.randomTopicNames ? "-" + String(generator.next(), radix: 36) : ""
        var created: [String] = []
        for index in 0..<workload.topics {
            let name = "test-topic-" + String(format: "%07d", index) + suffix
            try await client.createTopic(
                name, partitions: workload.partitions(ofTopic: index), replicationFactor: min(replicationFactor, max(1, brokers)),
                configuration: topicConfiguration)
            created.append(name)
        }
        return (Topics(produced: created, consumed: created), created)
    }

    struct Topics: Sendable {
        var produced: [String]
        var consumed: [String]
    }

    // MARK: Producers and consumers

    func makeParties(
        _ generator: LoadGenerator, topics: Topics, _ client: KafkaClient
    ) async throws -> (parties: Parties, identifiers: [ProducerIdentifier]) {
        var parties = Parties()
        var identifiers: [ProducerIdentifier] = []
        let total = topics.produced.indices.reduce(0) { $0 + workload.producers(ofTopic: $1) }
        let rate = initialRate / Double(max(1, total))
        for (index, topic) in topics.produced.enumerated() {
            let described = try await generator.partitions(of: topic, client)
            parties.partitions += described.partitions.count
            for number in 0..<workload.producers(ofTopic: index) {
                var plan = ProducerPlan(
                    topic: topic, partitions: described.partitions, recordBytes: workload.messageSize,
                    compressibleTo: workload.compressibleTo, pace: rate > 0 ? .rate(rate) : .unbounded(bytes: nil), acks: acks,
                    seed: seed &+ UInt64(parties.producers.count) &+ UInt64(number))
                plan.linger = linger
                plan.batchBytesMax = batchBytesMax
                plan.inflightRequestsMax = inflightRequestsMax
                plan.isIdempotent = isIdempotent && acks == -1
                plan.keyBytes = workload.keyDistributor == .noKey ? 0 : 7
                parties.producers.append(try await generator.producer(plan, client))
                identifiers.append(try await generator.prepare(parties.producers.last!, described.view, client))
            }
        }
        for topic in topics.consumed where workload.subscriptionsPerTopic > 0 && workload.consumerPerSubscription > 0 {
            let described = try await generator.partitions(of: topic, client)
            if !topics.produced.contains(topic) { parties.partitions += described.partitions.count }
            let starts = try await generator.offsets(of: topic, described.partitions, timestamp: -1, client)
            for _ in 0..<workload.subscriptionsPerTopic {
                for consumer in await generator.consumers(
                    workload.consumerPerSubscription, topic: topic, from: starts, described.view, client)
                { parties.consumers.append((topic, consumer)) }
            }
        }
        return (parties, identifiers)
    }

    /// Records per second over all producers as the run begins.
    var initialRate: Double {
        workload.producerRateList.isEmpty ? workload.producerRate : workload.rate(atMinuteOfDay: Self.minuteOfDay)
    }

    static var minuteOfDay: Int { Int(Date().timeIntervalSince1970 / 60) % (24 * 60) }
}
