//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import KafkaNetwork
internal import KafkaProtocol
internal import LogModel
internal import NIOCore
internal import RuntimeEnvironment

/// One producer: its schedule, its partitions' queues, one connection to each leader.
///
/// Everything but `start` and the calls to the cluster's metadata happens on one event loop, without tasks or locks per request.
/// See ``LoadProducer/perform(_:)`` for how others reach it.
final class LoadProducer {
    /// A connection to a broker, or one coming about.
    final class Link {
        var connection: KafkaConnection?
        var produceVersion: Int16 = 0
        var inflight = 0
    }

    let plan: ProducerPlan
    let number: UInt32
    let eventLoop: any EventLoop
    let clock: any Clock
    let client: KafkaClient
    let ledger: AcknowledgementLedger
    let templates: [BatchTemplate]

    var queues: [PartitionQueue]
    var leaders: [Int32: BrokerID] = [:]
    var addresses: [BrokerID: BrokerAddress] = [:]
    var links: [BrokerID: Link] = [:]
    var schedule: SendSchedule?
    var window = CountedWindow()
    var measure = ProducerMeasure()
    var gaps: GapWatch?
    /// Batch bytes put into batches, for a pace that ends by bytes.
    var bytesIssued: Int64 = 0
    var bytesAcknowledged: Int64 = 0
    var recordsAcknowledged: Int64 = 0
    var identifier = ProducerIdentifier.none
    var firstFailure: String?
    var lastFailure: String?

    private var hasBegun = false
    /// Nothing new falls due.
    private(set) var isStopping = false
    /// Nothing is sent any more.
    private(set) var isClosed = false
    private var nextBatchID: UInt64 = 1
    private var turn = 0
    private var timer: Scheduled<Void>?
    private var timerNanoseconds: Int64 = .max
    var isRefreshing = false
    var isRenewingID = false
    private var onConnected: [() -> Void] = []
    private var onDrained: [() -> Void] = []
    private var onFirstAcknowledgement: [() -> Void] = []

    init(
        plan: ProducerPlan, eventLoop: any EventLoop, clock: any Clock, client: KafkaClient, ledger: AcknowledgementLedger,
        watchesGaps: Bool = false
    ) {
        var generator = SeededGenerator(seed: plan.seed)
        templates = (0..<plan.templates).map {
            BatchTemplate(
                number: UInt16($0), recordBytes: plan.recordBytes, compressibleTo: plan.compressibleTo,
                batchBytesMax: plan.batchBytesMax, keyBytes: plan.keyBytes, randomness: &generator)
        }
        self.plan = plan
        self.eventLoop = eventLoop
        self.clock = clock
        self.client = client
        self.ledger = ledger
        self.number = ledger.register(templates)
        self.queues = plan.partitions.map { PartitionQueue(partition: $0) }
        self.gaps = watchesGaps ? GapWatch() : nil
    }

    /// The most records any batch takes; those of a batch to come are no more than these.
    var recordsPerBatchMax: Int { templates.map(\.recordsMax).min() ?? 1 }

    /// Whether a pace that ends by bytes has put all of them into batches.
    private var isIssued: Bool { if case .unbounded(let bytes?) = plan.pace { bytesIssued >= bytes } else { false } }

    var isDrained: Bool { queues.allSatisfy(\.isEmpty) }

    // MARK: Life

    /// Opens connections to the leaders that `view` names, and calls `body` when each is open or has failed.
    func connect(_ view: ClusterView, _ body: @escaping () -> Void) {
        adopt(view)
        onConnected.append(body)
        for leader in Set(leaders.values) { _ = openLink(to: leader) }
        reportIfConnected()
    }

    func reportIfConnected() {
        guard links.values.allSatisfy({ $0.connection != nil }) else { return }
        let waiting = onConnected
        onConnected = []
        for body in waiting { body() }
    }

