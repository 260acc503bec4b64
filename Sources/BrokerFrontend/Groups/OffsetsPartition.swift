//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import KafkaProtocol
internal import LogEngine
internal import LogModel
internal import Logging
internal import NIOCore
internal import RuntimeEnvironment
internal import Synchronization

/// The groups of one partition of `__consumer_offsets`, while this broker leads it at one leader epoch.
///
/// One lock guards them. What a group's state machine wants written is appended under that lock, so that the log has the order of
/// the decisions; whoever waits for an answer is resumed after it.
final class OffsetsPartition: Sendable {
    struct Settings: Sendable {
        var limits = GroupState.Limits()
        var commitTimeout = Duration.seconds(5)
        var offsetMetadataMaxBytes = 4096
        var offsetsRetention = Duration.seconds(7 * 86_400)
        var loadBufferBytes = 5 << 20
    }

    enum Status: Sendable, Equatable {
        /// The log is being read; becomes active or resigned.
        case loading
        case active
        case resigned
    }

    struct StoredOffset: Sendable {
        var committed: CommittedOffset
        /// Where the log has it: of two commits the later in the log counts, whichever is durable first.
        var logOffset: Offset
    }

    struct Group: Sendable {
        var state: GroupState
        var offsets: [OffsetKey: StoredOffset] = [:]
        /// Commits that are written but not durable yet.
        var pendingCommits = 0
        /// The earliest timer that is set for the group.
        var armed: MonotonicInstant?
    }

    struct State {
        var status = Status.loading
        var groups: [String: Group] = [:]
        var joins: [GroupTicket: CheckedContinuation<JoinGroupAnswer, Never>] = [:]
        var syncs: [GroupTicket: CheckedContinuation<SyncGroupAnswer, Never>] = [:]
        var lastTicket: UInt64 = 0
    }

    /// Runs after the lock is released.
    typealias Afterwards = @Sendable () -> Void

    let number: Int32
    let log: any PartitionLog
    let epoch: LeaderEpoch
    let settings: Settings
    let clock: any Clock
    let timers: DeadlineTimers
    let logger: Logger
    let state = Mutex(State())

    init(
        number: Int32, log: any PartitionLog, epoch: LeaderEpoch, settings: Settings, clock: any Clock, timers: DeadlineTimers,
        logger: Logger
    ) {
        self.number = number
        self.log = log
        self.epoch = epoch
        self.settings = settings
        self.clock = clock
        self.timers = timers
        var logger = logger
        logger[metadataKey: "partition"] = "\(log.partition)"
        logger[metadataKey: "epoch"] = "\(epoch)"
        self.logger = logger
    }

    var now: GroupState.Moment { GroupState.Moment(monotonic: clock.now(), wall: Timestamp(clock.wallMilliseconds())) }

    // MARK: Changing a group

    /// Runs `body` under the lock, does what it returns, and sets the group's timer.
    ///
    /// - Parameter body: Gets the group, nil if there is none; may make or remove it.
    /// - Returns: What `body` returned; or why there is nothing to be had here.
    func change<Value: Sendable>(
        _ id: String, _ body: (inout Group?, inout State) -> (Value, [GroupState.Action])
    ) -> Result<Value, GroupUnavailable> {
        let (result, afterwards): (Result<Value, GroupUnavailable>, [Afterwards]) = state.withLock { state in
            if let why = Self.unavailable(state.status) { return (.failure(why), []) }
            var group = state.groups.removeValue(forKey: id)
            let (value, actions) = body(&group, &state)
            let afterwards = actions.compactMap { perform($0, of: id, &state) }
            arm(&group, id: id)
            state.groups[id] = group
            return (.success(value), afterwards)
        }
        for action in afterwards { action() }
        return result
    }

    static func unavailable(_ status: Status) -> GroupUnavailable? {
        switch status {
        case .active: nil
        case .loading: GroupUnavailable(error: .coordinatorLoadInProgress)
        case .resigned: GroupUnavailable(error: .notCoordinator)
        }
    }

