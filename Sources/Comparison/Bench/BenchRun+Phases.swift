//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation
internal import KafkaNetwork
internal import NIOCore
internal import RuntimeEnvironment

extension BenchRun {
    /// Warm-up, test in intervals, drain.
    func run(_ generator: LoadGenerator, topics: Topics, _ client: KafkaClient) async throws -> Outcome {
        let clock = generator.clock
        let (parties, identifiers) = try await makeParties(generator, topics: topics, client)
        let startedAt = Date()
        let start = clock.now() + .milliseconds(10)
        let from = start + .seconds(workload.warmupDurationMinutes * 60)
        for (producer, identifier) in zip(parties.producers, identifiers) {
            await generator.begin(
                producer, identifier, startNanoseconds: start.nanoseconds,
                window: CountedWindow(fromNanoseconds: from.nanoseconds))
        }
        for (_, consumer) in parties.consumers { await consumer.run { $0.count(CountedWindow(fromNanoseconds: from.nanoseconds)) } }
        if workload.warmupDurationMinutes > 0 { generator.progress("warming up for \(workload.warmupDurationMinutes) min") }
        try await clock.sleep(until: from)

        var series = Series()
        let (cpuBefore, usageBefore, allocationsBefore) = (ProcessCPU.own(), usage(), allocations())
        let until = from + .seconds(workload.testDurationMinutes * 60)
        let draining = backlogTask(generator, parties)
        defer { draining?.cancel() }
        var last = from
        // What is drained is seen by one more sample.
        var isDrained = draining == nil
        while last < until || !isDrained {
            isDrained = draining?.isOver ?? true
            // Whole intervals, save the last, which ends with the test.
            var next = last + .milliseconds(workload.intervalMilliseconds)
            if last < until, next > until { next = until }
            try await clock.sleep(until: next)
            let now = clock.now()
            let (produced, consumed, backlog) = await sample(parties)
            series.add(produced, consumed, backlog: backlog, seconds: (now - last).inSeconds)
            generator.progress(series.line)
            last = now
            await changeRate(parties)
        }
        let seconds = (last - from).inSeconds
        let cpu = ProcessCPU.own() - cpuBefore
        let used = zip(usageBefore, usage()).map { before, after in before.flatMap { before in after.map { $0 - before } } }
        let brokers = zip(brokerPIDs, used).compactMap { pid, used in
            used.map { BenchResult.BrokerCPU(pid: pid, seconds: $0.cpuSeconds) }
        }
        let allocated = zip(allocationsBefore, allocations()).map { before, after in
            before.flatMap { before in after.map { $0.allocations - before.allocations } }
        }
        let (produced, consumed, failure) = await finish(parties, at: last)
        // What was acknowledged after the end counts for latency alone: the rates are those of the counted time.
        series.totalProduced.response.merge(produced.response)
        series.totalProduced.publish.merge(produced.publish)
        series.totalProduced.delay.merge(produced.delay)
        series.totalProduced.errors += produced.errors
        series.totalConsumed.endToEnd.merge(consumed.endToEnd)
        series.totalConsumed.damaged += consumed.damaged
        var outcome = outcome(
            series, startedAt: startedAt, seconds: seconds, loadCPU: cpu, brokers: brokers, parties: parties, topics: topics,
            firstFailure: failure)
        if !used.isEmpty, !used.contains(nil) { outcome.brokerUsage = used.compactMap { $0 }.reduce(ProcessUsage(), +) }
        if !allocated.isEmpty, !allocated.contains(nil) { outcome.allocations = allocated.compactMap { $0 }.reduce(0, +) }
        return outcome
    }

    private func usage() -> [ProcessUsage?] { brokerPIDs.map { ProcessUsage.of(pid: $0) } }

    private func allocations() -> [AllocationCounter.Counts?] { allocationCounts.map { AllocationCounter.counts(at: $0) } }

    // MARK: Sampling

    /// The intervals so far, and their sum.
    struct Series {
        var omb = OMBResult()
        var totalProduced = ProducerMeasure()
        var totalConsumed = ConsumerMeasure()
        var line = ""

