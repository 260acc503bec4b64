//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import KafkaNetwork
package import LogModel
package import NIOCore
internal import RuntimeEnvironment

extension LoadGenerator {
    /// Reads a topic from its start to its end and compares it with everything this process had acknowledged there.
    package func verify(topic: String, bootstrap: String) async throws -> VerifyOutcome {
        let client = try client(bootstrap)
        let (_, partitions) = try await partitions(of: topic, client)
        let acknowledged = ledger.acknowledged(topic: topic)
        var from = try await offsets(of: topic, partitions, timestamp: -2, client)
        var check = TopicCheck(run: ledger.run, templates: ledger.templates)
        // A new leader may tell an end short of what its predecessor had acknowledged until it has heard from its followers, so that
        // what seems lost is looked for again for a while.
        let patience = clock.now() + verificationPatience
        while true {
            let until = try await offsets(of: topic, partitions, timestamp: -1, client)
            check.merge(try await read(topic, from: from, until: until, client))
            from = until
            if check.lost(of: acknowledged) == 0 || clock.now() > patience { break }
            try await clock.sleep(for: min(.milliseconds(200), verificationPatience))
        }
        return VerifyOutcome(
            acknowledged: acknowledged.values.reduce(0) { $0 + $1.count }, read: check.read, lost: check.lost(of: acknowledged),
            duplicated: check.duplicated, reordered: check.reordered, damaged: check.damaged)
    }

    private func read(_ topic: String, from: [Int32: Int64], until: [Int32: Int64], _ client: KafkaClient) async throws
        -> TopicCheck
    {
        let view = try await client.refresh(topics: [topic])
        let readers = 2
        let (clock, ledger) = (self.clock, self.ledger)
        let (run, templates) = (ledger.run, ledger.templates)
        return await withTaskGroup(of: TopicCheck.self) { group in
            for index in 0..<readers {
                let own = from.filter { Int($0.key) % readers == index && $0.value < until[$0.key] ?? 0 }
                guard !own.isEmpty else { continue }
                let eventLoop = self.group.next()
                group.addTask {
                    let reader = await LoopBound(on: eventLoop) {
                        CheckingConsumer(
                            topic: topic, from: own, until: until, eventLoop: eventLoop, clock: clock, client: client,
                            check: TopicCheck(run: run, templates: templates))
                    }
                    let reporter = self.report("\(topic), reader \(index)") {
                        "\(await reader.run { $0.check.read }) records compared"
                    }
                    await reader.wait { reader, done in
                        reader.consumer.whenRead(done)
                        reader.consumer.begin(view)
                    }
                    reporter.cancel()
                    return await reader.run {
                        $0.consumer.close()
                        return $0.check
                    }
                }
            }
            var total = TopicCheck(run: run, templates: templates)
            for await part in group { total.merge(part) }
            return total
        }
    }
}

/// What has been found in a topic, against what was sent.
package struct TopicCheck: Sendable {
    private let run: UInt32
    private let templates: [UInt32: [BatchTemplate]]
    /// Where an identity may be: one template for each place.
    private let layouts: [BatchTemplate]
    private var seen: [AcknowledgementLedger.Key: SequenceRanges] = [:]
    /// Exclusive end of the highest sequence read.
    private var highest: [AcknowledgementLedger.Key: Int64] = [:]

    package private(set) var read: Int64 = 0
    package private(set) var duplicated: Int64 = 0
    package private(set) var reordered: Int64 = 0
    package private(set) var damaged: Int64 = 0

    package init(run: UInt32, templates: [UInt32: [BatchTemplate]]) {
        self.run = run
        self.templates = templates
        var byHead: [Int: BatchTemplate] = [:]
        for template in templates.values.joined() { byHead[template.headBytes] = template }
        layouts = Array(byHead.values)
    }

    /// Takes the next batch of `partition`, which begins at `index` of `buffer`. Batches of other writers are passed over.
    package mutating func take(partition: Int32, header: RecordBatchHeader, buffer: ByteBuffer, index: Int, isDamaged: Bool) {
        for layout in layouts {
            guard let identity = layout.identity(in: buffer, at: index), identity.run == run,
                let own = templates[identity.producer],
                own[0].headBytes == layout.headBytes
            else { continue }
            let records = Int64(header.recordCount)
            read += records
            guard !isDamaged, identity.partition == partition, Int(identity.template) < own.count,
                own[Int(identity.template)].matches(buffer, at: index, records: Int(records))
            else {
                damaged += records
                return
            }
            let key = AcknowledgementLedger.Key(producer: identity.producer, partition: partition)
            let sequences = identity.firstSequence..<identity.firstSequence + records
            let repeated = seen[key, default: SequenceRanges()].insert(sequences)
            duplicated += repeated
            if repeated == 0, sequences.lowerBound < highest[key, default: 0] { reordered += records }
            highest[key] = max(highest[key, default: 0], sequences.upperBound)
            return
        }
    }

    /// Merges what was found later or in other partitions.
    package mutating func merge(_ other: TopicCheck) {
        for (key, ranges) in other.seen {
            for range in ranges.ranges {
                let repeated = seen[key, default: SequenceRanges()].insert(range)
                duplicated += repeated
                if repeated == 0, range.lowerBound < highest[key, default: 0] { reordered += Int64(range.count) }
            }
            highest[key] = max(highest[key, default: 0], other.highest[key] ?? 0)
        }
        read += other.read
        duplicated += other.duplicated
        reordered += other.reordered
        damaged += other.damaged
    }

    /// Records acknowledged and not found whole.
    package func lost(of acknowledged: [AcknowledgementLedger.Key: SequenceRanges]) -> Int64 {
        acknowledged.reduce(0) { $0 + $1.value.count(missingFrom: seen[$1.key] ?? SequenceRanges()) }
    }
}

/// A consumer that compares. Confined to its loop.
final class CheckingConsumer {
    private(set) var consumer: LoadConsumer!
    private(set) var check: TopicCheck

    init(
        topic: String, from: [Int32: Int64], until: [Int32: Int64], eventLoop: any EventLoop, clock: any Clock, client: KafkaClient,
        check: TopicCheck
    ) {
        self.check = check
        consumer = LoadConsumer(topic: topic, from: from, until: until, eventLoop: eventLoop, clock: clock, client: client) {
            [unowned self] in
            self.check.take(
                partition: $0.partition, header: $0.header, buffer: $0.buffer, index: $0.index, isDamaged: $0.isDamaged)
        }
    }
}
