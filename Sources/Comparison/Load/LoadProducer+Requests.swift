//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import KafkaNetwork
internal import KafkaProtocol
internal import LogModel
internal import NIOCore
internal import RuntimeEnvironment

extension LoadProducer {
    // MARK: Out

    func send(_ batches: [(queue: Int, batch: UInt64)], to broker: BrokerID, at now: Int64) {
        guard let link = links[broker], let connection = link.connection else { return fail(batches) }
        var topic = ProduceRequest.TopicProduceData(name: plan.topic)
        for (index, id) in batches {
            guard let batch = queues[index].batches.first(where: { $0.id == id }) else { continue }
            topic.partitionData.append(.init(index: queues[index].partition, records: batch.slices))
        }
        let request = ProduceRequest(
            acks: plan.acks, timeoutMs: Int32(plan.requestTimeout.inMilliseconds), topicData: [topic])
        let correlationID = KafkaConnection.nextCorrelationID()
        let version = link.produceVersion
        let frame: [LogSlice]
        do throws(CodecError) {
            frame = try encodeRequest(request, version: version, correlationID: correlationID, clientID: "ninefold-load-\(number)")
        } catch {
            return giveUp(batches, "Produce cannot be written in version \(version): \(error)")
        }
        guard plan.acks != 0 else {
            connection.sendUnansweredOnLoop(frame)
            for (index, id) in batches { acknowledged(id, of: index, at: clock.now().nanoseconds) }
            return
        }
        link.inflight += 1
        connection.sendOnLoop(frame, correlationID: correlationID, timeout: plan.requestTimeout) { [self] result in
            link.inflight -= 1
            guard !isClosed else { return }
            switch result {
            case .success(let answer): received(answer, version: version, for: batches, from: broker)
            case .failure(let error):
                note("\(error)")
                lost(link, to: broker)
                fail(batches)
            }
            reportIfDrained()
            pump()
        }
    }

    // MARK: In

    private func received(_ frame: ByteBuffer, version: Int16, for batches: [(queue: Int, batch: UInt64)], from broker: BrokerID) {
        let answer: ProduceResponse
        do throws(CodecError) {
            answer = try decodeResponse(to: ProduceRequest.self, version: version, frame: frame).response
        } catch {
            return giveUp(batches, "an answer to Produce cannot be read: \(error)")
        }
        let now = clock.now().nanoseconds
        if window.contains(now) { measure.requests += 1 }
        let partitions = answer.responses.first?.partitionResponses ?? []
        for (index, id) in batches {
            let partition = queues[index].partition
            guard let result = partitions.first(where: { $0.index == partition }) else {
                giveUp([(index, id)], "the answer to Produce lacks \(plan.topic)-\(partition)")
                continue
            }
            switch result.errorCode {
            // A batch sent again that the broker has kept from the first time.
            case .none, .duplicateSequenceNumber: acknowledged(id, of: index, at: now)
            case let code: refused(id, of: index, code, at: now)
            }
        }
    }

    private func acknowledged(_ id: UInt64, of index: Int, at now: Int64) {
        guard let batch = queues[index].remove(id) else { return }
        let partition = queues[index].partition
        recordsAcknowledged += Int64(batch.records)
        bytesAcknowledged += Int64(batch.bytes)
        if plan.acks != 0 {
            ledger.acknowledged(
                batch.firstSequence..<batch.firstSequence + Int64(batch.records), topic: plan.topic,
                by: .init(producer: number, partition: partition))
        }
        gaps?.acknowledged(partition, at: now)
        if window.contains(now) {
            measure.records += Int64(batch.records)
            measure.bytes += Int64(batch.bytes)
        }
        for due in batch.due {
            guard let due = due.within(window) else { continue }
            measure.delay.record(
                firstNanoseconds: batch.firstSentNanoseconds - due.intendedNanoseconds, stepNanoseconds: due.intervalNanoseconds,
                count: due.count)
            // What is not answered has no response time.
            guard plan.acks != 0 else { continue }
            measure.response.record(
                firstNanoseconds: now - due.intendedNanoseconds, stepNanoseconds: due.intervalNanoseconds, count: due.count)
            measure.publish.record(nanoseconds: now - batch.firstSentNanoseconds, count: due.count)
        }
        noteFirstAcknowledgement()
    }

    private func refused(_ id: UInt64, of index: Int, _ code: ErrorCode, at now: Int64) {
        note("\(plan.topic)-\(queues[index].partition): \(code)")
        switch code {
        case .outOfOrderSequenceNumber, .unknownProducerId, .invalidProducerEpoch, .producerFenced:
            // Behind a batch that failed this is to be expected; for the first it means that the broker has lost our count.
            if queues[index].isFirst(id) { renewProducerID() }
        case let code where code.isRetriable:
            if code.invalidatesMetadata { leaders[queues[index].partition] = nil }
        default:
            return giveUp([(index, id)], "\(plan.topic)-\(queues[index].partition) refused a batch: \(code)")
        }
        fail([(index, id)])
    }

    /// Marks batches for sending again, or gives them up if they are too old.
    func fail(_ batches: [(queue: Int, batch: UInt64)]) {
        let now = clock.now().nanoseconds
        for (index, id) in batches {
            guard let batch = queues[index].batches.first(where: { $0.id == id }) else { continue }
            if now - batch.firstSentNanoseconds > plan.deliveryTimeout.inNanoseconds {
                giveUp([(index, id)], "\(plan.topic)-\(queues[index].partition): not acknowledged in \(plan.deliveryTimeout)")
                continue
            }
            queues[index].failed(id)
            queues[index].notBeforeNanoseconds = now + plan.retryBackoff.inNanoseconds
        }
    }

