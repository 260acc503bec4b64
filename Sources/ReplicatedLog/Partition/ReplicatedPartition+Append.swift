//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import LogEngine
public import LogModel
internal import LogSegments
internal import Logging
internal import RuntimeEnvironment
internal import Synchronization

extension ReplicatedPartition {
    public func append(_ batches: RecordBatches, acks: RequiredAcks, epoch: LeaderEpoch?) throws(LogError) -> AppendReceipt {
        let outcome = state.withLock { state -> Result<(AppendReceipt, mustSchedule: Bool), LogError> in
            do throws(LogError) { return .success(try append(batches, acks, epoch, &state)) } catch { return .failure(error) }
        }
        let (receipt, mustSchedule) = try outcome.get()
        if mustSchedule { scheduleWrite() }
        return receipt
    }

    private func scheduleWrite() {
        let volume = self.volume
        volume.writer.submit { if self.volume === volume { self.writeQueue() } else { self.scheduleWrite() } }
    }

    private func append(
        _ batches: RecordBatches, _ acks: RequiredAcks, _ epoch: LeaderEpoch?, _ state: inout State
    ) throws(LogError) -> (AppendReceipt, mustSchedule: Bool) {
        if case .idle = state.role, let failure = state.failure { throw failure }
        guard case .leader(let leader) = state.role else { throw .notLeader(partition) }
        if let epoch, epoch != leader.leaderEpoch { throw fence(epoch, current: leader.leaderEpoch) }
        if let failure = state.failure { throw failure }
        try checkLimits(batches, state.configuration)
        let minInSyncReplicas = leader.effectiveMinimum(of: state.configuration.minInSyncReplicas)
        if acks == .all, leader.inSyncReplicas.count < minInSyncReplicas {
            throw LogError(
                .notEnoughReplicas,
                "\(partition): \(leader.inSyncReplicas.count) in-sync replicas, min.insync.replicas asks for \(minInSyncReplicas)"
            )
        }
        let logStart = log.logStart
        if case .duplicate(let range) = try state.producers.check(batches) {
            return (duplicateReceipt(range, acks, logStart, &state), false)
        }
        let volume = self.volume
        guard volume.takeRoom(batches.sizeInBytes, max: context.settings.queuedBytesMax) else {
            throw LogError(.overloaded, "\(partition): the volume lags behind, its write queue is full; try again")
        }
        let time = state.configuration.stampsLogAppendTime ? Timestamp(context.environment.clock.wallMilliseconds()) : nil
        let chunk = AppendChunk(batches, baseOffset: state.nextOffset, epoch: leader.leaderEpoch, logAppendTime: time)
        for index in 0..<chunk.batchCount { state.producers.record(chunk.header(index)) }
        state.nextOffset = chunk.endOffset
        let signal = acks == .none ? DurabilitySignal.completed : DurabilitySignal()
        state.queue.append(Queued(chunk: chunk, volume: volume, signals: [(acks, signal)]))
        let mustSchedule = !state.isWriteScheduled
        state.isWriteScheduled = true
        let receipt = AppendReceipt(
            range: chunk.baseOffset..<chunk.endOffset, logAppendTime: time ?? .none, logStart: logStart, isDuplicate: false,
            durable: signal)
        return (receipt, mustSchedule)
    }

    private func checkLimits(_ batches: RecordBatches, _ configuration: LogConfiguration) throws(LogError) {
        guard !batches.isEmpty else { throw LogError(.invalidRecord, "\(partition): an append holds at least one batch") }
        for entry in batches.entries where entry.header.sizeInBytes > configuration.maxMessageBytes {
            throw LogError(
                .recordTooLarge,
                "\(partition): a batch of \(entry.header.sizeInBytes) bytes, max.message.bytes is \(configuration.maxMessageBytes)")
        }
        guard batches.sizeInBytes <= configuration.segmentBytes else {
            throw LogError(
                .batchListTooLarge,
                "\(partition): \(batches.sizeInBytes) bytes in one append, segment.bytes is \(configuration.segmentBytes)")
        }
    }

    /// Acknowledged like the first time: when that append has reached the level asked for now.
    private func duplicateReceipt(
        _ range: Range<Offset>, _ acks: RequiredAcks, _ logStart: Offset, _ state: inout State
    ) -> AppendReceipt {
        var signal = DurabilitySignal.completed
        if acks != .none, range.upperBound > (acks == .all ? state.highWatermark : log.logEnd) {
            signal = DurabilitySignal()
            if let index = state.queue.firstIndex(where: { $0.chunk.endOffset >= range.upperBound }) {
                state.queue[index].signals.append((acks, signal))
            } else if acks == .all {
                // Written, or being written just now.
                state.insert(Waiting(endOffset: range.upperBound, signal: signal))
            } else {
                state.waitingForWrite.append(Waiting(endOffset: range.upperBound, signal: signal))
            }
        }
        return AppendReceipt(range: range, logAppendTime: .none, logStart: logStart, isDuplicate: true, durable: signal)
    }

    func fence(_ epoch: LeaderEpoch, current: LeaderEpoch) -> LogError {
        epoch < current
            ? LogError(
                .fencedLeaderEpoch, "\(partition): leader epoch \(epoch) is over, \(current) is current; refresh the metadata")
            : LogError(.unknownLeaderEpoch, "\(partition): leader epoch \(epoch) is not known here yet, \(current) is; try again")
    }

