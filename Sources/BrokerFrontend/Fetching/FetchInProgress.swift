//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import KafkaProtocol
internal import LogEngine
internal import LogModel
internal import RuntimeEnvironment

/// One fetch from its first read to its answer. Lives on one task, and holds its session's turn.
///
/// The session's pending partitions are read, within the request's bytes. If that is too little, the fetch waits for progress of its
/// partitions and reads again those that made some, until there is enough, something is wrong, or time is up.
///
/// Partitions whose records lie in an object store are read after the others, all at a time, and waited for only so long: a store that is
/// slow keeps nobody from records that are at hand.
final class FetchInProgress {
    private let request: FetchRequest
    private let context: RequestContext
    private let frontend: Frontend
    private let session: FetchSession
    /// Leaves out what the client knows already.
    private let isIncremental: Bool
    private let replica: (id: BrokerID, epoch: BrokerEpoch)?
    private let bound: ReadBound
    private let maxBytes: Int
    /// Places that this fetch has read.
    private var readPlaces: [Int] = []
    /// Of all places' answers.
    private var bytes = 0
    /// Places that must be told of at once.
    private var urgentCount = 0
    /// Places whose records lie in an object store, met in this round of reads.
    private var remotes: [(number: Int, log: any PartitionLog)] = []

    init(_ request: FetchRequest, _ context: RequestContext, _ session: FetchSession, isIncremental: Bool) {
        self.request = request
        self.context = context
        self.session = session
        self.isIncremental = isIncremental
        frontend = context.frontend
        replica = FetchHandler.replica(of: request)
        bound = replica != nil ? .logEnd : request.isolationLevel == 1 ? .lastStableOffset : .highWatermark
        maxBytes = min(max(Int(request.maxBytes), 0), frontend.configuration.fetchMaxBytes)
    }

    func run() async -> FetchResponse {
        let round = session.wait.begin()
        session.noteProgress(session.wait.takePoked())
        if isIncremental {
            session.refresh(within: frontend.configuration.fetchSessionRefreshInterval, at: frontend.environment.clock.now())
        }
        await read(session.pending)
        let mustWait = request.maxWaitMs > 0 && !isEnough && session.count > 0
        if mustWait {
            await rest(session.pending)
            await wait(round)
        } else {
            // Where it is seldom that a fetch waits, what has had nothing twice need not be read each time.
            await rest(session.pending.filter { session.places[$0].isQuiet && session.places[$0].wasQuiet })
        }
        let response = response()
        session.endRound(read: readPlaces)
        return response
    }

    private var isEnough: Bool { urgentCount > 0 || bytes >= Int(request.minBytes) }

    // MARK: Waiting

    private func wait(_ round: Int) async {
        let deadline = frontend.environment.clock.now() + .milliseconds(request.maxWaitMs)
        let timer = frontend.timers.schedule(at: deadline) { [wait = session.wait] in wait.end(round) }
        while !isEnough, !session.isWanted, let poked = await session.wait.next() {
            session.noteProgress(poked)
            await rest(poked)
        }
        frontend.timers.cancel(timer)
    }

    /// Has partitions watched, and looks at them once more, for something may have come before. Those with nothing rest from then on.
    private func rest(_ numbers: [Int]) async {
        let image = frontend.metadata.current
        for number in numbers {
            guard number < session.places.count, let partition = session.places[number].partition else { continue }
            if session.places[number].watchedAt == nil {
                session.places[number].watchedAt = frontend.purgatory.watch(partition, session.wait, place: number)
                await read(number, image)
            }
            if session.places[number].isQuiet, mayRest(partition) { session.places[number].isPending = false }
        }
        if !remotes.isEmpty { await readRemotes(image) }
    }

    /// A follower that is to join the in-sync set is looked at with each of its fetches.
    private func mayRest(_ partition: PartitionID) -> Bool {
        guard let replica else { return true }
        return frontend.logs.log(for: partition)?.assignment.inSyncReplicas.contains(replica.id) ?? false
    }

    // MARK: Reading

    private func read(_ numbers: [Int]) async {
        let image = frontend.metadata.current
        for number in numbers { await read(number, image) }
        if !remotes.isEmpty { await readRemotes(image) }
    }

