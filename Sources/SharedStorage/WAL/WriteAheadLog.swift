//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import DequeModule
package import LogEngine
package import LogModel
package import NIOCore
package import RuntimeEnvironment
internal import Synchronization

/// Who is told what became of an append. Called on the WAL's thread, in the order of the ring.
package protocol WALClient: AnyObject, Sendable {
    /// The record at `position` is synced and this broker still holds its lease: the append may be acknowledged.
    func appendDurable(_ offsets: Range<Offset>, position: Int64)
    /// Nothing more of this client's will become durable.
    func appendFailed(_ error: LogError)
    /// After the last record of a group that held some of this client's.
    func groupEnded()
    /// For the log alone.
    var groupMark: WALGroupMark { get }
}

/// Says which of a client's appends is its first in a group, without a set of those seen. Belongs to one client of one log.
package final class WALGroupMark: Sendable {
    private let last = Atomic<Int64>(-1)

    package init() {}

    /// Whether this is the first call for the group that begins at `position`. On the log's thread only.
    func isFirst(ofGroup position: Int64) -> Bool { last.exchange(position, ordering: .relaxed) != position }
}

/// One partition's batches on their way into the ring.
package struct WALAppend: Sendable {
    package var stream: StreamID
    package var leaderEpoch: LeaderEpoch
    package var offsets: Range<Offset>
    package var body: ByteBuffer
    package var client: any WALClient

    package init(stream: StreamID, leaderEpoch: LeaderEpoch, offsets: Range<Offset>, body: ByteBuffer, client: any WALClient) {
        self.stream = stream
        self.leaderEpoch = leaderEpoch
        self.offsets = offsets
        self.body = body
        self.client = client
    }
}

