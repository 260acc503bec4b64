//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import DequeModule
package import LogEngine
internal import LogModel
internal import NIOCore
package import RuntimeEnvironment
internal import Synchronization

/// A broker's write-ahead log: a ring in one preallocated file, with group commit.
///
/// The file is this run's alone. Whatever was queued while the last group was being synced makes the next group, if the broker's lease
/// holds: one write per stretch of the ring, one `fdatasync`, then the acknowledgements in order, if it still does. A failed write or
/// sync ends the log for good, since what the medium holds after it is unknown.
package final class WriteAheadLog: Sendable {
    private struct State {
        var queue = WALQueue()
        var isCommitQueued = false
        /// The ring had no room for the next record: a trim resumes the commits.
        var isStalled = false
        var isRecheckingLease = false
        /// Since the lease held last.
        var leaseRechecks = 0
        var ring: WALRing
        var header: WALHeader
        /// Synced, not yet acknowledged: the lease did not hold. None once the log has ended.
        var unacknowledged: Deque<[PlacedAppend]> = []
        /// What `release` has asked for and the header does not say yet.
        var wantedTrim: Int64?
        var isTrimQueued = false
    }

    package let path: String
    package let disk: any Disk
    private let file: any DiskFile
    /// Keeps other processes from being this broker; closed once nothing more is written.
    private let lock: (any DiskFile)?
    private let worker: any Worker
    private let clock: any Clock
    private let settings: SharedStorageSettings
    private let leaseHolds: @Sendable () -> Bool
    /// Called when the ring fills, from the WAL's thread.
    private let pressure: @Sendable () -> Void
    /// Asks the metadata whether somebody else has taken this log; nil if not, or if they do not answer.
    private let takenOver: @Sendable () async -> LogError?
    private let state: Mutex<State>

    init(
        disk: any Disk, path: String, file: any DiskFile, lock: (any DiskFile)?, header: WALHeader, environment: RuntimeEnvironment,
        settings: SharedStorageSettings, leaseHolds: @escaping @Sendable () -> Bool, pressure: @escaping @Sendable () -> Void,
        takenOver: @escaping @Sendable () async -> LogError?
    ) {
        self.disk = disk
        self.path = path
        self.file = file
        self.lock = lock
        self.settings = settings
        self.leaseHolds = leaseHolds
        self.pressure = pressure
        self.takenOver = takenOver
        clock = environment.clock
        worker = environment.workers.makeWorker(named: "wal-\(header.brokerID)")
        state = Mutex(State(ring: WALRing(capacity: header.capacity, position: header.trimPosition), header: header))
    }

    package var bodyBytesMax: Int { min(settings.walQueueBytesMax, WALRing.bodyBytesMax(capacity: settings.walCapacityBytes)) }

    // MARK: Appending

    package func refusal(ofBytes bytes: Int) -> LogError? {
        state.withLock { state in
            state.queue.refusal(
                ofBytes: bytes, max: settings.walQueueBytesMax, place: path, remedy: "uploads have made room")
        }
    }

    /// Queues `append`; its place in the ring's order is fixed on return. Does not block.
    ///
    /// - Returns: The append's number in this log, for ``release(before:)``.
    /// - Throws: What ended the log: nothing was queued, and the client hears nothing.
    @discardableResult
    package func enqueue(_ append: WALAppend) throws(LogError) -> UInt64 {
        let (sequence, starts) = try state.withLock { state throws(LogError) in
            let sequence = try state.queue.enqueue(append)
            let starts = !state.isCommitQueued && !state.isStalled
            if starts { state.isCommitQueued = true }
            return (sequence, starts)
        }
        if starts { worker.submit { self.commitGroup() } }
        return sequence
    }

    private enum Step {
        case write(WALGroup)
        case stalled
        case idle
    }

    private func commitGroup() {
        // Whoever recovers this log may be reading it: what cannot be acknowledged is not written either.
        guard leaseHolds() else { return recheckLease() }
        let step = state.withLock { state -> Step in
            state.isCommitQueued = false
            guard !state.queue.isEmpty else { return .idle }
            return Self.takeGroup(from: &state, bytesMax: settings.walGroupBytesMax)
        }
        switch step {
        case .idle: return
        case .stalled: return pressure()
        case .write(let group):
            do throws(DiskError) {
                for extent in group.extents { try file.write(extent.buffers, at: extent.fileOffset) }
                try file.synchronize()
            } catch {
                let code: LogError.Code = error.code == .noSpace ? .diskFull : .storageFailure
                let failure = LogError(
                    code,
                    "the write-ahead log \(path) could not be written or synced; restart the broker once its volume is sound",
                    cause: error)
                fail(failure)
                return group.appends.map(\.append.client).tell(failure)
            }
            let (isUnderPressure, failure) = state.withLock { state in
                // Ended while the group was being written: whether it is durable does not matter, nobody is told that it is.
                if let failure = state.queue.failure { return (false, Optional(failure)) }
                state.unacknowledged.append(group.appends)
                return (Double(state.ring.heldBytes) > Double(state.ring.capacity) * settings.walPressureShare, nil)
            }
            if let failure { return group.appends.map(\.append.client).tell(failure) }
            if isUnderPressure { pressure() }
            acknowledge()
            commitAgainIfNeeded()
        }
    }

    /// Places what is queued, up to a group's limit and the ring's room.
    private static func takeGroup(from state: inout State, bytesMax: Int) -> Step {
        let start = state.ring.nextGroupStart
        var cursor = start
        var taken: [PlacedAppend] = []
        taken.reserveCapacity(state.queue.count(within: bytesMax))
        var paddings: [Range<Int64>] = []
        var bytes = 0
        while let next = state.queue.nextBodyBytes, taken.isEmpty || bytes + next <= bytesMax {
            let span = WALRecordHeader.span(ofBody: next)
            guard let placement = state.ring.place(span: span, at: cursor) else { break }
            if let padding = placement.padding { paddings.append(padding) }
            taken.append(PlacedAppend(append: state.queue.takeNext(), position: placement.position))
            cursor = placement.position + span
            bytes += next
        }
        guard !taken.isEmpty else {
            state.isStalled = true
            return .stalled
        }
        state.ring.groupPlaced(start: start, lastSequence: state.queue.lastTakenSequence, bodyBytes: Int64(bytes))
        return .write(
            WALGroup(appends: taken, paddings: paddings, start: start, capacity: state.ring.capacity, epoch: state.header.epoch))
    }

    private func commitAgainIfNeeded() {
        let again = state.withLock { state in
            guard !state.queue.isEmpty, !state.isCommitQueued, !state.isStalled else { return false }
            state.isCommitQueued = true
            return true
        }
        if again { worker.submit { self.commitGroup() } }
    }

    // MARK: Acknowledging

    /// Acknowledges what is synced, oldest group first, while the lease holds. On the WAL's thread.
    ///
    /// Where the lease does not hold, nothing is acknowledged: whoever recovers this log may have read it already. A late renewal
    /// of the same lease proves that nobody has, and the groups go out then.
    private func acknowledge() {
        while true {
            guard leaseHolds() else { return recheckLease() }
            let group = state.withLock { state -> [PlacedAppend]? in
                state.leaseRechecks = 0
                guard let group = state.unacknowledged.popFirst() else { return nil }
                state.queue.acknowledged(bytes: group.reduce(0) { $0 + $1.append.body.readableBytes })
                return group
            }
            guard let group else { return }
            group.tellDurable()
        }
    }

    private func recheckLease() {
        let rechecks = state.withLock { state -> Int? in
            guard !state.isRecheckingLease, !state.unacknowledged.isEmpty || state.isCommitQueued && !state.queue.isEmpty else {
                return nil
            }
            state.isRecheckingLease = true
            state.leaseRechecks += 1
            return state.leaseRechecks
        }
        guard let rechecks else { return }
        Task {
            try? await clock.sleep(for: .milliseconds(10))
            if rechecks % 10 == 0, let failure = await takenOver() { fail(failure) }
            worker.submit {
                let commits = self.state.withLock { state in
                    state.isRecheckingLease = false
                    return state.isCommitQueued
                }
                self.acknowledge()
                if commits { self.commitGroup() }
            }
        }
    }

    // MARK: Trimming

    package var nextSequence: UInt64 { state.withLock { $0.queue.nextSequence } }

    /// Lets go of appends numbered below `sequence`, all of which are in committed objects. Their room is free once the header
    /// that says so is on the medium.
    package func release(before sequence: UInt64) {
        let starts = state.withLock { state in
            guard state.queue.failure == nil, let trim = state.ring.release(before: sequence) else { return false }
            state.wantedTrim = trim
            guard !state.isTrimQueued else { return false }
            state.isTrimQueued = true
            return true
        }
        if starts { worker.submit { self.writeTrim(isClean: false) } }
    }

    private func writeTrim(isClean: Bool) {
        let header = state.withLock { state -> WALHeader? in
            state.isTrimQueued = false
            guard state.queue.failure == nil else { return nil }
            guard let trim = state.wantedTrim ?? (isClean ? state.ring.trimPosition : nil) else { return nil }
            state.wantedTrim = nil
            state.header.trimPosition = trim
            state.header.sequence += 2
            state.header.isClean = isClean
            return state.header
        }
        guard let header else { return }
        do throws(DiskError) {
            // One after the other, so that a torn write leaves one of them; both before any room is used again, so that either may rot.
            var page = header
            for sequence in header.sequence - 1...header.sequence {
                page.sequence = sequence
                try file.write([page.encode()], at: page.fileOffset)
                try file.synchronize()
            }
        } catch {
            return fail(LogError(.storageFailure, "the header of the write-ahead log \(path) could not be written", cause: error))
        }
        state.withLock { state in
            state.ring.trimmed(to: header.trimPosition)
            state.isStalled = false
        }
        commitAgainIfNeeded()
    }

    // MARK: Ending

    /// Why the log no longer writes; nil while it does.
    package var failure: LogError? { state.withLock { $0.queue.failure } }

    /// Ends the log: nothing more is written or acknowledged. The first reason counts.
    package func fail(_ error: LogError) {
        let clients = state.withLock { state -> [any WALClient]? in
            guard let queued = state.queue.end(error) else { return nil }
            defer { state.unacknowledged.removeAll() }
            return state.unacknowledged.flatMap { $0.map(\.append.client) } + queued
        }
        guard let clients else { return }
        clients.tell(error)
        // Behind the write that may be under way.
        if let lock { worker.submit { lock.close() } }
    }

    /// Waits for the jobs queued so far, marks the log as cleanly closed if nothing in it is live, and closes the file.
    package func close() async {
        await worker.run {
            if self.state.withLock({ $0.ring.liveBodyBytes == 0 && $0.queue.isEmpty }) { self.writeTrim(isClean: true) }
            self.fail(LogError(.notAvailable, "the write-ahead log \(self.path) is closed"))
            self.file.close()
        }
    }

    // MARK: Looking

    package struct Usage: Sendable {
        /// Bytes of the ring with live records, their headers and gaps.
        package var liveBytes: Int64
        /// Bytes of record batches among them.
        package var liveRecordBytes: Int64
        /// Bytes that may not be overwritten yet.
        package var heldBytes: Int64
        package var capacity: Int64
    }

    package var usage: Usage {
        state.withLock {
            Usage(
                liveBytes: $0.ring.liveBytes, liveRecordBytes: $0.ring.liveBodyBytes, heldBytes: $0.ring.heldBytes,
                capacity: $0.ring.capacity)
        }
    }

    /// Bytes allocated for the file, all copies of the volume's.
    package func allocatedBytes() async throws(DiskError) -> Int64 {
        try await worker.run { () throws(DiskError) in try self.file.allocatedBytes() }
    }

    /// Where the body of the record at `position` lies in the file.
    package func fileOffset(ofBodyAt position: Int64) -> Int64 {
        WALHeader.ringStart + position % state.withLock { $0.ring.capacity } + Int64(WALRecordHeader.size)
    }

    /// Whether the record at `position` is still live.
    package func isLive(_ position: Int64) -> Bool { state.withLock { position >= $0.ring.liveStart } }

    /// Runs `body` on the log's thread, behind the commits queued before.
    package func onWorker<Value: Sendable>(_ body: @escaping @Sendable (any DiskFile) throws(DiskError) -> Value)
        async throws(DiskError) -> Value
    {
        try await worker.run { () throws(DiskError) in try body(self.file) }
    }
}
