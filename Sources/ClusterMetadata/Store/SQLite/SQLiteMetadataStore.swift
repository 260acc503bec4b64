//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Dispatch
internal import Foundation
internal import GRDB
public import RuntimeEnvironment
internal import Synchronization

/// The embedded ``MetadataStore``: one SQLite file, opened by every broker process of one machine at once.
///
/// A commit is in the synced write-ahead log when it returns, and survives the death of any process. Concurrent commits of one
/// process share a transaction and its sync. Calls of SQLite run on GRDB's queues and a thread of its own, never on the caller's.
///
/// Leases go by the machine's monotonic clock, which all its processes share; those of an earlier boot have ended.
public final class SQLiteMetadataStore: MetadataStore {
    private struct PendingWrite: Sendable {
        /// Does the write within a session, and returns what tells the caller once the session is committed.
        var run: @Sendable (inout SQLiteWriteSession) throws -> @Sendable () -> Void
        var fail: @Sendable (MetadataStoreError) -> Void
    }
    private struct Pending {
        var writes: [PendingWrite] = []
        var isDraining = false
        var isClosed = false
    }

    /// Writes that share one SQLite transaction.
    private static let batchMax = 256
    /// After so many transactions in a row, other processes get a turn: SQLite's lock has no queue.
    private static let turnMax = 8

    private let path: String
    private let clock: any Clock
    private let boot: String
    private let retainedRevisionsMax: Int64
    private let writer: DatabaseQueue
    private let reader: DatabaseQueue
    private let followerConnection: DatabaseQueue
    private let follower: SQLiteChangeFollower
    private let pending = Mutex(Pending())

    /// Opens the store, or makes it. Blocks for some milliseconds.
    ///
    /// - Parameters:
    ///   - clock: The machine's monotonic clock.
    ///   - retainedRevisionsMax: A watch may begin this many revisions back; some more are kept at times.
    ///   - boot: Names the boot of the machine whose clock `clock` reads; asked of the kernel where nil.
    /// - Throws: ``MetadataStoreError/Code/corrupt`` if the file is damaged, another program's, or a newer version's.
    public init(
        path: String, clock: any Clock, retainedRevisionsMax: Int64 = 10_000, boot: String? = nil
    ) throws(MetadataStoreError) {
        self.path = path
        self.clock = clock
        self.retainedRevisionsMax = retainedRevisionsMax
        let boot = boot ?? Self.currentBoot()
        self.boot = boot
        do {
            let directory = URL(fileURLWithPath: path).deletingLastPathComponent()
            try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
            writer = try SQLiteSchema.connect(path, label: "metadata-write")
            try SQLiteSchema.prepare(writer, path: path)
            reader = try SQLiteSchema.connect(path, label: "metadata-read")
            followerConnection = try SQLiteSchema.connect(path, label: "metadata-watch")
        } catch let error as CocoaError {
            throw MetadataStoreError(
                .other, "the directory of the metadata store \(path) cannot be made: \(error.localizedDescription)")
        } catch {
            throw MetadataStoreError(error, path: path)
        }
        let relay = Relay()
        follower = SQLiteChangeFollower(
            connection: followerConnection, path: path,
            makeContent: { SQLiteContent(database: $0, path: path, boot: boot, now: clock.now()) },
            expireLeases: { relay.call() })
        relay.set { [weak self] in self?.enqueue(PendingWrite(run: { _ in {} }, fail: { _ in })) }
        follower.start()
    }

    deinit { follower.stop() }

    // MARK: Reading

    public func get(_ key: String) async throws(MetadataStoreError) -> StoredValue? {
        try await read { try $0.get(key) }
    }

    public func list(prefix: String) async throws(MetadataStoreError) -> (values: [StoredValue], revision: Int64) {
        try await read { (try $0.list(prefix: prefix), try $0.counter("revision")) }
    }

    // MARK: Writing

    @discardableResult
    public func commit(_ transaction: Transaction) async throws(MetadataStoreError) -> TransactionResult {
        try await write { try $0.commit(transaction) }
    }

    public func grantLease(_ duration: Duration) async throws(MetadataStoreError) -> LeaseID {
        try await write { try $0.grantLease(duration) }
    }

    public func keepAlive(_ lease: LeaseID) async throws(MetadataStoreError) {
        try await write { try $0.keepAlive(lease) }
    }

    public func revoke(_ lease: LeaseID) async throws(MetadataStoreError) {
        try await write { try $0.revoke(lease) }
    }

    // MARK: Watching

    public func watch(prefix: String, after revision: Int64) -> AsyncThrowingStream<MetadataChange, any Error> {
        let number = follower.nextWatcher()
        return MetadataWatcher.changes(
            add: { follower.add(MetadataWatcher(prefix: prefix, revision: revision, sink: $0), as: number) },
            remove: { [follower] in follower.remove(number) })
    }

    public func watchBatches(prefix: String, after revision: Int64) -> AsyncThrowingStream<[MetadataChange], any Error> {
        let number = follower.nextWatcher()
        return MetadataWatcher.batches(
            add: { follower.add(MetadataWatcher(prefix: prefix, revision: revision, sink: $0), as: number) },
            remove: { [follower] in follower.remove(number) })
    }

