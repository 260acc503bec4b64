//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import KafkaProtocol
internal import LogEngine
internal import LogModel
internal import RuntimeEnvironment

/// One fetch from its first read to its answer. Lives on one task.
///
/// Partitions are read in the order asked for, within the request's bytes. If that is too little, the fetch waits for progress of its
/// partitions and reads again those that made some, until there is enough, something is wrong, or time is up.
final class FetchInProgress {
    private struct Place {
        var topic: Int
        var index: Int
        var asked: FetchRequest.FetchPartition
        var partition: PartitionID?
        var answer: FetchResponse.PartitionData
        var bytes = 0
        /// Errors and divergence are told at once.
        var isUrgent = false
    }

    private let request: FetchRequest
    private let context: RequestContext
    private let frontend: Frontend
    private let replica: (id: BrokerID, epoch: BrokerEpoch)?
    private let bound: ReadBound
    private let maxBytes: Int
    private var places: [Place] = []
    /// Of all places' answers.
    private var bytes = 0
    /// Places that must be told of at once.
    private var urgentCount = 0

    init(_ request: FetchRequest, _ context: RequestContext) {
        self.request = request
        self.context = context
        frontend = context.frontend
        replica = FetchHandler.replica(of: request)
        bound = replica != nil ? .logEnd : request.isolationLevel == 1 ? .lastStableOffset : .highWatermark
        maxBytes = min(max(Int(request.maxBytes), 0), frontend.configuration.fetchMaxBytes)
        places.reserveCapacity(request.topics.reduce(0) { $0 + $1.partitions.count })
        for (topic, asked) in request.topics.enumerated() {
            for (index, partition) in asked.partitions.enumerated() {
                places.append(
                    Place(
                        topic: topic, index: index, asked: partition,
                        answer: FetchResponse.PartitionData(partitionIndex: partition.partition, abortedTransactions: nil)))
            }
        }
    }

    func run() async -> FetchResponse {
        await read(places.indices)
        if request.maxWaitMs > 0, !isEnough, !places.isEmpty { await wait() }
        return response()
    }

    private var isEnough: Bool { urgentCount > 0 || bytes >= Int(request.minBytes) }

    // MARK: Waiting

    private func wait() async {
        let deadline = frontend.environment.clock.now() + .milliseconds(request.maxWaitMs)
        let wait = FetchWait()
        var lists: [WatchList] = []
        for (number, place) in places.enumerated() {
            guard let partition = place.partition else { continue }
            let list = frontend.purgatory.list(for: partition)
            list.add(wait, place: number)
            lists.append(list)
        }
        let timer = frontend.timers.schedule(at: deadline) { wait.end() }
        // Something may have come between the first read and the adding.
        await read(places.indices.filter { places[$0].bytes == 0 })
        while !isEnough, let poked = await wait.next() { await read(poked.sorted()) }
        frontend.timers.cancel(timer)
        for list in lists { list.remove(wait) }
    }

    // MARK: Reading

    private func read(_ numbers: some Sequence<Int>) async {
        let image = frontend.metadata.current
        for number in numbers { await read(number, image) }
    }

    private func read(_ number: Int, _ image: MetadataImage) async {
        let asked = places[number].asked
        let topic = request.topics[places[number].topic]
        let unknown: ErrorCode = context.version >= 13 ? .unknownTopicId : .unknownTopicOrPartition
        let id =
            context.version >= 13
            ? image.partitionID(topic.topicId, asked.partition) : image.partitionID(topic: topic.topic, asked.partition)
        guard let partition = id, image.topic(partition.topicID) != nil else { return fail(number, unknown) }
        places[number].partition = partition
        switch frontend.locate(partition, image) {
        case .unknown: fail(number, .unknownTopicOrPartition)
        case .elsewhere(let record):
            fail(number, .notLeaderOrFollower)
            tellLeader(number, record)
        case .here(let log): await read(number, log, image)
        }
    }