    private func read(_ number: Int, _ image: MetadataImage) async {
        if session.places[number].answer == nil { readPlaces.append(number) }
        let unknown: ErrorCode = context.version >= 13 ? .unknownTopicId : .unknownTopicOrPartition
        let asked = session.places[number].asked.partition
        let id =
            context.version >= 13
            ? image.partitionID(session.places[number].topicID, asked)
            : image.partitionID(topic: session.places[number].topic, asked)
        guard let partition = id, image.topic(partition.topicID) != nil else { return fail(number, unknown) }
        session.places[number].partition = partition
        switch frontend.locate(partition, image) {
        case .unknown: fail(number, .unknownTopicOrPartition)
        case .elsewhere(let record):
            fail(number, .notLeaderOrFollower)
            tellLeader(number, record)
        case .here(let log): await read(number, log, image)
        }
    }

    private func read(_ number: Int, _ log: any PartitionLog, _ image: MetadataImage) async {
        let asked = session.places[number].asked
        if replica == nil, log.readsRemotely(from: Offset(asked.fetchOffset)) {
            remotes.append((number, log))
            return
        }
        let others = bytes - session.places[number].bytes
        let reader: Reader =
            replica.map {
                .replica(
                    $0.id, brokerEpoch: $0.epoch, lastFetchedEpoch: LeaderEpoch(asked.lastFetchedEpoch),
                    logStart: asked.logStartOffset < 0 ? nil : Offset(asked.logStartOffset))
            } ?? .consumer
        do throws(LogError) {
            let result = try await log.read(
                from: Offset(asked.fetchOffset), maxBytes: min(max(Int(asked.partitionMaxBytes), 0), max(maxBytes - others, 0)),
                minOneBatch: others == 0, bound: bound, reader: reader,
                currentLeaderEpoch: asked.currentLeaderEpoch < 0 ? nil : LeaderEpoch(asked.currentLeaderEpoch))
            succeed(number, result)
        } catch { fail(number, error, log, image) }
    }

    private func fail(_ number: Int, _ error: LogError, _ log: any PartitionLog, _ image: MetadataImage) {
        fail(number, ErrorCode(error))
        switch error.code {
        case .notLeader, .fencedLeaderEpoch, .unknownLeaderEpoch, .fenced:
            if let record = image.partition(log.partition.topicID, log.partition.partition) { tellLeader(number, record) }
        default: break
        }
    }

    /// Shares what room the local ones have left.
    private func readRemotes(_ image: MetadataImage) async {
        let remotes = remotes
        self.remotes = []
        let others = remotes.reduce(bytes) { $0 - session.places[$1.number].bytes }
        var room = max(maxBytes - others, 0)
        let wait = RemoteWait(count: remotes.count)
        var isAsked: [Bool] = []
        for (index, remote) in remotes.enumerated() {
            let asked = session.places[remote.number].asked
            let share = min(max(Int(asked.partitionMaxBytes), 0), room)
            let mustHaveOne = others == 0 && index == 0
            room -= share
            let isBegun =
                (share > 0 || mustHaveOne)
                && frontend.remoteReads.read(
                    remote.log,
                    RemoteReads.Request(
                        partition: remote.log.partition, offset: Offset(asked.fetchOffset), maxBytes: share,
                        minOneBatch: mustHaveOne, bound: bound,
                        currentLeaderEpoch: asked.currentLeaderEpoch < 0 ? nil : LeaderEpoch(asked.currentLeaderEpoch))
                ) { wait.note(index, $0) }
            if !isBegun { wait.note(index, nil) }
            isAsked.append(isBegun)
        }
        let deadline = frontend.environment.clock.now() + frontend.remoteFetchWaitMax(image)
        let timer = frontend.timers.schedule(at: deadline) { wait.end() }
        let outcomes = await wait.outcomes()
        frontend.timers.cancel(timer)
        for (index, remote) in remotes.enumerated() {
            switch outcomes[index] {
            // What has come from afar waits for nothing more.
            case .success(let result): succeed(remote.number, result, isUrgent: !result.records.isEmpty)
            case .failure(let error): fail(remote.number, error, remote.log, image)
            // Who has waited in vain is told so, rather than waits once more.
            case nil:
                succeed(remote.number, ReadResult(records: LogSlices(), offsets: remote.log.offsets), isUrgent: isAsked[index])
            }
        }
    }