    /// Writes all that is queued. On the volume's writer.
    func writeQueue() {
        let (queue, flushMessages) = state.withLock { state in
            state.isWriteScheduled = false
            return (state.takeQueue(), state.configuration.flushMessages)
        }
        guard !queue.isEmpty else { return }
        var (written, failure) = log.append(queue.map(\.chunk))
        do throws(SegmentError) { try flush(after: flushMessages) } catch {
            // Written, but nobody may count on it.
            (written, failure) = (0, failure ?? error)
        }
        Self.giveRoom(of: queue)
        let end = log.logEnd
        var completions = Completions()
        state.withLock { state in
            for queued in queue[..<written] {
                for (acks, signal) in queued.signals {
                    switch acks {
                    case .none: break
                    case .leader: completions.add(signal, nil)
                    case .all: state.insert(Waiting(endOffset: queued.chunk.endOffset, signal: signal))
                    }
                }
            }
            for waiting in state.waitingForWrite where waiting.endOffset <= end { completions.add(waiting.signal, nil) }
            state.waitingForWrite.removeAll { $0.endOffset <= end }
            if let failure {
                let error = LogError(failure, partition)
                for queued in queue[written...] { for (_, signal) in queued.signals { completions.add(signal, error) } }
                // What was queued meanwhile has offsets beyond the hole, and so has a repetition that waits for its first.
                failQueue(error, &state, &completions)
                for waiting in state.waiting + state.waitingForWrite where waiting.endOffset > end {
                    completions.add(waiting.signal, error)
                }
                state.waiting.removeAll { $0.endOffset > end }
                state.waitingForWrite = []
                completions.failure = error
                state.nextOffset = end
                state.producers = log.producers
            }
            advanceHighWatermark(&state, leaderEnd: end, &completions)
        }
        completions.run()
        if let failure = completions.failure {
            context.logger.error("append failed", metadata: ["partition": "\(partition)", "error": "\(failure)"])
        }
        if let failure {
            context.failed(volume, failure, isWriting: true)
        }
        tellProgress()
        if log.hasUnsynchronizedSealedSegments { scheduleSync() }
    }

    /// Syncs what has been appended, if as many records as `flush.messages` says are not. On the volume's writer: none of them is acknowledged, or
    /// told to be held, before that.
    func flush(after messages: Int64?) throws(SegmentError) {
        guard let messages, log.logEnd - log.recoveryPoint >= messages else { return }
        try log.synchronize()
    }

    /// Raises the high watermark to what the in-sync set holds, and completes the appends that it passes. Followers' own is told them.
    func advanceHighWatermark(_ state: inout State, leaderEnd: Offset, _ completions: inout Completions) {
        guard case .leader(let leader) = state.role else { return }
        let minimum = leader.effectiveMinimum(of: state.configuration.minInSyncReplicas)
        let highWatermark = leader.highWatermark(after: state.highWatermark, leaderEnd: leaderEnd, minInSyncReplicas: minimum)
        precondition(highWatermark <= leaderEnd || highWatermark == state.highWatermark, "the high watermark lies within the log")
        state.highWatermark = highWatermark
        let passed = state.waiting.prefix { $0.endOffset <= highWatermark }
        guard !passed.isEmpty else { return }
        let failure =
            leader.inSyncReplicas.count < minimum
            ? LogError(
                .notEnoughReplicasAfterAppend,
                "\(partition): written, but the in-sync set shrank below min.insync.replicas \(minimum)") : nil
        for waiting in passed { completions.add(waiting.signal, failure) }
        state.waiting.removeFirst(passed.count)
    }

    /// Fails all appends that are not yet acknowledged.
    func failAppends(_ error: LogError, _ state: inout State, _ completions: inout Completions) {
        failQueue(error, &state, &completions)
        for waiting in state.waiting + state.waitingForWrite { completions.add(waiting.signal, error) }
        state.waiting = []
        state.waitingForWrite = []
    }

    private func failQueue(_ error: LogError, _ state: inout State, _ completions: inout Completions) {
        let queue = state.takeQueue()
        Self.giveRoom(of: queue)
        for queued in queue { for (_, signal) in queued.signals { completions.add(signal, error) } }
    }

    /// To whom it was taken from: one call for as many as follow each other there, nearly always all.
    private static func giveRoom(of queue: [Queued]) {
        var (volume, bytes) = (queue.first?.volume, 0)
        for queued in queue {
            if queued.volume !== volume {
                volume?.giveRoom(bytes)
                (volume, bytes) = (queued.volume, 0)
            }
            bytes += queued.chunk.sizeInBytes
        }
        volume?.giveRoom(bytes)
    }
}

extension ReplicatedPartition.State {
    mutating func takeQueue() -> [ReplicatedPartition.Queued] {
        let taken = queue
        queue = []
        return taken
    }

    /// Keeps the order of end offsets; nearly always it is the last.
    mutating func insert(_ entry: ReplicatedPartition.Waiting) {
        var index = waiting.endIndex
        while index > 0, waiting[index - 1].endOffset > entry.endOffset { index -= 1 }
        waiting.insert(entry, at: index)
    }
}

/// Signals to complete once no lock is held.
struct Completions {
    private var signals: [(DurabilitySignal, LogError?)] = []
    var failure: LogError?

    mutating func add(_ signal: DurabilitySignal, _ failure: LogError?) { signals.append((signal, failure)) }
    func run() { for (signal, failure) in signals { signal.complete(failure) } }
}