    /// Begins to send.
    func begin(_ identifier: ProducerIdentifier, startNanoseconds: Int64) {
        self.identifier = identifier
        hasBegun = true
        if case .rate(let rate) = plan.pace {
            schedule = SendSchedule(
                recordsPerSecond: rate, partitionCount: plan.partitions.count, firstPartition: Int(number),
                recordsPerBatchMax: recordsPerBatchMax, linger: plan.linger, startNanoseconds: startNanoseconds)
            schedule?.endNanoseconds = window.untilNanoseconds
        }
        pump()
    }

    /// Goes on at another rate. Only for a pace that has one.
    func changeRate(recordsPerSecond: Double) {
        let now = clock.now().nanoseconds
        takeDue(at: now)
        schedule?.changeRate(recordsPerSecond: recordsPerSecond, at: now)
        pump()
    }

    /// Lets nothing new fall due and calls `body` when all that did is acknowledged or given up.
    func stop(_ body: @escaping () -> Void) {
        takeDue(at: clock.now().nanoseconds)
        isStopping = true
        onDrained.append(body)
        pump()
        reportIfDrained()
    }

    /// Sends nothing more and forgets what is not acknowledged, which counts as errors.
    func close() {
        guard !isClosed else { return }
        for queue in queues { measure.errors += Int64(queue.dueRecords + queue.batches.reduce(0) { $0 + $1.records }) }
        isClosed = true
        isStopping = true
        timer?.cancel()
        for link in links.values {
            guard let connection = link.connection else { continue }
            Task { await connection.close() }
        }
        links = [:]
        reportIfDrained()
        noteFirstAcknowledgement()
    }

    /// For a pace that ends by bytes: calls `body` when all of them are acknowledged or given up.
    func whenIssuedAndDrained(_ body: @escaping () -> Void) {
        onDrained.append(body)
        reportIfDrained()
    }

    func whenFirstAcknowledged(_ body: @escaping () -> Void) {
        if recordsAcknowledged > 0 { body() } else { onFirstAcknowledgement.append(body) }
    }

    /// What was measured since the last call.
    func takeMeasure() -> ProducerMeasure {
        defer { measure = ProducerMeasure() }
        return measure
    }

    func reportIfDrained() {
        guard isClosed || isDrained && (isStopping || isIssued) else { return }
        let waiting = onDrained
        onDrained = []
        for body in waiting { body() }
    }

    // MARK: Sending

    /// Lets fall due what is due, and sends what can be sent.
    func pump() {
        guard hasBegun, !isClosed else { return }
        let now = clock.now().nanoseconds
        if !isStopping { takeDue(at: now) }
        // One batch per partition and request; another round while a full set could be sent.
        while sendRound(at: now) {}
        armTimer(at: now)
    }

    private func takeDue(at now: Int64) {
        schedule?.takeDue(at: now) { partition, records in queues[partition].add(records) }
    }

    /// - Returns: Whether anything was sent.
    private func sendRound(at now: Int64) -> Bool {
        var byBroker: [BrokerID: [(queue: Int, batch: UInt64)]] = [:]
        for offset in queues.indices {
            let index = (turn + offset) % queues.count
            guard let leader = leaders[queues[index].partition] else {
                if hasWork(index, at: now) { refreshMetadata() }
                continue
            }
            guard hasWork(index, at: now), let link = openLink(to: leader), let connection = link.connection,
                // Requests that are answered are bounded by their number; a full socket must not end the pipelining before that.
                link.inflight < plan.inflightRequestsMax, plan.acks != 0 || connection.isWritableOnLoop, !isRenewingID
            else { continue }
            guard let batch = nextBatch(of: index, at: now) else { continue }
            byBroker[leader, default: []].append((index, batch))
        }
        turn = (turn + 1) % queues.count
        for (broker, batches) in byBroker { send(batches, to: broker, at: now) }
        return !byBroker.isEmpty
    }

    private func hasWork(_ index: Int, at now: Int64) -> Bool {
        if case .nothing = queues[index].sendable(at: now, batchesMax: plan.inflightRequestsMax, hasDueBatch: hasDueBatch(index)) {
            return false
        }
        return true
    }