    private func arm(_ group: inout Group?, id: String) {
        guard let next = group?.state.nextDeadline, group?.armed.map({ next < $0 }) ?? true else { return }
        group?.armed = next
        timers.schedule(at: next) { [weak self] in self?.timerFired(id, set: next) }
    }

    private func timerFired(_ id: String, set deadline: MonotonicInstant) {
        let now = now
        _ = change(id) { group, _ in
            guard group?.armed == deadline else { return ((), []) }
            group?.armed = nil
            return ((), group?.state.tick(at: now) ?? [])
        }
    }

    // MARK: Doing what the state machine says

    private func perform(_ action: GroupState.Action, of id: String, _ state: inout State) -> Afterwards? {
        switch action {
        case .answerJoin(let ticket, let answer):
            guard let continuation = state.joins.removeValue(forKey: ticket) else { return nil }
            return { continuation.resume(returning: answer) }
        case .answerSync(let ticket, let answer):
            guard let continuation = state.syncs.removeValue(forKey: ticket) else { return nil }
            return { continuation.resume(returning: answer) }
        case .store(let snapshot):
            let generation = snapshot.generation
            return store(snapshot) { [weak self] failure in
                self?.stored(id, generation: generation, failure: failure)
            }
        case .storeThenAnswerJoin(let snapshot, let ticket, let answer):
            guard let continuation = state.joins.removeValue(forKey: ticket) else { return nil }
            return store(snapshot) { failure in
                continuation.resume(returning: failure.map { JoinGroupAnswer(error: $0, memberID: answer.memberID) } ?? answer)
            }
        }
    }

    /// Appends now; `done` is called once the append is durable, or has failed.
    private func store(_ snapshot: GroupSnapshot, done: @escaping @Sendable (ErrorCode?) -> Void) -> Afterwards {
        do throws(LogError) {
            let receipt = try append([.group(snapshot.groupID, snapshot)])
            return { receipt.durable.whenComplete { done($0.map(ErrorCode.init(storingGroup:))) } }
        } catch {
            logger.warning("A group could not be stored", metadata: ["group": "\(snapshot.groupID)", "error": "\(error)"])
            let code = ErrorCode(storingGroup: error)
            return { done(code) }
        }
    }

    private func stored(_ id: String, generation: Int32, failure: ErrorCode?) {
        let now = now
        _ = change(id) { group, _ in ((), group?.state.stored(generation: generation, failure: failure, at: now) ?? []) }
    }

    /// Writes records as one batch.
    func append(_ records: [GroupRecord]) throws(LogError) -> AppendReceipt {
        let timestamp = Timestamp(clock.wallMilliseconds())
        let encoded = records.compactMap { $0.record(at: timestamp) }
        guard encoded.count == records.count else {
            throw LogError(.recordTooLarge, "a text of the group's record is too long for the record's layout")
        }
        let batches: RecordBatches
        do throws(RecordBatchError) { batches = try RecordBatches(verifying: RecordBatchBuilder.batch(of: encoded)) } catch {
            throw LogError(.invalidRecord, "a batch of group records is not well formed", cause: error)
        }
        return try log.append(batches, acks: .all, epoch: epoch)
    }

    // MARK: Ending

    /// This broker does not lead the partition any more.
    func resign() {
        let now = now
        let afterwards: [Afterwards] = state.withLock { state in
            state.status = .resigned
            var afterwards: [Afterwards] = []
            for id in state.groups.keys.sorted() {
                let actions = state.groups[id]?.state.die(.notCoordinator, at: now) ?? []
                afterwards += actions.compactMap { perform($0, of: id, &state) }
            }
            state.groups = [:]
            return afterwards
        }
        for action in afterwards { action() }
    }
}

/// Why this broker cannot speak for a group now.
struct GroupUnavailable: Error, Sendable {
    var error: ErrorCode
}