        mutating func add(_ produced: ProducerMeasure, _ consumed: ConsumerMeasure, backlog: Int64, seconds: Double) {
            omb.append(produced, consumed, backlog: backlog, seconds: seconds)
            totalProduced.merge(produced)
            totalConsumed.merge(consumed)
            line = String(
                format:
                    "produced %.0f records/s %.1f MB/s, consumed %.0f records/s %.1f MB/s, backlog %lld, errors %lld, response p50 %@ p99 %@",
                Double(produced.records) / seconds, Double(produced.bytes) / 1e6 / seconds, Double(consumed.records) / seconds,
                Double(consumed.bytes) / 1e6 / seconds, backlog, produced.errors,
                Format.seconds(produced.response.seconds(at: 0.5)),
                Format.seconds(produced.response.seconds(at: 0.99)))
        }
    }

    private func sample(_ parties: Parties) async -> (ProducerMeasure, ConsumerMeasure, backlog: Int64) {
        var produced = ProducerMeasure()
        for producer in parties.producers { produced.merge(await producer.run { $0.takeMeasure() }) }
        var consumed = ConsumerMeasure()
        for (_, consumer) in parties.consumers { consumed.merge(await consumer.run { $0.takeMeasure() }) }
        return (produced, consumed, await backlog(parties))
    }

    /// Records acknowledged and not yet read, over all subscriptions.
    private func backlog(_ parties: Parties) async -> Int64 {
        guard !parties.consumers.isEmpty else { return 0 }
        var acknowledged: Int64 = 0
        for producer in parties.producers { acknowledged += await producer.run { $0.recordsAcknowledged } }
        var read: Int64 = 0
        for (_, consumer) in parties.consumers { read += await consumer.run { $0.recordsRead } }
        return max(0, acknowledged * Int64(workload.subscriptionsPerTopic) - read)
    }

    private func changeRate(_ parties: Parties) async {
        guard !workload.producerRateList.isEmpty, !parties.producers.isEmpty else { return }
        let rate = workload.rate(atMinuteOfDay: Self.minuteOfDay) / Double(parties.producers.count)
        for producer in parties.producers { await producer.run { $0.changeRate(recordsPerSecond: rate) } }
    }

    // MARK: Backlog

    /// Lets unread records pile up, then be drained.
    final class Draining: Sendable {
        private let task: Task<Void, Never>
        private let over = OneWayFlag()

        init(_ body: @escaping @Sendable () async -> Void) {
            let over = self.over
            task = Task {
                await body()
                over.set()
            }
        }

        var isOver: Bool { over.isSet }
        func cancel() { task.cancel() }
    }

    private func backlogTask(_ generator: LoadGenerator, _ parties: Parties) -> Draining? {
        guard workload.consumerBacklogSizeGB > 0, !parties.consumers.isEmpty else { return nil }
        let wanted = Int64(workload.consumerBacklogSizeGB * Double(1 << 30) / Double(workload.messageSize))
        return Draining { [self] in
            for (_, consumer) in parties.consumers { await consumer.run { $0.consumer.isPaused = true } }
            generator.progress("consumers paused until \(wanted) records are unread")
            while await backlog(parties) < wanted {
                guard (try? await generator.clock.sleep(for: .milliseconds(100))) != nil else { return }
            }
            let begun = generator.clock.now()
            for (_, consumer) in parties.consumers { await consumer.run { $0.consumer.isPaused = false } }
            let enough = Int64((1 - workload.backlogDrainRatio) * Double(wanted)) + Self.drainedRecords
            while await backlog(parties) > enough {
                guard (try? await generator.clock.sleep(for: .milliseconds(100))) != nil else { return }
            }
            generator.progress("backlog drained in \(Format.seconds((generator.clock.now() - begun).inSeconds))")
        }
    }

    /// Unread records that are only on their way, as OpenMessaging counts them.
    private static let drainedRecords: Int64 = 1000

    // MARK: End

