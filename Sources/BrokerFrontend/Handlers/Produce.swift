//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import KafkaProtocol
internal import LogEngine
internal import LogModel
internal import Logging
internal import Metering
internal import NIOCore
internal import RuntimeEnvironment

/// Produce (0): one batch per partition, appended in the order of arrival; answered when durable to the level asked for.
///
/// Announced from version 0, for librdkafka takes a broker without it for one that knows no compression (KAFKA-18659); versions
/// below 3 carry record formats that are not read any more (KIP-724) and are refused.
enum ProduceHandler: Handler {
    static let versions: ClosedRange<Int16> = 3...10
    static let announcedVersions: ClosedRange<Int16> = 0...10
    static let requestClass = NetworkClass.produce

    /// Appended, not durable yet.
    private struct Pending: Sendable {
        var topic: Int
        var partition: Int
        var durable: DurabilitySignal
        var counted: Counted
    }

    private struct Counted: Sendable {
        var bytes: Int64
        var records: Int64
    }

    static func handle(_ request: ProduceRequest, _ context: RequestContext) -> Handling<ProduceResponse> {
        guard let acks = RequiredAcks(rawValue: request.acks) else {
            return .respond(refusal(of: request, .invalidRequiredAcks, "acks is 0, 1 or -1, not \(request.acks)"))
        }
        var response = ProduceResponse()
        var pending: [Pending] = []
        let image = context.frontend.metadata.current
        response.responses.reserveCapacity(request.topicData.count)
        for (topicIndex, topic) in request.topicData.enumerated() {
            var answer = ProduceResponse.TopicProduceResponse(name: topic.name)
            answer.partitionResponses.reserveCapacity(topic.partitionData.count)
            for (partitionIndex, partition) in topic.partitionData.enumerated() {
                do throws(ProduceRefusal) {
                    let (receipt, counted) = try append(
                        partition, of: topic.name, acks: acks, isTransactional: request.transactionalId != nil, image, context)
                    answer.partitionResponses.append(
                        ProduceResponse.PartitionProduceResponse(
                            index: partition.index, baseOffset: receipt.range.lowerBound.rawValue,
                            logAppendTimeMs: receipt.logAppendTime.rawValue, logStartOffset: receipt.logStart.rawValue))
                    let uncounted = receipt.isDuplicate ? Counted(bytes: 0, records: 0) : counted
                    switch acks == .none ? .success(()) : receipt.durable.outcome {
                    case .success: count(uncounted, context)
                    case .failure(let error):
                        answer.partitionResponses[partitionIndex] = failed(
                            partition.index, ProduceRefusal(error), in: image, topic.name, context)
                    case nil:
                        pending.append(
                            Pending(topic: topicIndex, partition: partitionIndex, durable: receipt.durable, counted: uncounted))
                    }
                } catch {
                    if acks == .none {
                        return .closeConnection(
                            "a produce with acks=0 to \(topic.name)-\(partition.index) failed: \(error.message)")
                    }
                    answer.partitionResponses.append(failed(partition.index, error, in: image, topic.name, context))
                }
            }
            response.responses.append(answer)
        }
        if acks == .none { return .noResponse }
        addEndpoints(to: &response, image, context)
        if pending.isEmpty { return .respond(response) }
        return wait(for: pending, response, timeout: .milliseconds(max(request.timeoutMs, 0)), context)
    }

    // MARK: Appending

    private static func append(
        _ partition: ProduceRequest.PartitionProduceData, of topic: String, acks: RequiredAcks, isTransactional: Bool,
        _ image: MetadataImage, _ context: RequestContext
    ) throws(ProduceRefusal) -> (AppendReceipt, Counted) {
        let log: any PartitionLog
        switch context.frontend.locate(topic: topic, partition: partition.index, image) {
        case .here(let found): log = found
        case .elsewhere: throw ProduceRefusal(.notLeaderOrFollower, "this broker does not lead \(topic)-\(partition.index)")
        case .unknown: throw ProduceRefusal(.unknownTopicOrPartition, "there is no partition \(topic)-\(partition.index)")
        }
        let batches = try verified(partition, of: topic, context)
        let header = batches.entries[0].header
        if isTransactional || header.isTransactional {
            throw ProduceRefusal(.invalidTxnState, "transactions are not there yet")
        }
        do throws(LogError) {
            let receipt = try log.append(batches, acks: acks, epoch: nil)
            return (receipt, Counted(bytes: Int64(batches.sizeInBytes), records: Int64(header.recordCount)))
        } catch {
            throw ProduceRefusal(error)
        }
    }

