//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation
internal import GRDB
internal import RuntimeEnvironment

/// The thread that tells watchers what changed, whoever of the processes changed it, and notices when leases end.
///
/// Commits of this process wake it. Those of others show in `PRAGMA data_version`, which costs a look into shared memory and is
/// asked every few milliseconds, only while somebody watches.
///
/// `@unchecked Sendable`: `state` is guarded by `condition`; `connection`'s users are serialised by GRDB; the rest belongs to the thread.
final class SQLiteChangeFollower: @unchecked Sendable {
    private struct State {
        var watchers: [Int64: MetadataWatcher] = [:]
        /// Not yet told what happened between their revision and now.
        var arrivals: [Int64: MetadataWatcher] = [:]
        var lastWatcher: Int64 = 0
        var isWoken = false
        var isStopped = false
    }

    private static let pollInterval: TimeInterval = 0.005
    /// Polls between two requests to expire the same leases.
    private static let expiryPatience = 10

    private let connection: DatabaseQueue
    private let makeContent: @Sendable (Database) -> SQLiteContent
    private let expireLeases: @Sendable () -> Void
    private let path: String
    private let condition = NSCondition()
    private var state = State()

    // The thread's own.
    private var revision: Int64 = 0
    private var dataVersion: Int64?
    private var nextDeadline: MonotonicInstant?
    private var pollsUntilExpiry = 0

    /// - Parameter expireLeases: Asked to see to the leases that are due, without waiting for it.
    init(
        connection: DatabaseQueue, path: String, makeContent: @escaping @Sendable (Database) -> SQLiteContent,
        expireLeases: @escaping @Sendable () -> Void
    ) {
        self.connection = connection
        self.path = path
        self.makeContent = makeContent
        self.expireLeases = expireLeases
    }

    func start() {
        let thread = Thread { [self] in run() }
        thread.name = "metadata-watch"
        thread.start()
    }

    func nextWatcher() -> Int64 {
        condition.withLock {
            state.lastWatcher += 1
            return state.lastWatcher
        }
    }

    func add(_ watcher: MetadataWatcher, as number: Int64) {
        let isStopped = condition.withLock {
            if !state.isStopped { state.arrivals[number] = watcher }
            condition.signal()
            return state.isStopped
        }
        if isStopped { watcher.finish(nil) }
    }

    func remove(_ number: Int64) {
        condition.withLock {
            state.arrivals[number] = nil
            state.watchers[number] = nil
        }
    }

    /// This process has committed something.
    func wake() {
        condition.withLock {
            state.isWoken = true
            condition.signal()
        }
    }

    /// Ends all watches.
    func stop() {
        let watchers = condition.withLock {
            state.isStopped = true
            condition.signal()
            defer {
                state.watchers = [:]
                state.arrivals = [:]
            }
            return Array(state.watchers.values) + Array(state.arrivals.values)
        }
        for watcher in watchers { watcher.finish(nil) }
    }

    // MARK: The thread

    private func run() {
        while let (arrivals, isWoken) = waitForWork() {
            do {
                try connection.writeWithoutTransaction { database in
                    try look(makeContent(database), arrivals: arrivals, isWoken: isWoken)
                }
            } catch {
                finishAll(MetadataStoreError(error, path: path))
            }
        }
    }

    /// Returns at once if there is something to do, else after the poll interval; nil once stopped.
    private func waitForWork() -> (arrivals: [Int64: MetadataWatcher], isWoken: Bool)? {
        condition.lock()
        defer { condition.unlock() }
        while !state.isStopped {
            if !state.arrivals.isEmpty || (state.isWoken && !state.watchers.isEmpty) { break }
            if state.watchers.isEmpty {
                condition.wait()
            } else if !condition.wait(until: Date(timeIntervalSinceNow: Self.pollInterval)) {
                break
            }
        }
        guard !state.isStopped else { return nil }
        defer { state.isWoken = false }
        return (state.arrivals, state.isWoken)
    }

    private func look(_ content: SQLiteContent, arrivals: [Int64: MetadataWatcher], isWoken: Bool) throws {
        let version = try Int64.fetchOne(content.database.cachedStatement(sql: "PRAGMA data_version"))
        if version != dataVersion || isWoken || !arrivals.isEmpty {
            dataVersion = version
            try content.database.inTransaction(.deferred) {
                try tell(content, arrivals: arrivals)
                nextDeadline = try content.earliestDeadline()
                return .commit
            }
        }
        pollsUntilExpiry = max(0, pollsUntilExpiry - 1)
        if let nextDeadline, nextDeadline <= content.now, pollsUntilExpiry == 0 {
            pollsUntilExpiry = Self.expiryPatience
            expireLeases()
        }
    }

    private func tell(_ content: SQLiteContent, arrivals: [Int64: MetadataWatcher]) throws {
        let current = try content.counter("revision")
        let compacted = try content.counter("compacted")
        let changes = revision < compacted || revision >= current ? [] : try content.changes(after: revision, prefix: "")
        let isBehind = revision < compacted
        revision = current

        var ready: [Int64: MetadataWatcher] = [:]
        var failed: [MetadataWatcher] = []
        for (number, arrival) in arrivals {
            var watcher = arrival
            let isKnown = watcher.revision >= compacted && watcher.revision <= current
            if isKnown, watcher.send(try content.changes(after: watcher.revision, prefix: watcher.prefix)) {
                watcher.revision = current
                ready[number] = watcher
            } else {
                failed.append(watcher)
            }
        }
        condition.withLock {
            for number in Array(state.watchers.keys) where isBehind || state.watchers[number]?.send(changes) == false {
                failed.append(state.watchers.removeValue(forKey: number)!)
            }
            for number in arrivals.keys {
                // One that left meanwhile is not among the arrivals any more.
                if state.arrivals.removeValue(forKey: number) != nil, let watcher = ready[number] {
                    state.watchers[number] = watcher
                }
            }
        }
        for watcher in failed { watcher.finish(.compacted(after: watcher.revision)) }
    }

    private func finishAll(_ error: MetadataStoreError) {
        dataVersion = nil
        let watchers = condition.withLock {
            defer {
                state.watchers = [:]
                state.arrivals = [:]
            }
            return Array(state.watchers.values) + Array(state.arrivals.values)
        }
        for watcher in watchers { watcher.finish(error) }
    }
}