    private func finish(_ parties: Parties, at end: MonotonicInstant) async -> (ProducerMeasure, ConsumerMeasure, String?) {
        let window = end.nanoseconds
        var produced = ProducerMeasure()
        var consumed = ConsumerMeasure()
        var failure: String?
        await withTaskGroup(of: Void.self) { group in
            for producer in parties.producers {
                group.addTask {
                    await producer.run { $0.window.untilNanoseconds = window }
                    await producer.stop(within: LoadGenerator.drainLimit)
                }
            }
        }
        for producer in parties.producers {
            let (measure, first) = await producer.run { ($0.takeMeasure(), $0.firstFailure) }
            produced.merge(measure)
            failure = failure ?? first
        }
        for (_, consumer) in parties.consumers {
            consumed.merge(
                await consumer.run {
                    $0.consumer.close()
                    return $0.takeMeasure()
                })
        }
        return (produced, consumed, failure)
    }

    private func outcome(
        _ series: Series, startedAt: Date, seconds: Double, loadCPU: Double, brokers: [BenchResult.BrokerCPU], parties: Parties,
        topics: Topics, firstFailure: String?
    ) -> Outcome {
        var omb = series.omb
        omb.workload = workload.name
        omb.driver = driver
        omb.messageSize = workload.messageSize
        omb.topics = Set(topics.produced + topics.consumed).count
        omb.partitions = parties.partitions
        omb.producersPerTopic = workload.producersPerTopic
        omb.consumersPerTopic = workload.subscriptionsPerTopic * workload.consumerPerSubscription
        let (produced, consumed) = (series.totalProduced, series.totalConsumed)
        omb.aggregate(publish: produced.publish, delay: produced.delay, endToEnd: consumed.endToEnd)

        let gigabytes = Double(produced.bytes) / 1e9
        var notMeasured: [String: String] = [:]
        if produced.response.count == 0 {
            notMeasured["responseSeconds"] = acks == 0 ? "acks=0 is not answered" : "nothing was acknowledged"
        }
        if consumed.endToEnd.count == 0 { notMeasured["endToEndSeconds"] = "nothing of this run's was consumed" }
        if brokers.isEmpty { notMeasured["brokerCPUSeconds"] = "no broker's process id was given, or none runs here" }
        let extra = BenchResult(
            startedAt: startedAt.formatted(.iso8601), workload: workload.name,
            settings: BenchResult.Settings(
                bootstrapServers: bootstrap, acks: acks, lingerSeconds: linger.inSeconds, batchBytes: batchBytesMax,
                inflightRequestsPerConnection: inflightRequestsMax, idempotent: isIdempotent && acks == -1,
                replicationFactor: replicationFactor, topicConfiguration: topicConfiguration, targetRecordsPerSecond: initialRate,
                recordBytes: workload.messageSize, compressibleTo: workload.compressibleTo, topics: omb.topics,
                partitions: omb.partitions, producers: parties.producers.count, consumers: parties.consumers.count,
                warmupSeconds: workload.warmupDurationMinutes * 60, seed: seed),
            seconds: seconds, records: produced.records, bytesProduced: produced.bytes, bytesConsumed: consumed.bytes,
            recordsConsumed: consumed.records, errors: produced.errors, damaged: consumed.damaged,
            responseSeconds: produced.response.count > 0 ? produced.response.percentiles : nil,
            publishSeconds: produced.publish.count > 0 ? produced.publish.percentiles : nil,
            endToEndSeconds: consumed.endToEnd.count > 0 ? consumed.endToEnd.percentiles : nil,
            responseCurve: produced.response.curve(), loadCPUSeconds: loadCPU, brokerCPU: brokers,
            loadCPUSecondsPerGB: gigabytes > 0 ? loadCPU / gigabytes : nil,
            brokerCPUSecondsPerGB: gigabytes > 0 && !brokers.isEmpty ? brokers.reduce(0) { $0 + $1.seconds } / gigabytes : nil,
            environment: EnvironmentCapture.probe(
                version: version, dataDirectory: FileManager.default.currentDirectoryPath, commandLine: commandLine),
            notMeasured: notMeasured, firstFailure: firstFailure)
        return Outcome(omb: omb, extra: extra, requests: produced.requests)
    }
}
