//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogModel
package import Logging
package import RuntimeEnvironment
internal import Synchronization

/// Every broker runs one; the one that holds `/controller` decides: who leads, who takes over from the dead, when a move or a
/// deletion is done. Its claim is bound to the broker's lease, so another takes over when it dies.
///
/// All it commits is conditional on its claim: one that has been superseded without noticing changes nothing.
package final class Controller: Sendable {
    /// Operations, and conditions, of decisions that share a transaction: etcd allows 128 of each.
    private static let batchMax = 100
    /// How long a deleted topic is remembered, and how often those are looked for that no longer are.
    private static let deletedTopicsMemory = Duration.seconds(7 * 86_400)
    private static let forgettingInterval = Duration.seconds(3_600)
    /// How long the image may take to show what was committed, before deciding on what there is.
    private static let imagePatience = Duration.seconds(5)

    private struct State {
        var work = ControllerWork()
        var isActive = false
        /// Something has happened; at the beginning, that there is a beginning.
        var isSignalled = true
        var sleeper: CheckedContinuation<Void, Never>?
        var isStopped = false
        /// When to look again for deleted topics to be forgotten.
        var forgetsAt: MonotonicInstant?
    }
    /// Why nothing more can be decided now.
    private enum Interruption: Error { case superseded }

    private let registration: BrokerRegistration
    private let store: any MetadataStore
    private let cache: MetadataCache
    private let planner: ControllerPlanner
    private let clock: any Clock
    private let logger: Logger
    private let claim: [UInt8]
    private let state = Mutex(State())

    /// - Parameter cache: Started.
    package init(
        registration: BrokerRegistration, store: any MetadataStore, cache: MetadataCache, planner: ControllerPlanner,
        clock: any Clock, logger: Logger
    ) {
        self.registration = registration
        self.store = store
        self.cache = cache
        self.planner = planner
        self.clock = clock
        var logger = logger
        logger[metadataKey: "controller"] = "\(registration.id)"
        self.logger = logger
        claim = RecordCoding.encode(ControllerRecord(broker: registration.id, epoch: registration.epoch))
    }

    /// Whether this broker is the controller, as far as it knows.
    package var isActive: Bool { state.withLock(\.isActive) }

    /// Campaigns and decides until the task is cancelled or the broker's lease ends.
    package func run() async {
        let listener = cache.onChange { [weak self] update in self?.noticed(update) }
        defer { cache.removeListener(listener) }
        let registration = registration
        let watchdog = Task { [weak self] in
            await registration.waitUntilEnded()
            self?.stop()
        }
        let ticker = planner.rebalance.map { rebalance in
            Task { [weak self, clock] in
                while !Task.isCancelled {
                    do { try await clock.sleep(for: rebalance.interval) } catch { return }
                    self?.signal(ControllerWork(rebalance: true))
                }
            }
        }
        defer { ticker?.cancel() }
        await withTaskCancellationHandler {
            while await waitForWork() {
                do {
                    try await campaign()
                    if isActive { try await decide() }
                } catch is Interruption {
                    resign()
                } catch {
                    logger.warning("The controller could not commit a decision", metadata: ["error": "\(error)"])
                    do { try await clock.sleep(for: .milliseconds(100)) } catch { break }
                    signal(ControllerWork())
                }
            }
        } onCancel: {
            stop()
        }
        watchdog.cancel()
        resign()
    }

    // MARK: Claim

    private func campaign() async throws {
        guard !registration.isFenced else { throw Interruption.superseded }
        let image = cache.current
        if let controller = image.controller?.record {
            let isOurs = controller.broker == registration.id && controller.epoch == registration.epoch
            if !isOurs { return resign() }
            if !isActive { activate() }
            return
        }
        let result = try await claimSeat()
        _ = await cache.wait(for: result.revision, timeout: Self.imagePatience)
        if result.succeeded { activate() }
    }

    private func claimSeat() async throws -> TransactionResult {
        do {
            return try await store.commit(
                Transaction(
                    conditions: [.absent(MetadataKey.controller)],
                    operations: [.put(MetadataKey.controller, claim, lease: registration.lease)]))
        } catch {
            if error.code == .leaseExpired { throw Interruption.superseded }
            throw error
        }
    }

    private func activate() {
        logger.notice("This broker is the controller now", metadata: ["epoch": "\(registration.epoch)"])
        state.withLock { state in
            state.isActive = true
            state.work.add(.everything)
        }
    }

    private func resign() {
        state.withLock { state in
            state.isActive = false
            state.work = ControllerWork()
        }
    }

    // MARK: Decisions

    /// Decides until nothing is left to decide.
    private func decide() async throws {
        // Once it is cancelled nothing waits any more: it would turn in circles until an image that is behind catches up.
        while !Task.isCancelled {
            let work = state.withLock { state in
                defer { state.work = ControllerWork() }
                return state.work
            }
            if work.isEmpty { return }
            let actions = planner.plan(cache.current, work)
            do {
                // Recoveries and deletions first, on their own: owners are elected only once recoveries are on record.
                let isPartition = { (action: ControllerAction) in if case .change = action { true } else { false } }
                var isComplete = try await commit(actions.filter { !isPartition($0) })
                if isComplete { isComplete = try await commit(actions.filter(isPartition)) }
                if !isComplete { state.withLock { $0.work.add(work) } }
                if actions.contains(where: { if case .finishDeletion = $0 { true } else { false } }) {
                    try await forgetDeletedTopics()
                }
            } catch {
                state.withLock { $0.work.add(work) }
                throw error
            }
        }
    }

    /// - Returns: False if something had changed meanwhile; the image shows it by now.
    private func commit(_ actions: [ControllerAction]) async throws -> Bool {
        var reached: Int64 = 0
        var isComplete = true
        var rest = actions[...]
        while !rest.isEmpty {
            let time = clock.wallMilliseconds()
            var conditions: [Transaction.Condition] = [.value(MetadataKey.controller, claim)]
            var operations: [Transaction.Operation] = []
            var count = 0
            for action in rest {
                let (moreConditions, moreOperations) = (action.conditions, action.operations(at: time))
                guard
                    count == 0
                        || max(conditions.count + moreConditions.count, operations.count + moreOperations.count) <= Self.batchMax
                else { break }
                conditions += moreConditions
                operations += moreOperations
                count += 1
            }
            let batch = rest.prefix(count)
            rest = rest.dropFirst(count)
            let result = try await store.commit(Transaction(conditions: conditions, operations: operations))
            reached = max(reached, result.revision)
            guard result.succeeded else {
                isComplete = false
                if try await store.get(MetadataKey.controller)?.value != claim { throw Interruption.superseded }
                break
            }
            for action in batch { report(action) }
        }
        if !actions.isEmpty { _ = await cache.wait(for: reached, timeout: Self.imagePatience) }
        return isComplete
    }

    /// Those of whose deletion a broker that returns is not told any more.
    private func forgetDeletedTopics() async throws {
        let now = clock.now()
        let isDue = state.withLock { state in
            if let at = state.forgetsAt, now < at { return false }
            state.forgetsAt = now + Self.forgettingInterval
            return true
        }
        guard isDue else { return }
        let oldest = clock.wallMilliseconds() - Self.deletedTopicsMemory.inMilliseconds
        let old = try await store.list(prefix: MetadataKey.deletedTopics).values.filter { stored in
            // What cannot be read is of no use to anybody.
            (try? RecordCoding.decode(DeletedTopicRecord.self, from: stored)).map { $0.deletedAt < oldest } ?? true
        }
        for start in stride(from: 0, to: old.count, by: Self.batchMax) {
            let batch = old[start..<min(start + Self.batchMax, old.count)]
            try await store.commit(
                Transaction(
                    conditions: [.value(MetadataKey.controller, claim)], operations: batch.map { .delete($0.key) }))
        }
    }

    private func report(_ action: ControllerAction) {
        switch action {
        case .change(let record, let old):
            logger.info(
                "Partition changed",
                metadata: [
                    "topic": "\(record.topicID)", "partition": "\(record.partition)",
                    "leader": "\(record.leader.map(\.description) ?? "none")", "leader-epoch": "\(record.leaderEpoch)",
                    "isr": "\(record.inSyncReplicas)", "replicas": "\(record.replicas)",
                    "old-leader": "\(old.record.leader.map(\.description) ?? "none")",
                ])
        case .assignRecovery(let record, _):
            logger.notice(
                "Dead broker to be recovered",
                metadata: ["dead": "\(record.broker)", "epoch": "\(record.epoch)", "assignee": "\(record.assignee)"])
        case .assignDeletion(let record, _):
            logger.info("Topic to be deleted", metadata: ["topic": "\(record.topicID)"])
        case .finishDeletion(let topic, _):
            logger.info("Topic deleted", metadata: ["topic": "\(topic.record.name)"])
        }
    }

    // MARK: Waking

    private func noticed(_ update: MetadataUpdate) {
        var work = ControllerWork()
        work.add(update)
        if !work.isEmpty || update.controllerChanged { signal(work) }
    }

    private func signal(_ work: ControllerWork) {
        let sleeper = state.withLock { state in
            // One that is not the controller looks at everything when it becomes it; it only needs to know that a seat may be free.
            if state.isActive { state.work.add(work) }
            state.isSignalled = true
            defer { state.sleeper = nil }
            return state.sleeper
        }
        sleeper?.resume()
    }

    private func stop() {
        let sleeper = state.withLock { state in
            state.isStopped = true
            defer { state.sleeper = nil }
            return state.sleeper
        }
        sleeper?.resume()
    }

    /// - Returns: False once stopped.
    private func waitForWork() async -> Bool {
        await withCheckedContinuation { continuation in
            let isReady = state.withLock { state in
                if state.isSignalled || state.isStopped { return true }
                state.sleeper = continuation
                return false
            }
            if isReady { continuation.resume() }
        }
        return state.withLock { state in
            state.isSignalled = false
            return !state.isStopped
        }
    }
}
