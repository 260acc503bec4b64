//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import RuntimeEnvironment
internal import Synchronization

/// A ``MetadataStore`` of one process, which forgets all when it goes: for tests, simulations, and engines used without a broker.
///
/// "Durable" means as long as the object lives. Leases go by the clock given.
public final class InMemoryMetadataStore: MetadataStore {
    private struct State {
        var content: KeyValueState
        var watchers: [Int64: MetadataWatcher] = [:]
        var lastWatcher: Int64 = 0
        var isClosed = false
        /// Sleeps until the earliest lease's deadline; nil while there is no lease.
        var alarm: Task<Void, Never>?
        var alarmDeadline: MonotonicInstant?
    }

    private let clock: any Clock
    private let state: Mutex<State>

    /// - Parameter retainedRevisionsMax: A watch may begin this many revisions back; some more are kept at times.
    public init(clock: any Clock, retainedRevisionsMax: Int64 = 10_000) {
        self.clock = clock
        state = Mutex(State(content: KeyValueState(retainedRevisionsMax: retainedRevisionsMax)))
    }

    deinit { state.withLock { $0.alarm?.cancel() } }

    public func get(_ key: String) async throws(MetadataStoreError) -> StoredValue? {
        try change { (content) throws(MetadataStoreError) in (content.get(key), []) }
    }

    public func list(prefix: String) async throws(MetadataStoreError) -> (values: [StoredValue], revision: Int64) {
        try change { (content) throws(MetadataStoreError) in ((content.list(prefix: prefix), content.revision), []) }
    }

    /// As ``list(prefix:)``, for a caller that cannot wait: what is there now.
    package func now(prefix: String) -> [StoredValue] { state.withLock { $0.content.list(prefix: prefix) } }

    public func commit(_ transaction: Transaction) async throws(MetadataStoreError) -> TransactionResult {
        try change { (content) throws(MetadataStoreError) in
            let made = try content.commit(transaction)
            return (TransactionResult(succeeded: made != nil, revision: content.revision), made ?? [])
        }
    }

    public func grantLease(_ duration: Duration) async throws(MetadataStoreError) -> LeaseID {
        let now = clock.now()
        let lease = try change { (content) throws(MetadataStoreError) in (content.grantLease(duration, now: now), []) }
        setAlarm()
        return lease
    }

    public func keepAlive(_ lease: LeaseID) async throws(MetadataStoreError) {
        let now = clock.now()
        try change { (content) throws(MetadataStoreError) in (try content.keepAlive(lease, now: now), []) }
    }

    public func revoke(_ lease: LeaseID) async throws(MetadataStoreError) {
        try change { (content) throws(MetadataStoreError) in ((), content.revoke(lease)) }
    }

    public func watch(prefix: String, after revision: Int64) -> AsyncThrowingStream<MetadataChange, any Error> {
        let number = nextWatcher()
        return MetadataWatcher.changes(
            add: { self.add(MetadataWatcher(prefix: prefix, revision: revision, sink: $0), as: number) },
            remove: { [weak self] in self?.remove(number) })
    }

    public func watchBatches(prefix: String, after revision: Int64) -> AsyncThrowingStream<[MetadataChange], any Error> {
        let number = nextWatcher()
        return MetadataWatcher.batches(
            add: { self.add(MetadataWatcher(prefix: prefix, revision: revision, sink: $0), as: number) },
            remove: { [weak self] in self?.remove(number) })
    }

    public func close() async {
        let watchers = state.withLock { state in
            state.isClosed = true
            state.alarm?.cancel()
            state.alarm = nil
            defer { state.watchers = [:] }
            return Array(state.watchers.values)
        }
        for watcher in watchers { watcher.finish(nil) }
    }

    /// Expires what is due, does `body`, and tells the watchers of both.
    @discardableResult
    private func change<Value>(
        _ body: (inout KeyValueState) throws(MetadataStoreError) -> (Value, [MetadataChange])
    ) throws(MetadataStoreError) -> Value {
        let now = clock.now()
        var overrun: [MetadataWatcher] = []
        let result: Result<Value, MetadataStoreError> = state.withLock { state in
            guard !state.isClosed else { return .failure(.closed) }
            overrun += Self.send(state.content.expireLeases(now: now), to: &state.watchers)
            do throws(MetadataStoreError) {
                let (value, changes) = try body(&state.content)
                overrun += Self.send(changes, to: &state.watchers)
                return .success(value)
            } catch {
                return .failure(error)
            }
        }
        for watcher in overrun { watcher.finish(.compacted(after: watcher.revision)) }
        return try result.get()
    }

    /// - Returns: The watchers that could not keep up, taken out.
    private static func send(_ changes: [MetadataChange], to watchers: inout [Int64: MetadataWatcher]) -> [MetadataWatcher] {
        guard !changes.isEmpty else { return [] }
        var overrun: [MetadataWatcher] = []
        for number in watchers.keys where watchers[number]?.send(changes) == false {
            overrun.append(watchers.removeValue(forKey: number)!)
        }
        return overrun
    }

    private func nextWatcher() -> Int64 {
        state.withLock { state in
            state.lastWatcher += 1
            return state.lastWatcher
        }
    }

    private func add(_ watcher: MetadataWatcher, as number: Int64) {
        enum Outcome { case added, failed(MetadataStoreError?) }
        let outcome: Outcome = state.withLock { state in
            guard !state.isClosed else { return .failed(nil) }
            guard let missed = state.content.changes(after: watcher.revision, prefix: watcher.prefix) else {
                return .failed(.compacted(after: watcher.revision))
            }
            var watcher = watcher
            guard watcher.send(missed) else { return .failed(.compacted(after: watcher.revision)) }
            state.watchers[number] = watcher
            return .added
        }
        if case .failed(let error) = outcome { watcher.finish(error) }
    }

    private func remove(_ number: Int64) { state.withLock { _ = $0.watchers.removeValue(forKey: number) } }

    /// Sees to it that leases end, and watchers hear of it, though nobody asks.
    private func setAlarm() {
        state.withLock { state in
            guard !state.isClosed, let deadline = state.content.earliestDeadline else { return }
            if let set = state.alarmDeadline, set <= deadline { return }
            state.alarm?.cancel()
            state.alarmDeadline = deadline
            let clock = clock
            state.alarm = Task { [weak self] in
                do { try await clock.sleep(until: deadline) } catch { return }
                self?.alarmRang(deadline)
            }
        }
    }

    private func alarmRang(_ deadline: MonotonicInstant) {
        state.withLock { if $0.alarmDeadline == deadline { $0.alarmDeadline = nil } }
        try? change { (_) throws(MetadataStoreError) in ((), []) }
        setAlarm()
    }
}
