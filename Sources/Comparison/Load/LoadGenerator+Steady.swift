//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import KafkaNetwork
internal import LogModel
internal import NIOCore
internal import RuntimeEnvironment

extension LoadGenerator {
    /// A fixed rate on all partitions of a topic, produced and consumed.
    package func steady(_ load: SteadyLoad, bootstrap: String) async throws -> SteadyOutcome {
        guard load.recordsPerSecond > 0, load.producers > 0, load.seconds > 0 else {
            throw Failure("a steady load needs a rate, a producer and a time above 0")
        }
        guard load.acks != 0 else { throw Failure("a steady load with acks=0 is never answered and has no response time") }
        let client = try client(bootstrap)
        let (view, partitions) = try await partitions(of: load.topic, client)
        var made: [LoopBound<LoadProducer>] = []
        for index in 0..<load.producers {
            let plan = ProducerPlan(
                topic: load.topic, partitions: partitions, recordBytes: load.recordBytes, compressibleTo: load.compressibleTo,
                pace: .rate(load.recordsPerSecond / Double(load.producers)), acks: load.acks, seed: load.seed &+ UInt64(index))
            made.append(try await producer(plan, client))
        }
        let producers = made
        let starts = try await offsets(of: load.topic, partitions, timestamp: -1, client)
        let consumers = await consumers(load.consumers, topic: load.topic, from: starts, view, client)
        var ids: [ProducerIdentifier] = []
        for producer in producers { ids.append(try await prepare(producer, view, client)) }
        let start = clock.now() + .milliseconds(10)
        let from = start + .seconds(load.warmupSeconds)
        let until = from + .seconds(load.seconds)
        let window = CountedWindow(fromNanoseconds: from.nanoseconds, untilNanoseconds: until.nanoseconds)
        for consumer in consumers { await consumer.run { $0.count(window) } }
        for (producer, id) in zip(producers, ids) {
            await begin(producer, id, startNanoseconds: start.nanoseconds, window: window)
        }
        let reporter = report(load.topic) { [clock] in
            var records: Int64 = 0
            for producer in producers { records += await producer.run { $0.recordsAcknowledged } }
            let left = max(0, (until - clock.now()).inSeconds)
            return "\(records) records acknowledged, \(Int(left)) s to go"
        }
        defer { reporter.cancel() }
        try await clock.sleep(until: from)
        let cpuBefore = ProcessCPU.own()
        try await clock.sleep(until: until)
        let cpu = ProcessCPU.own() - cpuBefore

        await withTaskGroup(of: Void.self) { group in
            for producer in producers { group.addTask { await producer.stop(within: Self.drainLimit) } }
        }
        var total = ProducerMeasure()
        var failure: String?
        for producer in producers {
            let (measure, first) = await producer.run { ($0.takeMeasure(), $0.firstFailure) }
            total.merge(measure)
            failure = failure ?? first
        }
        if let failure { progress("\(load.topic): the first failure was: \(failure)") }
        let consumed = try await finish(consumers, topic: load.topic, partitions, client)
        guard total.response.count > 0 else {
            throw Failure("nothing was acknowledged by \(load.topic): \(failure ?? "no broker refused anything")")
        }
        return SteadyOutcome(
            records: total.records, bytes: total.bytes, seconds: load.seconds, recordsConsumed: consumed.records,
            errors: total.errors,
            responseSeconds: total.response.percentiles,
            endToEndSeconds: consumed.endToEnd.count > 0 ? consumed.endToEnd.percentiles : nil,
            responseCurve: total.response.curve(),
            loadCPUSeconds: cpu)
    }

    /// The offsets that ListOffsets answers for each partition: -1 their ends, -2 their starts.
    func offsets(of topic: String, _ partitions: [Int32], timestamp: Int64, _ client: KafkaClient) async throws -> [Int32: Int64] {
        try await withThrowingTaskGroup(of: (Int32, Int64).self) { group in
            for partition in partitions {
                group.addTask { (partition, try await client.listOffset(of: topic, partition: partition, timestamp: timestamp)) }
            }
            var offsets: [Int32: Int64] = [:]
            for try await (partition, offset) in group { offsets[partition] = offset }
            return offsets
        }
    }

    // MARK: Consumers

