//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogEngine
internal import LogModel
internal import LogSegments
internal import Logging
internal import NIOCore
internal import RuntimeEnvironment
internal import Synchronization

extension LeaderFetcher {
    /// Fetches once; the catch-up lane goes on as long as all it has to do is to copy.
    func round(_ lane: Lane, _ requests: [(ReplicatedPartition, ReplicaFetchRequest)]) async {
        var requests = requests
        var responses = await fetch(lane, requests)
        while let answered = responses {
            let answers = verify(answered, requests, lane)
            let ahead = lane == .catchUp ? nextFetches(after: answers, of: requests.count) : []
            // While the writer takes these, the leader sends the next.
            async let following = ahead.isEmpty ? nil : fetch(lane, ahead)
            let isAppended = await apply(answers)
            responses = await following
            guard isAppended else { return }
            requests = ahead
        }
    }

    /// - Returns: Nil after a failure, and after the pause that it asks for.
    private func fetch(
        _ lane: Lane, _ requests: [(ReplicatedPartition, ReplicaFetchRequest)]
    ) async -> [PartitionID: ReplicaFetchResponse]? {
        let settings = context.settings
        do {
            return try await context.fetcher.fetch(
                from: leader, lane: lane.rawValue, requests: requests.map(\.1),
                maxWait: lane == .steady ? settings.replicaFetchWaitMax : min(settings.replicaFetchWaitMax, Self.catchUpWait),
                minBytes: settings.replicaFetchMinBytes, maxBytes: settings.replicaFetchResponseMaxBytes)
        } catch {
            guard !Task.isCancelled else { return nil }
            context.logger.debug("fetch failed", metadata: ["leader": "\(leader)", "error": "\(error)"])
            try? await context.environment.clock.sleep(for: settings.replicaFetchBackoff)
            return nil
        }
    }

    /// Short, so that a partition that joins this lane, or the in-sync set, is not kept waiting.
    private static var catchUpWait: Duration { .milliseconds(50) }

    private func verify(
        _ responses: [PartitionID: ReplicaFetchResponse], _ requests: [(ReplicatedPartition, ReplicaFetchRequest)], _ lane: Lane
    ) -> [FetchedAnswer] {
        var answers: [FetchedAnswer] = []
        answers.reserveCapacity(responses.count)
        for (partition, request) in requests {
            guard let response = responses[partition.partition], isMine(partition, lane) else { continue }
            var answer = FetchedAnswer(partition: partition, request: request, response: response)
            if response.records.readableBytes > 0 {
                do { answer.batches = try RecordBatches(verifying: response.records, allowsPartialTail: true) } catch {
                    context.logger.error(
                        "fetched batches are damaged, asked for again",
                        metadata: ["partition": "\(partition.partition)", "leader": "\(leader)", "error": "\(error)"])
                    pause(partition)
                    continue
                }
            }
            answers.append(answer)
        }
        return answers
    }

    /// What to ask for while the writer still has the answers, if all of them brought data that lies well behind the leader's end, and the
    /// lane has nothing else to do. Should one not be appended after all, the answer to its next is dropped.
    ///
    /// A fetch tells the leader that all below its offset is here, which is not yet so: it stays below the high watermark, where that
    /// counts for nothing (a replica joins the in-sync set at the high watermark, and only members move it).
    private func nextFetches(
        after answers: [FetchedAnswer], of count: Int
    ) -> [(ReplicatedPartition, ReplicaFetchRequest)] {
        guard answers.count == count, state.withLock({ $0.holds(.catchUp, exactly: count) }) else { return [] }
        let now = context.environment.clock.now()
        var requests: [(ReplicatedPartition, ReplicaFetchRequest)] = []
        for answer in answers {
            guard answer.response.failure == nil, answer.response.divergingEpoch == nil,
                let last = answer.batches?.entries.last?.header,
                last.endOffset < answer.response.highWatermark, answer.partition.fetchWait(at: now) == .zero
            else { return [] }
            var request = answer.request
            request.fetchOffset = last.endOffset
            request.lastFetchedEpoch = last.partitionLeaderEpoch
            requests.append((answer.partition, request))
        }
        return requests
    }