    private func read(_ number: Int, _ log: any PartitionLog, _ image: MetadataImage) async {
        let asked = places[number].asked
        let others = bytes - places[number].bytes
        let reader: Reader =
            replica.map {
                .replica($0.id, brokerEpoch: $0.epoch, lastFetchedEpoch: LeaderEpoch(asked.lastFetchedEpoch))
            } ?? .consumer
        do throws(LogError) {
            let result = try await log.read(
                from: Offset(asked.fetchOffset), maxBytes: min(max(Int(asked.partitionMaxBytes), 0), max(maxBytes - others, 0)),
                minOneBatch: others == 0, bound: bound, reader: reader,
                currentLeaderEpoch: asked.currentLeaderEpoch < 0 ? nil : LeaderEpoch(asked.currentLeaderEpoch))
            succeed(number, result)
        } catch {
            fail(number, ErrorCode(error))
            switch error.code {
            case .notLeader, .fencedLeaderEpoch, .unknownLeaderEpoch, .fenced:
                if let record = image.partition(log.partition.topicID, log.partition.partition) { tellLeader(number, record) }
            default: break
            }
        }
    }

    private func succeed(_ number: Int, _ result: ReadResult) {
        var answer = FetchResponse.PartitionData(partitionIndex: places[number].asked.partition)
        answer.highWatermark = result.offsets.highWatermark.rawValue
        answer.lastStableOffset = result.offsets.lastStable.rawValue
        answer.logStartOffset = result.offsets.logStart.rawValue
        answer.abortedTransactions =
            bound == .lastStableOffset
            ? result.abortedTransactions.map {
                FetchResponse.AbortedTransaction(producerId: $0.producerID, firstOffset: $0.firstOffset.rawValue)
            } : nil
        answer.records = result.records
        var isUrgent = false
        if let diverging = result.divergingEpoch, context.version >= 12 {
            answer.divergingEpoch = FetchResponse.EpochEndOffset(
                epoch: diverging.epoch.rawValue, endOffset: diverging.endOffset.rawValue)
            isUrgent = true
        }
        settle(number, answer, bytes: result.records.sizeInBytes, isUrgent: isUrgent)
    }

    private func fail(_ number: Int, _ code: ErrorCode) {
        let answer = FetchResponse.PartitionData(
            partitionIndex: places[number].asked.partition, errorCode: code, highWatermark: -1, abortedTransactions: nil)
        settle(number, answer, bytes: 0, isUrgent: true)
    }

    private func settle(_ number: Int, _ answer: FetchResponse.PartitionData, bytes: Int, isUrgent: Bool) {
        self.bytes += bytes - places[number].bytes
        urgentCount += (isUrgent ? 1 : 0) - (places[number].isUrgent ? 1 : 0)
        places[number].answer = answer
        places[number].bytes = bytes
        places[number].isUrgent = isUrgent
    }

    private func tellLeader(_ number: Int, _ record: PartitionRecord) {
        guard context.version >= 12 else { return }
        places[number].answer.currentLeader = FetchResponse.LeaderIdAndEpoch(
            leaderId: record.leader?.rawValue ?? -1, leaderEpoch: record.leaderEpoch.rawValue)
    }

    // MARK: Answering

    private func response() -> FetchResponse {
        var response = FetchResponse()
        response.responses = request.topics.map { topic in
            var answer = FetchResponse.FetchableTopicResponse(topic: topic.topic, topicId: topic.topicId)
            answer.partitions.reserveCapacity(topic.partitions.count)
            return answer
        }
        var leaders: Set<Int32> = []
        for place in places {
            response.responses[place.topic].partitions.append(place.answer)
            if place.answer.currentLeader.leaderId >= 0 { leaders.insert(place.answer.currentLeader.leaderId) }
        }
        if context.version >= 16, !leaders.isEmpty {
            let image = frontend.metadata.current
            response.nodeEndpoints = leaders.sorted().compactMap { image.broker(BrokerID($0)) }.map {
                FetchResponse.NodeEndpoint(nodeId: $0.id.rawValue, host: $0.host, port: Int32($0.port), rack: $0.rack)
            }
        }
        return response
    }
}