    /// `count` consumers that share the partitions, each of which counts what arrives.
    func consumers(
        _ count: Int, topic: String, from starts: [Int32: Int64], _ view: ClusterView, _ client: KafkaClient
    ) async -> [LoopBound<MeasuringConsumer>] {
        var consumers: [LoopBound<MeasuringConsumer>] = []
        for index in 0..<min(count, starts.count) {
            let own = starts.filter { Int($0.key) % count == index }
            let (eventLoop, clock, ledger) = (group.next(), self.clock, self.ledger)
            let consumer = await LoopBound(on: eventLoop) {
                MeasuringConsumer(topic: topic, from: own, eventLoop: eventLoop, clock: clock, client: client, ledger: ledger)
            }
            await consumer.run { $0.consumer.begin(view) }
            consumers.append(consumer)
        }
        return consumers
    }

    /// Waits until the consumers have read what there is, for at most ``drainLimit``, and ends them.
    private func finish(
        _ consumers: [LoopBound<MeasuringConsumer>], topic: String, _ partitions: [Int32], _ client: KafkaClient
    ) async throws -> ConsumerMeasure {
        let deadline = clock.now() + Self.drainLimit
        let ends = consumers.isEmpty ? [:] : try await offsets(of: topic, partitions, timestamp: -1, client)
        var total = ConsumerMeasure()
        for consumer in consumers {
            while clock.now() < deadline, await consumer.run({ $0.consumer.lag(to: ends) }) > 0 {
                try await clock.sleep(for: .milliseconds(20))
            }
            total.merge(
                await consumer.run {
                    $0.consumer.close()
                    return $0.takeMeasure()
                })
        }
        return total
    }
}

/// What a consumer measured over some time.
package struct ConsumerMeasure: Sendable {
    package var records: Int64 = 0
    package var bytes: Int64 = 0
    /// Records in batches whose CRC was wrong.
    package var damaged: Int64 = 0
    /// From the intended send to the arrival.
    package var endToEnd = LatencyHistogram()

    package init() {}

    package mutating func merge(_ other: ConsumerMeasure) {
        records += other.records
        bytes += other.bytes
        damaged += other.damaged
        endToEnd.merge(other.endToEnd)
    }
}

/// A consumer that measures. Confined to its loop.
final class MeasuringConsumer {
    private(set) var consumer: LoadConsumer!
    private var window = CountedWindow()
    /// All records read so far, counted or not.
    private(set) var recordsRead: Int64 = 0
    private var measure = ConsumerMeasure()
    private let ledger: AcknowledgementLedger
    private var layouts: [BatchTemplate]

    init(
        topic: String, from: [Int32: Int64], eventLoop: any EventLoop, clock: any Clock, client: KafkaClient,
        ledger: AcknowledgementLedger
    ) {
        self.ledger = ledger
        self.layouts = ledger.layouts
        consumer = LoadConsumer(topic: topic, from: from, eventLoop: eventLoop, clock: clock, client: client) { [unowned self] in
            take($0)
        }
    }

    /// Begins to count, anew.
    func count(_ window: CountedWindow) {
        self.window = window
        measure = ConsumerMeasure()
    }

    func takeMeasure() -> ConsumerMeasure {
        defer { measure = ConsumerMeasure() }
        return measure
    }

    private func take(_ batch: LoadConsumer.Batch) {
        let records = Int(batch.header.recordCount)
        recordsRead += Int64(records)
        if window.contains(batch.arrivedNanoseconds) {
            measure.records += Int64(records)
            measure.bytes += Int64(batch.header.sizeInBytes)
        }
        if batch.isDamaged { measure.damaged += Int64(records) }
        for layout in layouts {
            guard let identity = layout.identity(in: batch.buffer, at: batch.index), identity.run == ledger.run else { continue }
            let sent = DueRecords(
                intendedNanoseconds: identity.intendedNanoseconds, intervalNanoseconds: identity.intervalNanoseconds, count: records
            )
            guard let counted = sent.within(window) else { return }
            return measure.endToEnd.record(
                firstNanoseconds: batch.arrivedNanoseconds - counted.intendedNanoseconds,
                stepNanoseconds: counted.intervalNanoseconds, count: counted.count)
        }
    }
}