/// A broker's write-ahead log: a ring in one preallocated file, with group commit.
///
/// Whatever was queued while the last group was being synced makes the next group: one write per stretch of the ring, one
/// `fdatasync`, then the acknowledgements in order, if the broker's lease still holds. A failed write or sync ends the log for
/// good, since what the medium holds after it is unknown.
package final class WriteAheadLog: Sendable {
    private struct State {
        var queue: Deque<WALAppend> = []
        /// Queued, being written, or synced and waiting for the lease. Limited by `walQueueBytesMax`.
        var outstandingBytes = 0
        var nextSequence: UInt64 = 0
        var isCommitQueued = false
        /// The ring had no room for the next record: a trim resumes the commits.
        var isStalled = false
        var isRecheckingLease = false
        /// Since the lease held last.
        var leaseRechecks = 0
        var failure: LogError?
        var ring: WALRing
        var header: WALHeader
        /// Synced, not yet acknowledged: the lease did not hold.
        var unacknowledged: Deque<[PlacedAppend]> = []
        /// What `release` has asked for and the header does not say yet.
        var wantedTrim: Int64?
        var isTrimQueued = false
    }

    struct PlacedAppend {
        var append: WALAppend
        var position: Int64
    }

    package let path: String
    package let disk: any Disk
    private let file: any DiskFile
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
        disk: any Disk, path: String, file: any DiskFile, header: WALHeader, environment: RuntimeEnvironment,
        settings: SharedStorageSettings, leaseHolds: @escaping @Sendable () -> Bool, pressure: @escaping @Sendable () -> Void,
        takenOver: @escaping @Sendable () async -> LogError?
    ) {
        self.disk = disk
        self.path = path
        self.file = file
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
            if let failure = state.failure { return failure }
            guard state.outstandingBytes + bytes <= settings.walQueueBytesMax || state.outstandingBytes == 0 else {
                return LogError(
                    .overloaded,
                    "the write-ahead log \(path) has \(state.outstandingBytes) bytes waiting; try again when uploads have made room"
                )
            }
            return nil
        }
    }

    /// Queues `append`; its place in the ring's order is fixed on return. Does not block.
    ///
    /// - Returns: The append's number in this log, for ``release(before:)``.
    /// - Throws: What ended the log: nothing was queued, and the client hears nothing.
    @discardableResult
    package func enqueue(_ append: WALAppend) throws(LogError) -> UInt64 {
        let (sequence, starts) = try state.withLock { state throws(LogError) in
            if let failure = state.failure { throw failure }
            let sequence = state.nextSequence
            state.nextSequence += 1
            state.queue.append(append)
            state.outstandingBytes += append.body.readableBytes
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
        let step = state.withLock { state -> Step in
            state.isCommitQueued = false
            guard state.failure == nil, !state.queue.isEmpty else { return .idle }
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
                return Self.tell(failure, to: group.appends.map(\.append.client))
            }
            let (isUnderPressure, failure) = state.withLock { state in
                // Ended while the group was being written: whether it is durable does not matter, nobody is told that it is.
                if let failure = state.failure { return (false, Optional(failure)) }
                state.unacknowledged.append(group.appends)
                return (Double(state.ring.heldBytes) > Double(state.ring.capacity) * settings.walPressureShare, nil)
            }
            if let failure { return Self.tell(failure, to: group.appends.map(\.append.client)) }
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
        taken.reserveCapacity(Self.countWithin(bytesMax, of: state.queue))
        var paddings: [Range<Int64>] = []
        var bytes = 0
        while let next = state.queue.first, taken.isEmpty || bytes + next.body.readableBytes <= bytesMax {
            let span = WALRecordHeader.span(ofBody: next.body.readableBytes)
            guard let placement = state.ring.place(span: span, at: cursor) else { break }
            if let padding = placement.padding { paddings.append(padding) }
            taken.append(PlacedAppend(append: state.queue.removeFirst(), position: placement.position))
            cursor = placement.position + span
            bytes += next.body.readableBytes
        }
        guard !taken.isEmpty else {
            state.isStalled = true
            return .stalled
        }
        let lastSequence = state.nextSequence - UInt64(state.queue.count) - 1
        state.ring.groupPlaced(start: start, lastSequence: lastSequence, bodyBytes: Int64(bytes))
        return .write(
            WALGroup(appends: taken, paddings: paddings, start: start, capacity: state.ring.capacity, epoch: state.header.epoch))
    }

    /// How many appends make a group, if the ring has room.
    private static func countWithin(_ bytesMax: Int, of queue: Deque<WALAppend>) -> Int {
        var bytes = 0
        let beyond = queue.firstIndex { append in
            bytes += append.body.readableBytes
            return bytes > bytesMax
        }
        return max(1, beyond ?? queue.count)
    }

    private func commitAgainIfNeeded() {
        let again = state.withLock { state in
            guard state.failure == nil, !state.queue.isEmpty, !state.isCommitQueued, !state.isStalled else { return false }
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
                guard state.failure == nil, let group = state.unacknowledged.popFirst() else { return nil }
                state.outstandingBytes -= group.reduce(0) { $0 + $1.append.body.readableBytes }
                return group
            }
            guard let group else { return }
            for placed in group { placed.append.client.appendDurable(placed.append.offsets, position: placed.position) }
            guard let start = group.first?.position else { continue }
            for placed in group where placed.append.client.groupMark.isFirst(ofGroup: start) { placed.append.client.groupEnded() }
        }
    }

    private static func tell(_ failure: LogError, to clients: [any WALClient]) {
        var told: Set<ObjectIdentifier> = []
        for client in clients where told.insert(ObjectIdentifier(client)).inserted { client.appendFailed(failure) }
    }

    private func recheckLease() {
        let rechecks = state.withLock { state -> Int? in
            guard !state.isRecheckingLease, !state.unacknowledged.isEmpty, state.failure == nil else { return nil }
            state.isRecheckingLease = true
            state.leaseRechecks += 1
            return state.leaseRechecks
        }
        guard let rechecks else { return }
        Task {
            try? await clock.sleep(for: .milliseconds(10))
            if rechecks % 10 == 0, let failure = await takenOver() { fail(failure) }
            worker.submit {
                self.state.withLock { $0.isRecheckingLease = false }
                self.acknowledge()
            }
        }
    }

    // MARK: Trimming

    package var nextSequence: UInt64 { state.withLock { $0.nextSequence } }

    /// Lets go of appends numbered below `sequence`, all of which are in committed objects. Their room is free once the header
    /// that says so is on the medium.
    package func release(before sequence: UInt64) {
        let starts = state.withLock { state in
            guard state.failure == nil, let trim = state.ring.release(before: sequence) else { return false }
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
            guard state.failure == nil else { return nil }
            guard let trim = state.wantedTrim ?? (isClean ? state.ring.trimPosition : nil) else { return nil }
            state.wantedTrim = nil
            state.header.trimPosition = trim
            state.header.sequence += 1
            state.header.isClean = isClean
            return state.header
        }
        guard let header else { return }
        do throws(DiskError) {
            try file.write([header.encode()], at: header.fileOffset)
            try file.synchronize()
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
    package var failure: LogError? { state.withLock { $0.failure } }

    /// Ends the log: nothing more is written or acknowledged. The first reason counts.
    package func fail(_ error: LogError) {
        let clients = state.withLock { state -> [any WALClient]? in
            guard state.failure == nil else { return nil }
            state.failure = error
            let clients = state.unacknowledged.flatMap { $0.map(\.append.client) } + state.queue.map(\.client)
            state.queue.removeAll()
            state.unacknowledged.removeAll()
            return clients
        }
        Self.tell(error, to: clients ?? [])
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