    private func hasDueBatch(_ index: Int) -> Bool {
        switch plan.pace {
        case .rate: return closedRecords(index) > 0
        case .unbounded: return !isStopping && !isIssued
        }
    }

    /// Due records that wait for no others: with a single partition the next batch opens as soon as the last one has closed.
    private func closedRecords(_ index: Int) -> Int {
        queues[index].dueRecords - (isStopping ? 0 : schedule?.openRecords(of: index) ?? 0)
    }

    /// The id of the batch of this partition to send now, made if it is a new one.
    private func nextBatch(of index: Int, at now: Int64) -> UInt64? {
        switch queues[index].sendable(at: now, batchesMax: plan.inflightRequestsMax, hasDueBatch: hasDueBatch(index)) {
        case .nothing: return nil
        case .again(let position):
            queues[index][position].state = .sent
            return queues[index][position].id
        case .new:
            let due: [DueRecords]
            switch plan.pace {
            case .rate: due = queues[index].takeDue(max: min(recordsPerBatchMax, closedRecords(index)))
            case .unbounded:
                due = [DueRecords(intendedNanoseconds: now, intervalNanoseconds: 0, count: recordsPerBatchMax)]
            }
            return append(due, to: index, at: now)
        }
    }

    private func append(_ due: [DueRecords], to index: Int, at now: Int64) -> UInt64 {
        let records = due.reduce(0) { $0 + $1.count }
        let template = templates[Int(nextBatchID % UInt64(templates.count))]
        let first = due[0].intendedNanoseconds
        let last = due[due.count - 1].intended(due[due.count - 1].count - 1)
        let identity = RecordIdentity(
            run: ledger.run, producer: number, partition: queues[index].partition, template: template.number,
            firstSequence: queues[index].nextSequence, intendedNanoseconds: first,
            intervalNanoseconds: records > 1 ? Double(last - first) / Double(records - 1) : 0)
        let batch = PartitionQueue.Batch(
            id: nextBatchID, state: .sent, firstSequence: queues[index].nextSequence, records: records,
            brokerSequence: queues[index].nextBrokerSequence, due: due, slices: LogSlices(),
            bytes: template.batchBytes(records: records), firstSentNanoseconds: now, identity: identity)
        nextBatchID += 1
        queues[index].nextSequence += Int64(records)
        queues[index].nextBrokerSequence = RecordBatchHeader.sequence(queues[index].nextBrokerSequence, plus: Int32(records))
        bytesIssued += Int64(batch.bytes)
        queues[index].append(batch)
        write(position: queues[index].batches.count - 1, of: index)
        return batch.id
    }

    /// Makes the batch's bytes: the head anew, the body shared.
    func write(position: Int, of index: Int) {
        let batch = queues[index][position]
        let template = templates[Int(batch.identity.template)]
        // Records carry the wall clock at their intended time.
        let age = (clock.now().nanoseconds - batch.identity.intendedNanoseconds) / 1_000_000
        queues[index][position].slices = template.batch(
            records: batch.records, identity: batch.identity, timestamp: Timestamp(clock.wallMilliseconds() - age),
            producerID: identifier.id, producerEpoch: identifier.epoch, baseSequence: plan.isIdempotent ? batch.brokerSequence : -1)
    }

    func armTimer(at now: Int64) {
        var next: Int64 = .max
        if !isStopping, let schedule { next = schedule.nextNanoseconds }
        for queue in queues where queue.notBeforeNanoseconds > now && !queue.isEmpty {
            next = min(next, queue.notBeforeNanoseconds)
        }
        guard next != .max, !isClosed, next != timerNanoseconds else { return }
        timer?.cancel()
        timerNanoseconds = next
        timer = eventLoop.assumeIsolated().scheduleTask(in: .nanoseconds(max(next - now, 50_000))) {
            self.timerNanoseconds = .max
            self.pump()
        }
    }

    func noteFirstAcknowledgement() {
        let waiting = onFirstAcknowledgement
        onFirstAcknowledgement = []
        for body in waiting { body() }
    }
}