    /// Ends the watches, finishes the writes already asked for, and closes the file.
    public func close() async {
        pending.withLock { $0.isClosed = true }
        follower.stop()
        await withCheckedContinuation { continuation in
            // Waits for what is queued on each connection, so not on a thread of the caller's.
            DispatchQueue.global().async { [self] in
                for connection in [followerConnection, reader, writer] { try? connection.close() }
                continuation.resume()
            }
        }
    }

    // MARK: Internals

    private func content(_ database: Database) -> SQLiteContent {
        SQLiteContent(database: database, path: path, boot: boot, now: clock.now())
    }

    private func read<Value: Sendable>(
        _ body: @escaping @Sendable (SQLiteContent) throws -> Value
    ) async throws(MetadataStoreError) -> Value {
        while true {
            guard !pending.withLock(\.isClosed) else { throw .closed }
            let answer: Result<Value?, MetadataStoreError> = await withCheckedContinuation { continuation in
                reader.asyncWriteWithoutTransaction { [self] database in
                    let content = content(database)
                    var answer: Result<Value?, MetadataStoreError> = .success(nil)
                    do {
                        try database.inTransaction(.deferred) {
                            // A lease that has ended must not be seen; nil sends us to the writer first.
                            if let deadline = try content.earliestDeadline(), deadline <= content.now { return .commit }
                            answer = .success(try body(content))
                            return .commit
                        }
                    } catch {
                        answer = .failure(MetadataStoreError(error, path: path))
                    }
                    continuation.resume(returning: answer)
                }
            }
            if let value = try answer.get() { return value }
            try await write { _ in }
        }
    }

    private func write<Value: Sendable>(
        _ body: @escaping @Sendable (inout SQLiteWriteSession) throws -> Value
    ) async throws(MetadataStoreError) -> Value {
        let result: Result<Value, MetadataStoreError> = await withCheckedContinuation { continuation in
            enqueue(
                PendingWrite(
                    run: { session in
                        do {
                            let value = try body(&session)
                            return { continuation.resume(returning: .success(value)) }
                        } catch let error as MetadataStoreError where error.code == .leaseExpired {
                            return { continuation.resume(returning: .failure(error)) }
                        }
                    },
                    fail: { continuation.resume(returning: .failure($0)) }))
        }
        return try result.get()
    }

    private func enqueue(_ write: PendingWrite) {
        enum Outcome { case drain, queued, closed }
        let outcome: Outcome = pending.withLock { pending in
            guard !pending.isClosed else { return .closed }
            pending.writes.append(write)
            defer { pending.isDraining = true }
            return pending.isDraining ? .queued : .drain
        }
        switch outcome {
        case .drain: writer.asyncWriteWithoutTransaction { [self] in drain($0) }
        case .queued: break
        case .closed: write.fail(.closed)
        }
    }

    /// On the writer's queue: carries out what has gathered, batch by batch, until nothing is left.
    private func drain(_ database: Database) {
        for turn in 1... {
            if turn % Self.turnMax == 0 { Thread.sleep(forTimeInterval: 0.0015) }
            let writes: [PendingWrite] = pending.withLock { pending in
                let batch = Array(pending.writes.prefix(Self.batchMax))
                pending.writes.removeFirst(batch.count)
                if batch.isEmpty { pending.isDraining = false }
                return batch
            }
            if writes.isEmpty { return }
            do {
                var answers: [@Sendable () -> Void] = []
                var changedAnything = false
                try database.inTransaction(.immediate) {
                    var session = try SQLiteWriteSession(content(database), retainedRevisionsMax: retainedRevisionsMax)
                    answers = try writes.map { try $0.run(&session) }
                    try session.finish()
                    changedAnything = session.changedAnything
                    return changedAnything ? .commit : .rollback
                }
                if changedAnything { follower.wake() }
                for answer in answers { answer() }
            } catch {
                let failure = MetadataStoreError(error, path: path)
                for write in writes { write.fail(failure) }
            }
        }
    }

    /// Differs after each start of the machine, when its monotonic clock begins anew.
    private static func currentBoot() -> String {
        #if os(Linux)
            let path = "/proc/sys/kernel/random/boot_id"
            if let text = try? String(contentsOfFile: path, encoding: .utf8) {
                return text.trimmingCharacters(in: .whitespacesAndNewlines)
            }
        #endif
        // Where the kernel gives no name: the wall-clock second of the start, to the nearest minute.
        let start = Date.now.timeIntervalSince1970 - ProcessInfo.processInfo.systemUptime
        return "started-\(Int((start / 60).rounded()))"
    }
}

/// Lets the follower, made before the store is whole, call it.
private final class Relay: Sendable {
    private let body = Mutex<(@Sendable () -> Void)?>(nil)
    func set(_ body: @escaping @Sendable () -> Void) { self.body.withLock { $0 = body } }
    func call() { body.withLock { $0 }?() }
}