    /// What Kafka's validator asks of a client's batch, as far as its header tells.
    private static func verified(
        _ partition: ProduceRequest.PartitionProduceData, of topic: String, _ context: RequestContext
    ) throws(ProduceRefusal) -> RecordBatches {
        guard case .bytes(let buffer)? = partition.records?.first else {
            throw ProduceRefusal(.invalidRecord, "a produce to \(topic)-\(partition.index) holds no batch")
        }
        let batches: RecordBatches
        do throws(RecordBatchError) { batches = try RecordBatches(verifying: buffer) } catch {
            var metadata = context.logMetadata
            metadata["partition"] = "\(topic)-\(partition.index)"
            metadata["error"] = "\(error)"
            context.frontend.logger.info("A produced batch was refused", metadata: metadata)
            throw ProduceRefusal(
                ErrorCode(error), "a batch for \(topic)-\(partition.index) is damaged or of an unknown kind: \(error)")
        }
        guard batches.entries.count == 1 else {
            throw ProduceRefusal(
                .invalidRecord,
                "one batch per partition is taken; for \(topic)-\(partition.index) there are \(batches.entries.count)")
        }
        let header = batches.entries[0].header
        if header.baseOffset != .zero { throw ProduceRefusal(.invalidRecord, "a produced batch begins at offset 0") }
        if header.isControl { throw ProduceRefusal(.invalidRecord, "clients do not write control batches") }
        if header.recordCount < 1 || header.recordCount != header.lastOffsetDelta + 1 {
            throw ProduceRefusal(.invalidRecord, "a batch's record count and offsets contradict each other")
        }
        if header.hasProducerID, header.baseSequence < 0 || header.producerEpoch < 0 {
            throw ProduceRefusal(.invalidRecord, "a batch with a producer id has a sequence and an epoch")
        }
        if header.codec == .zstd, context.version < 7 {
            throw ProduceRefusal(.unsupportedCompressionType, "zstd needs Produce version 7 or later (KIP-110)")
        }
        return batches
    }

    private static func count(_ counted: Counted, _ context: RequestContext) {
        context.frontend.meters.logicalBytes.add(counted.bytes)
        context.frontend.meters.logicalRecords.add(counted.records)
    }

    // MARK: Waiting

    private static func wait(
        for pending: [Pending], _ response: ProduceResponse, timeout: Duration, _ context: RequestContext
    ) -> Handling<ProduceResponse> {
        .later {
            let frontend = context.frontend
            let wait = DurabilityWait(pending.map(\.durable)) { place in count(pending[place].counted, context) }
            if !wait.isDone {
                let timer = frontend.timers.schedule(at: frontend.environment.clock.now() + timeout) { wait.end() }
                await wait.wait()
                frontend.timers.cancel(timer)
            }
            var response = response
            let outcomes = wait.outcomes
            for (place, append) in pending.enumerated() {
                let name = response.responses[append.topic].name
                let index = response.responses[append.topic].partitionResponses[append.partition].index
                let failure: ProduceRefusal
                switch outcomes[place] {
                case .some(nil): continue
                case .some(.some(let error)): failure = ProduceRefusal(error)
                case nil:
                    failure = ProduceRefusal(
                        .requestTimedOut, "\(name)-\(index): not durable to the level asked for within \(timeout)")
                }
                response.responses[append.topic].partitionResponses[append.partition] = failed(
                    index, failure, in: frontend.metadata.current, name, context)
            }
            addEndpoints(to: &response, frontend.metadata.current, context)
            return response
        }
    }

    // MARK: Refusing

    private struct ProduceRefusal: Error {
        var code: ErrorCode
        var message: String

        init(_ code: ErrorCode, _ message: String) {
            self.code = code
            self.message = message
        }
        init(_ error: LogError) { self.init(ErrorCode(error), error.message) }
    }

    private static func failed(
        _ index: Int32, _ refusal: ProduceRefusal, in image: MetadataImage, _ topic: String, _ context: RequestContext
    ) -> ProduceResponse.PartitionProduceResponse {
        var answer = ProduceResponse.PartitionProduceResponse(index: index, errorCode: refusal.code, baseOffset: -1)
        if context.version >= 8 { answer.errorMessage = refusal.message }
        if context.version >= 10, refusal.code == .notLeaderOrFollower, let record = image.partition(topic: topic, index) {
            answer.currentLeader = ProduceResponse.LeaderIdAndEpoch(
                leaderId: record.leader?.rawValue ?? -1, leaderEpoch: record.leaderEpoch.rawValue)
        }
        return answer
    }

    private static func refusal(of request: ProduceRequest, _ code: ErrorCode, _ message: String) -> ProduceResponse {
        ProduceResponse(
            responses: request.topicData.map { topic in
                ProduceResponse.TopicProduceResponse(
                    name: topic.name,
                    partitionResponses: topic.partitionData.map {
                        ProduceResponse.PartitionProduceResponse(index: $0.index, errorCode: code, baseOffset: -1)
                    })
            })
    }

    /// Where the leaders named in the answer are reached (KIP-951).
    private static func addEndpoints(to response: inout ProduceResponse, _ image: MetadataImage, _ context: RequestContext) {
        guard context.version >= 10 else { return }
        var leaders: Set<Int32> = []
        for topic in response.responses {
            for partition in topic.partitionResponses where partition.currentLeader.leaderId >= 0 {
                leaders.insert(partition.currentLeader.leaderId)
            }
        }
        response.nodeEndpoints = leaders.sorted().compactMap { image.broker(BrokerID($0)) }.map {
            ProduceResponse.NodeEndpoint(nodeId: $0.id.rawValue, host: $0.host, port: Int32($0.port), rack: $0.rack)
        }
    }
}
