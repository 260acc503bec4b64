//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel
package import Logging
package import RuntimeEnvironment
internal import Synchronization

/// One run of a broker as the cluster knows it: its epoch, its lease, and whether that still holds.
///
/// A broker whose lease may have ended is *fenced*: others may lead its partitions, so it must acknowledge nothing more. Its
/// next registration is a new run, in a new epoch.
package final class BrokerRegistration: Sendable {
    package struct Timing: Sendable, Hashable {
        /// Kafka's `broker.session.timeout.ms`: without a heartbeat for so long the broker counts as dead.
        package var sessionTimeout: Duration
        /// Kafka's `broker.heartbeat.interval.ms`.
        package var heartbeatInterval: Duration

        /// - Parameter heartbeatInterval: At most a third of the session is used, so that one lost heartbeat does no harm.
        package init(sessionTimeout: Duration = .seconds(9), heartbeatInterval: Duration = .seconds(2)) {
            self.sessionTimeout = sessionTimeout
            self.heartbeatInterval = min(heartbeatInterval, sessionTimeout / 3)
        }
    }

    private struct State {
        var record: BrokerRecord
        /// The record's, for compare-and-set.
        var revision: Int64
        var isEnded = false
        var waiters: [CheckedContinuation<Void, Never>] = []
        var heartbeat: Task<Void, Never>?
    }

    package let id: BrokerID
    package let epoch: BrokerEpoch
    /// The store deletes what is bound to it when the broker dies; the controller's claim is bound to it as well.
    package let lease: LeaseID

    private let store: any MetadataStore
    private let clock: any Clock
    private let timing: Timing
    private let logger: Logger
    /// Nanoseconds of ``leaseDeadline``.
    private let deadline: Atomic<Int64>
    private let state: Mutex<State>

    private init(
        record: BrokerRecord, revision: Int64, lease: LeaseID, deadline: MonotonicInstant, store: any MetadataStore,
        clock: any Clock, timing: Timing, logger: Logger
    ) {
        id = record.id
        epoch = record.epoch
        self.lease = lease
        self.store = store
        self.clock = clock
        self.timing = timing
        var logger = logger
        logger[metadataKey: "broker"] = "\(record.id)"
        logger[metadataKey: "epoch"] = "\(record.epoch)"
        self.logger = logger
        self.deadline = Atomic(deadline.nanoseconds)
        state = Mutex(State(record: record, revision: revision))
    }

    // MARK: Fencing

    /// Until then the lease surely holds: the session timeout counted from before the last successful heartbeat was sent.
    /// An engine reads it before it acknowledges; it costs one atomic load.
    package var leaseDeadline: MonotonicInstant { MonotonicInstant(nanoseconds: deadline.load(ordering: .acquiring)) }

    /// Whether the lease may have ended. Once true it stays true.
    package var isFenced: Bool { clock.now() >= leaseDeadline }

    package var record: BrokerRecord { state.withLock(\.record) }

    // MARK: Registering

    /// Registers a run of the broker in a new epoch, and keeps its lease alive from then on.
    ///
    /// The lease of an earlier run that was killed may last for some seconds yet; this waits for it to end.
    ///
    /// - Parameter record: What the broker says of itself; its epoch is set here.
    /// - Throws: ``MetadataOperationError/Code/nodeIDInUse`` if another process holds the id and keeps it alive.
    package static func register(
        _ record: BrokerRecord, in store: any MetadataStore, clock: any Clock, timing: Timing = Timing(), logger: Logger
    ) async throws(MetadataOperationError) -> BrokerRegistration {
        let patience = clock.now() + timing.sessionTimeout + timing.sessionTimeout / 3
        let key = MetadataKey.broker(record.id)
        let epochKey = MetadataKey.brokerEpoch(record.id)
        var hasSaidSo = false
        do {
            while true {
                // From before the look: a lease seen after that is not the one of a run that was dead when we began.
                let now = clock.now()
                if let other = try await store.get(key) {
                    let holder = try RecordCoding.decode(BrokerRecord.self, from: other)
                    guard now < patience else { throw inUse(record.id, by: holder) }
                    if !hasSaidSo {
                        hasSaidSo = true
                        logger.notice(
                            "Waiting for the lease of the broker's earlier run to end",
                            metadata: ["broker": "\(record.id)", "epoch": "\(holder.epoch)"])
                    }
                    do { try await clock.sleep(for: min(timing.heartbeatInterval / 4, .milliseconds(100))) } catch {
                        throw MetadataOperationError(.conflict, "the registration of broker \(record.id) was cancelled")
                    }
                    continue
                }
                let stored = try await store.get(epochKey)
                let last = try stored.map(RecordCoding.decodeDecimal) ?? -1
                var record = record
                record.epoch = BrokerEpoch(last + 1)
                let sent = clock.now()
                let lease = try await store.grantLease(timing.sessionTimeout)
                let transaction = Transaction(
                    conditions: [.absent(key), stored.map { .revision(epochKey, $0.modRevision) } ?? .absent(epochKey)],
                    operations: [
                        .put(key, RecordCoding.encode(record), lease: lease),
                        .put(epochKey, RecordCoding.encode(decimal: record.epoch.rawValue)),
                    ])
                // Nil: we were held up for a whole session.
                guard let result = try await commitUnlessExpired(transaction, in: store) else { continue }
                guard result.succeeded else {
                    try await store.revoke(lease)
                    continue
                }
                let registration = BrokerRegistration(
                    record: record, revision: result.revision, lease: lease, deadline: sent + timing.sessionTimeout, store: store,
                    clock: clock, timing: timing, logger: logger)
                registration.startHeartbeat()
                return registration
            }
        } catch let error as MetadataOperationError {
            throw error
        } catch let error as MetadataStoreError {
            throw MetadataOperationError(error)
        } catch {
            preconditionFailure("the store throws its own errors only, not \(error)")
        }
    }

    /// - Returns: Nil if the lease to which something was to be bound has ended.
    private static func commitUnlessExpired(
        _ transaction: Transaction, in store: any MetadataStore
    ) async throws(MetadataStoreError) -> TransactionResult? {
        do throws(MetadataStoreError) {
            return try await store.commit(transaction)
        } catch {
            if error.code == .leaseExpired { return nil }
            throw error
        }
    }

    private static func inUse(_ id: BrokerID, by holder: BrokerRecord) -> MetadataOperationError {
        MetadataOperationError(
            .nodeIDInUse,
            "node.id \(id) is in use by the live broker at \(holder.host):\(holder.port): give this one another node.id, or stop that one"
        )
    }

    // MARK: Leaving

    /// Tells the cluster that the broker is about to stop: it gets no new leadership, and leaderships are moved off it.
    package func beginDraining() async throws(MetadataOperationError) {
        let (record, revision) = state.withLock { ($0.record, $0.revision) }
        var draining = record
        draining.isDraining = true
        do throws(MetadataStoreError) {
            let result = try await store.commit(
                Transaction(
                    conditions: [.revision(MetadataKey.broker(id), revision)],
                    operations: [.put(MetadataKey.broker(id), RecordCoding.encode(draining), lease: lease)]))
            guard result.succeeded else { throw MetadataStoreError.leaseExpired(lease) }
            state.withLock { state in
                state.record = draining
                state.revision = result.revision
            }
        } catch {
            throw MetadataOperationError(error)
        }
    }

    /// Ends the run. Everything that it acknowledged must be where the next leader finds it: nobody recovers its data.
    package func deregister() async {
        await stopHeartbeat()
        do throws(MetadataStoreError) {
            try await store.commit(
                Transaction(
                    conditions: [.revision(MetadataKey.broker(id), state.withLock(\.revision))],
                    operations: [
                        .delete(MetadataKey.broker(id)),
                        .put(MetadataKey.closedEpoch(id), RecordCoding.encode(decimal: epoch.rawValue)),
                    ]))
            try await store.revoke(lease)
        } catch {
            // The lease ends by itself.
            logger.warning("The broker could not deregister", metadata: ["error": "\(error)"])
        }
        end()
    }

    /// Ends the run of a broker that cannot go on: others take over at once, and recover what it has not put where they find it.
    package func release() async {
        deadline.store(Int64.min, ordering: .releasing)
        await stopHeartbeat()
        do throws(MetadataStoreError) { try await store.revoke(lease) } catch {
            // The lease ends by itself.
            logger.warning("The lease could not be given back", metadata: ["error": "\(error)"])
        }
        end()
    }

    /// Stops without a word to the cluster, as if the process had been killed: the lease runs out.
    package func abandon() async {
        await stopHeartbeat()
        end()
    }

    /// Returns once the lease has been lost or given back.
    package func waitUntilEnded() async {
        await withCheckedContinuation { continuation in
            let isEnded = state.withLock { state in
                if !state.isEnded { state.waiters.append(continuation) }
                return state.isEnded
            }
            if isEnded { continuation.resume() }
        }
    }

    // MARK: Heartbeat

    private func startHeartbeat() {
        let task = Task { await self.beat() }
        state.withLock { $0.heartbeat = task }
    }

    private func stopHeartbeat() async {
        let heartbeat = state.withLock(\.heartbeat)
        heartbeat?.cancel()
        await heartbeat?.value
    }

    private func beat() async {
        var pause = timing.heartbeatInterval
        while !Task.isCancelled {
            do { try await clock.sleep(for: pause) } catch { return }
            // From before the call: the store's own count of the timeout begins later.
            let sent = clock.now()
            do {
                try await store.keepAlive(lease)
                // A late answer must not revive what engines have already taken for dead.
                guard clock.now() < leaseDeadline else { return await giveUp() }
                deadline.store((sent + timing.sessionTimeout).nanoseconds, ordering: .releasing)
                pause = timing.heartbeatInterval
            } catch  where error.code == .leaseExpired || error.code == .closed {
                return end()
            } catch {
                logger.warning("A heartbeat failed", metadata: ["error": "\(error)"])
                guard clock.now() < leaseDeadline else { return await giveUp() }
                pause = timing.heartbeatInterval / 4
            }
        }
    }

    /// The session has passed on our clock, whatever the store still believes: lets others take over at once.
    private func giveUp() async {
        end()
        do throws(MetadataStoreError) { try await store.revoke(lease) } catch {
            logger.warning("The lost lease could not be given back", metadata: ["error": "\(error)"])
        }
    }

    private func end() {
        deadline.store(Int64.min, ordering: .releasing)
        let waiters = state.withLock { state in
            state.isEnded = true
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }
}