    private func giveUp(_ batches: [(queue: Int, batch: UInt64)], _ reason: String) {
        note(reason)
        for (index, id) in batches {
            guard let batch = queues[index].remove(id) else { continue }
            measure.errors += Int64(batch.records)
            // What follows would be out of order for the broker.
            if plan.isIdempotent, !queues[index].batches.isEmpty || plan.acks == -1 { renewProducerID() }
        }
    }

    private func note(_ failure: String) {
        if firstFailure == nil { firstFailure = failure }
        lastFailure = failure
    }

    // MARK: Cluster

    func adopt(_ view: ClusterView) {
        addresses = view.brokers
        for queue in queues { leaders[queue.partition] = view.leader(of: plan.topic, partition: queue.partition) }
    }

    /// The link to `broker` if it is open; begins to open it otherwise.
    func openLink(to broker: BrokerID) -> Link? {
        if let link = links[broker] { return link.connection == nil ? nil : link }
        guard let address = addresses[broker] else {
            refreshMetadata()
            return nil
        }
        let link = Link()
        links[broker] = link
        let bound = NIOLoopBound((self, link), eventLoop: eventLoop)
        let eventLoop = self.eventLoop
        let timeout = plan.requestTimeout
        Task {
            let result: Result<KafkaConnection, KafkaClientError>
            do throws(KafkaClientError) {
                result = .success(
                    try await KafkaConnection.connect(
                        to: address, group: eventLoop, clientID: "ninefold-load", timeout: min(timeout, .seconds(2))))
            } catch { result = .failure(error) }
            eventLoop.execute {
                let (producer, link) = bound.value
                producer.opened(link, to: broker, result)
            }
        }
        return nil
    }

    private func opened(_ link: Link, to broker: BrokerID, _ result: Result<KafkaConnection, KafkaClientError>) {
        do {
            let connection = try result.get()
            guard !isClosed else { return Task { await connection.close() }.forget() }
            link.produceVersion = try connection.version(of: ProduceRequest.self, versionMax: 9)
            link.connection = connection
            // A connection that ends with nothing under way has no request to tell of it.
            let bound = NIOLoopBound((self, link), eventLoop: eventLoop)
            connection.closed.whenComplete { _ in
                let (producer, link) = bound.value
                guard producer.links[broker] === link else { return }
                producer.lost(link, to: broker)
            }
            reportIfConnected()
            pump()
        } catch {
            note("\(error)")
            lost(link, to: broker)
        }
    }

    private func lost(_ link: Link, to broker: BrokerID) {
        if links[broker] === link { links[broker] = nil }
        for (partition, leader) in leaders where leader == broker { leaders[partition] = nil }
        reportIfConnected()
        refreshMetadata()
    }

    /// Asks for the cluster's picture, at most once per ``ProducerPlan/retryBackoff``.
    func refreshMetadata() {
        guard !isRefreshing, !isClosed else { return }
        isRefreshing = true
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        let (eventLoop, client, topic, backoff) = (self.eventLoop, self.client, plan.topic, plan.retryBackoff)
        Task {
            let view = try? await client.refresh(topics: [topic])
            eventLoop.execute {
                if let view { bound.value.adopt(view) }
                bound.value.pump()
                eventLoop.scheduleTask(in: .nanoseconds(backoff.inNanoseconds)) {
                    bound.value.isRefreshing = false
                    bound.value.pump()
                }
            }
        }
    }

    /// Begins a new count of batches at the brokers, as Kafka's producer does after a sequence it cannot mend.
    private func renewProducerID() {
        guard plan.isIdempotent, !isRenewingID, !isClosed else { return }
        isRenewingID = true
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        let (eventLoop, client) = (self.eventLoop, self.client)
        Task {
            let answer = try? await client.initializeProducerID()
            eventLoop.execute { bound.value.renewed(answer) }
        }
    }

    private func renewed(_ answer: ProducerIdentifier?) {
        isRenewingID = false
        guard let answer else { return renewProducerID() }
        identifier = answer
        for index in queues.indices {
            var sequence: Int32 = 0
            for position in 0..<queues[index].batches.count {
                // One still under way at a broker is refused there or counted already; it is sent again under the new id if it fails.
                queues[index][position].brokerSequence = sequence
                write(position: position, of: index)
                sequence = RecordBatchHeader.sequence(sequence, plus: Int32(queues[index][position].records))
            }
            queues[index].nextBrokerSequence = sequence
        }
        pump()
    }
}

/// By which brokers know an idempotent producer (KIP-98).
struct ProducerIdentifier: Hashable, Sendable {
    var id: Int64
    var epoch: Int16

    static let none = ProducerIdentifier(id: -1, epoch: -1)
}

extension KafkaClient {
    /// A producer id of its own for an idempotent producer.
    func initializeProducerID() async throws(KafkaClientError) -> ProducerIdentifier {
        let request = InitProducerIdRequest(transactionalId: nil, transactionTimeoutMs: Int32.max)
        let answer = try await callAny(request, versionMax: 4) { (answer) throws(KafkaClientError) in
            try KafkaClientError.check(answer.errorCode, "no producer id was given")
        }
        return ProducerIdentifier(id: answer.producerId, epoch: answer.producerEpoch)
    }
}

extension Task {
    /// For a task whose end nobody awaits.
    func forget() {}
}