    private func succeed(_ number: Int, _ result: ReadResult, isUrgent: Bool = false) {
        var answer = FetchResponse.PartitionData(partitionIndex: session.places[number].asked.partition)
        answer.highWatermark = result.offsets.highWatermark.rawValue
        answer.lastStableOffset = result.offsets.lastStable.rawValue
        answer.logStartOffset = result.offsets.logStart.rawValue
        answer.abortedTransactions =
            bound == .lastStableOffset
            ? result.abortedTransactions.map {
                FetchResponse.AbortedTransaction(producerId: $0.producerID, firstOffset: $0.firstOffset.rawValue)
            } : nil
        answer.records = result.records
        var isUrgent = isUrgent
        if let diverging = result.divergingEpoch, context.version >= 12 {
            answer.divergingEpoch = FetchResponse.EpochEndOffset(
                epoch: diverging.epoch.rawValue, endOffset: diverging.endOffset.rawValue)
            isUrgent = true
        }
        settle(number, answer, bytes: result.records.sizeInBytes, isUrgent: isUrgent)
        let end =
            switch bound {
            case .highWatermark: result.offsets.highWatermark
            case .lastStableOffset: result.offsets.lastStable
            case .logEnd: result.offsets.logEnd
            }
        session.places[number].isAtEnd = session.places[number].asked.fetchOffset >= end.rawValue
    }

    private func fail(_ number: Int, _ code: ErrorCode) {
        let answer = FetchResponse.PartitionData(
            partitionIndex: session.places[number].asked.partition, errorCode: code, highWatermark: -1, abortedTransactions: nil)
        settle(number, answer, bytes: 0, isUrgent: true)
    }

    private func settle(_ number: Int, _ answer: FetchResponse.PartitionData, bytes: Int, isUrgent: Bool) {
        self.bytes += bytes - session.places[number].bytes
        urgentCount += (isUrgent ? 1 : 0) - (session.places[number].isUrgent ? 1 : 0)
        session.places[number].answer = answer
        session.places[number].bytes = bytes
        session.places[number].isUrgent = isUrgent
    }

    private func tellLeader(_ number: Int, _ record: PartitionRecord) {
        guard context.version >= 12 else { return }
        session.places[number].answer?.currentLeader = FetchResponse.LeaderIdAndEpoch(
            leaderId: record.leader?.rawValue ?? -1, leaderEpoch: record.leaderEpoch.rawValue)
    }

    // MARK: Answering

    private func response() -> FetchResponse {
        var response = FetchResponse()
        var leaders: Set<Int32> = []
        for number in isIncremental ? readPlaces.sorted() : readPlaces {
            guard let answer = tell(number) else { continue }
            add(answer, of: session.places[number], to: &response)
            if answer.currentLeader.leaderId >= 0 { leaders.insert(answer.currentLeader.leaderId) }
        }
        if context.version >= 16, !leaders.isEmpty {
            let image = frontend.metadata.current
            response.nodeEndpoints = leaders.sorted().compactMap { image.broker(BrokerID($0)) }.map {
                FetchResponse.NodeEndpoint(nodeId: $0.id.rawValue, host: $0.host, port: Int32($0.port), rack: $0.rack)
            }
        }
        return response
    }

    /// A place's answer, if there is one and the client has to hear it; then it counts as told.
    private func tell(_ number: Int) -> FetchResponse.PartitionData? {
        guard let answer = session.places[number].answer else { return nil }
        let told = FetchSession.Told(
            highWatermark: answer.highWatermark, lastStableOffset: answer.lastStableOffset, logStartOffset: answer.logStartOffset)
        let place = session.places[number]
        guard !isIncremental || place.isUrgent || place.bytes > 0 || place.told != told else { return nil }
        // After an error the client is told how things are, whatever it heard before.
        session.places[number].told = place.isUrgent ? nil : told
        return answer
    }

    private func add(_ answer: FetchResponse.PartitionData, of place: FetchSession.Place, to response: inout FetchResponse) {
        func isTopic(_ topic: FetchResponse.FetchableTopicResponse) -> Bool {
            topic.topicId == place.topicID && topic.topic == place.topic
        }
        var index = response.responses.count - 1
        if index < 0 || !isTopic(response.responses[index]) {
            index = response.responses.lastIndex(where: isTopic) ?? response.responses.count
        }
        if index == response.responses.count { response.responses.append(.init(topic: place.topic, topicId: place.topicID)) }
        response.responses[index].partitions.append(answer)
    }
}