    /// Carries out the answers, one job per volume.
    ///
    /// - Returns: Whether each brought data that is in the log now.
    private func apply(_ answers: [FetchedAnswer]) async -> Bool {
        var isAppended = true
        var jobs: [ObjectIdentifier: (volume: LogVolume, answers: [FetchedAnswer])] = [:]
        for answer in answers {
            let volume = answer.partition.volume
            jobs[ObjectIdentifier(volume), default: (volume, [])].answers.append(answer)
        }
        for job in jobs.values {
            let answers = job.answers
            let volume = job.volume
            let steps = await volume.writer.run {
                answers.map { answer in
                    Result { () throws(SegmentError) in
                        // Moved to another directory meanwhile: asked for again.
                        guard answer.partition.volume === volume else { return FollowStep.goOn(gotData: false) }
                        return try answer.partition.apply(answer.response, answer.batches, to: answer.request)
                    }
                }
            }
            for (answer, step) in zip(answers, steps) {
                if case .success(.goOn(gotData: true)) = step {} else { isAppended = false }
                await take(step, answer)
            }
        }
        return isAppended
    }

    private func take(_ step: Result<FollowStep, SegmentError>, _ answer: FetchedAnswer) async {
        let partition = answer.partition
        switch step {
        case .success(.goOn(let gotData)):
            guard gotData else { return }
            state.withLock { state in
                state.nextTurn += 1
                state.entries[partition.partition]?.turn = state.nextTurn
            }
        case .success(.pause): pause(partition)
        case .success(.stop): break
        case .success(.startAnew): await startAnew(answer)
        case .success(.bootstrapFromTier): await bootstrap(answer)
        case .failure(let error):
            context.logger.error(
                "follower cannot append", metadata: ["partition": "\(partition.partition)", "error": "\(error)"])
            context.failed(partition.volume, error, isWriting: true)
            pause(partition)
        }
    }

    private func startAnew(_ answer: FetchedAnswer) async {
        let partition = answer.partition
        do {
            let epoch = answer.request.currentLeaderEpoch
            let offsets = try await context.fetcher.offsets(of: partition.partition, from: leader, leaderEpoch: epoch)
            let step = try await partition.onWriter { () throws(SegmentError) in
                try partition.startAnew(within: offsets, epoch: epoch)
            }
            switch step {
            case .bootstrapFromTier: await bootstrap(answer)
            case .goOn: break
            default: pause(partition)
            }
        } catch {
            context.logger.warning(
                "follower cannot begin anew", metadata: ["partition": "\(partition.partition)", "error": "\(error)"])
            pause(partition)
        }
    }

    private func bootstrap(_ answer: FetchedAnswer) async {
        let partition = answer.partition
        guard let bootstrap = context.tierBootstrap.withLock({ $0 }) else { return pause(partition) }
        let request = answer.request
        do {
            let offsets = try await context.fetcher.offsets(
                of: partition.partition, from: leader, leaderEpoch: request.currentLeaderEpoch)
            let start = TierStart(
                leader: offsets,
                position: FollowerPosition(
                    leaderEpoch: request.currentLeaderEpoch, logEnd: request.fetchOffset, lastEpoch: request.lastFetchedEpoch)
            ) { [context, leader] epoch in
                try await context.fetcher.endOffset(
                    forEpoch: epoch, of: partition.partition, from: leader, leaderEpoch: request.currentLeaderEpoch)
            }
            guard try await bootstrap(partition, start) else { return pause(partition) }
        } catch {
            context.logger.warning(
                "follower cannot begin at the tier's end", metadata: ["partition": "\(partition.partition)", "error": "\(error)"])
            // It takes the leader, the metadata and the store: one that is away is not back in a moment.
            pause(partition, for: context.settings.replicaFetchBackoff)
        }
    }
}

private struct FetchedAnswer: Sendable {
    var partition: ReplicatedPartition
    var request: ReplicaFetchRequest
    var response: ReplicaFetchResponse
    var batches: RecordBatches?
}
