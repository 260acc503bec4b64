//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import DequeModule
package import LogEngine
package import LogModel
internal import NIOCore
package import ObjectStore
package import RuntimeEnvironment
internal import Synchronization

/// A broker's write-ahead log in the object store: a broker that needs no disk of its own.
///
/// What is appended within ``SharedStorageSettings/walObjectLinger`` (250 ms) of the last object's beginning, or sooner
/// ``SharedStorageSettings/walObjectBatchBytes`` (8 MiB) of it, goes up as one object, numbered in its run: an idle log does not let
/// its first append wait, a busy one puts four objects a second or full ones. Some are put side by side; acknowledgements go by number. Each put has
/// the condition that its key is free, so whoever recovers the log puts a fence where the next object was to go, and from then on
/// this writer acknowledges nothing, however late it wakes. A put that fails is tried again until then: the same bytes under the
/// same key, so one whose answer was lost does no harm.
package final class ObjectWAL: WALWriter {
    private struct Flight {
        var group: WALObjectGroup
        var isDurable = false
    }

    private struct LiveObject {
        var number: Int64
        var lastSequence: UInt64
        var bodyBytes: Int64
        var objectBytes: Int64
    }

    private struct State {
        var queue = WALQueue()
        var nextNumber: Int64 = 0
        /// Not acknowledged, by number. None once the log has ended.
        var flights: Deque<Flight> = []
        var isTimerSet = false
        /// When the last object began.
        var lastStart: MonotonicInstant?
        /// What is queued has waited long enough.
        var isDue = false
        /// Needed until all their appends are in committed objects, by number.
        var live: Deque<LiveObject> = []
        var liveBytes: Int64 = 0
        var isRecheckingLease = false
        var leaseRechecks = 0
        /// Numbers let go and still in the store, or perhaps so.
        var doomed: [Int64] = []
        var isTrimming = false
        var trimWaiters: [CheckedContinuation<Void, Never>] = []

        var trimNumber: Int64 { live.first?.number ?? nextNumber }
    }

    /// Objects at one time that are being put or wait for an earlier one. Part of the format: a recoverer takes no object for lost unless more than these follow it.
    static let putsMax = 4

    private let broker: BrokerID
    private let epoch: BrokerEpoch
    private let store: any ObjectStore
    private let settings: SharedStorageSettings
    private let environment: RuntimeEnvironment
    private let worker: any Worker
    private let leaseHolds: @Sendable () -> Bool
    /// Called when much is live.
    private let pressure: @Sendable () -> Void
    /// Asks the metadata whether somebody else has taken this log; nil if not, or if they do not answer.
    private let takenOver: @Sendable () async -> LogError?
    /// Records in the metadata that recovery begins at this number.
    private let noteTrim: @Sendable (Int64) async throws(LogError) -> Void
    private let state = Mutex(State())

    package init(
        store: any ObjectStore, brokerID: BrokerID, epoch: BrokerEpoch, environment: RuntimeEnvironment,
        settings: SharedStorageSettings, leaseHolds: @escaping @Sendable () -> Bool, pressure: @escaping @Sendable () -> Void,
        takenOver: @escaping @Sendable () async -> LogError?,
        noteTrim: @escaping @Sendable (Int64) async throws(LogError) -> Void
    ) {
        self.store = store
        broker = brokerID
        self.epoch = epoch
        self.environment = environment
        self.settings = settings
        self.leaseHolds = leaseHolds
        self.pressure = pressure
        self.takenOver = takenOver
        self.noteTrim = noteTrim
        worker = environment.workers.makeWorker(named: "wal-\(brokerID)")
    }

    package var place: String { "\(store.url)/\(WALObjectHeader.prefix(of: broker, epoch: epoch))" }
    package var copiesPerByte: Double { store.copies.count }
    package var bodyBytesMax: Int { min(settings.walQueueBytesMax, Int(settings.walCapacityBytes / 2)) }

    private func key(_ number: Int64) -> String { WALObjectHeader.key(of: broker, epoch: epoch, number: number) }

    // MARK: Appending

    package func refusal(ofBytes bytes: Int) -> LogError? {
        state.withLock { state in
            state.queue.refusal(
                ofBytes: bytes, max: settings.walQueueBytesMax, place: "in \(store.url)", remedy: "the store has taken them")
        }
    }

    @discardableResult
    package func enqueue(_ append: WALAppend) throws(LogError) -> UInt64 {
        let (sequence, setsTimer, starts) = try state.withLock { state throws(LogError) in
            let sequence = try state.queue.enqueue(append)
            let setsTimer = !state.isTimerSet
            state.isTimerSet = true
            return (sequence, setsTimer, state.queue.queuedBytes >= settings.walObjectBatchBytes)
        }
        if setsTimer { setTimer() }
        if starts { start() }
        return sequence
    }

    private func setTimer() {
        let clock = environment.clock
        let due = state.withLock { $0.lastStart.map { $0 + settings.walObjectLinger } } ?? clock.now()
        Task { [weak self] in
            if due > clock.now() { try? await clock.sleep(until: due) }
            guard let self else { return }
            self.state.withLock { $0.isTimerSet = false }
            self.expedite()
        }
    }

    package func expedite() {
        state.withLock { $0.isDue = !$0.queue.isEmpty }
        start()
    }

    /// Begins what puts are due and allowed.
    private func start() {
        let (groups, isFull) = state.withLock { state in
            var groups: [WALObjectGroup] = []
            while !state.queue.isEmpty, state.flights.count < Self.putsMax,
                state.isDue || state.queue.queuedBytes >= settings.walObjectBatchBytes
            {
                // The store has no limit, but what is not committed is kept in memory too.
                guard state.liveBytes < settings.walCapacityBytes else { return (groups, true) }
                groups.append(takeGroup(from: &state))
            }
            return (groups, Double(state.liveBytes) > Double(settings.walCapacityBytes) * settings.walPressureShare)
        }
        if isFull { pressure() }
        for group in groups { Task { await self.put(group) } }
    }

    private func takeGroup(from state: inout State) -> WALObjectGroup {
        var taken: [WALAppend] = []
        var bytes = 0
        while let next = state.queue.nextBodyBytes, taken.isEmpty || bytes + next <= settings.walObjectBatchBytes {
            bytes += next
            taken.append(state.queue.takeNext())
        }
        if state.queue.isEmpty { state.isDue = false }
        let group = WALObjectGroup(
            state.nextNumber, taken, lastSequence: state.queue.lastTakenSequence, broker: broker, epoch: epoch)
        state.nextNumber += 1
        state.lastStart = environment.clock.now()
        state.flights.append(Flight(group: group))
        state.live.append(
            LiveObject(
                number: group.number, lastSequence: group.lastSequence, bodyBytes: Int64(bytes), objectBytes: group.objectBytes))
        state.liveBytes += group.objectBytes
        return group
    }

    // MARK: Putting

    private func put(_ group: WALObjectGroup) async {
        let key = key(group.number)
        let body = group.encode()
        var delay: Int64 = 20
        while failure == nil {
            do throws(ObjectStoreError) {
                try await store.put(key, body, condition: .ifAbsent)
                return putEnded(group.number)
            } catch {
                if error.code == .preconditionFailed, let isOurs = await isOurs(key, group.header) {
                    if isOurs { return putEnded(group.number) }
                    return fail(
                        LogError(.fenced, "the object \(key) is another broker's: the write-ahead log was taken over", cause: error)
                    )
                }
            }
            // Jittered, so that brokers that were slowed down together do not come back together.
            let jitter = Int64(environment.randomness.next() % UInt64(delay))
            try? await environment.clock.sleep(for: .milliseconds(delay + jitter))
            delay = min(2 * delay, 2_000)
        }
    }

    /// Whether the object was made by an earlier try of ours; nil if the store does not tell.
    private func isOurs(_ key: String, _ header: WALObjectHeader) async -> Bool? {
        do throws(ObjectStoreError) {
            return WALObjectHeader(parsing: try await store.get(key, range: 0..<Int64(WALObjectHeader.size))) == header
        } catch { return nil }
    }

    private func putEnded(_ number: Int64) {
        state.withLock { state in
            if let index = state.flights.firstIndex(where: { $0.group.number == number }) {
                state.flights[index].isDurable = true
            }
        }
        worker.submit { self.acknowledge() }
    }

    // MARK: Acknowledging

    /// Acknowledges what is in the store, oldest object first, while the lease holds. On the log's thread.
    private func acknowledge() {
        while true {
            guard leaseHolds() else { return recheckLease() }
            let group = state.withLock { state -> WALObjectGroup? in
                state.leaseRechecks = 0
                guard state.flights.first?.isDurable == true else { return nil }
                let group = state.flights.removeFirst().group
                state.queue.acknowledged(bytes: group.bodyBytes)
                return group
            }
            guard let group else { return start() }
            group.appends.tellDurable()
        }
    }

    private func recheckLease() {
        let rechecks = state.withLock { state -> Int? in
            guard !state.isRecheckingLease, state.flights.first?.isDurable == true else { return nil }
            state.isRecheckingLease = true
            state.leaseRechecks += 1
            return state.leaseRechecks
        }
        guard let rechecks else { return }
        Task {
            try? await environment.clock.sleep(for: .milliseconds(10))
            if rechecks % 10 == 0, let failure = await takenOver() { fail(failure) }
            worker.submit {
                self.state.withLock { $0.isRecheckingLease = false }
                self.acknowledge()
            }
        }
    }

    // MARK: Trimming

    package var nextSequence: UInt64 { state.withLock { $0.queue.nextSequence } }

    package func release(before sequence: UInt64) {
        let starts = state.withLock { state in
            guard state.queue.failure == nil else { return false }
            // What is not acknowledged is still being put, and would come into the store behind its deletion.
            let bound = state.flights.first?.group.number ?? .max
            while let first = state.live.first, first.lastSequence < sequence, first.number < bound {
                state.liveBytes -= first.objectBytes
                state.doomed.append(first.number)
                state.live.removeFirst()
            }
            guard !state.doomed.isEmpty, !state.isTrimming else { return false }
            state.isTrimming = true
            return true
        }
        if starts { Task { await self.trim() } }
        start()
    }

    /// First the metadata learn where recovery begins, then the objects below go: a deletion that is cut off leaves no gap.
    private func trim() async {
        while true {
            let (number, doomed) = state.withLock { ($0.trimNumber, $0.doomed) }
            var failure: LogError?
            do throws(LogError) {
                try await noteTrim(number)
                try await delete(doomed)
            } catch { failure = error }
            if let failure, failure.code == .fenced { fail(failure) }
            let (waiters, goesOn) = state.withLock { state in
                if failure == nil { state.doomed.removeFirst(doomed.count) }
                // What could not be deleted now is tried again with the next release.
                guard failure == nil, !state.doomed.isEmpty else {
                    state.isTrimming = false
                    defer { state.trimWaiters = [] }
                    return (state.trimWaiters, false)
                }
                return ([], true)
            }
            for waiter in waiters { waiter.resume() }
            if !goesOn { return }
        }
    }

    private func delete(_ numbers: [Int64]) async throws(LogError) {
        do throws(ObjectStoreError) {
            try await store.delete(numbers.map(key))
        } catch {
            throw LogError(.notAvailable, "objects of the write-ahead log could not be deleted from \(store.url)", cause: error)
        }
    }

    package func releaseSettled() async throws(LogError) {
        await withCheckedContinuation { continuation in
            let isSettled = state.withLock { state in
                if state.isTrimming { state.trimWaiters.append(continuation) }
                return !state.isTrimming
            }
            if isSettled { continuation.resume() }
        }
    }

    // MARK: Ending

    package var failure: LogError? { state.withLock { $0.queue.failure } }

    package func fail(_ error: LogError) {
        let clients = state.withLock { state -> [any WALClient]? in
            guard let queued = state.queue.end(error) else { return nil }
            defer { state.flights.removeAll() }
            return state.flights.flatMap { $0.group.appends.map(\.append.client) } + queued
        }
        clients?.tell(error)
    }

    package func close() async {
        // The last objects, where all they held is committed.
        try? await releaseSettled()
        await worker.run {}
        fail(LogError(.notAvailable, "the write-ahead log in \(store.url) is closed"))
    }

    // MARK: Looking

    package func footprint() async throws(LogError) -> Footprint {
        let (objects, bodies, count) = state.withLock { state in
            (state.liveBytes, state.live.reduce(0) { $0 + $1.bodyBytes }, state.live.count)
        }
        func physical(_ bytes: Int64) -> Int64 { Int64((Double(bytes) * copiesPerByte).rounded()) }
        var footprint = Footprint()
        footprint.add(.wal, physicalBytes: physical(objects), recordBytes: physical(bodies), count: Int64(count))
        return footprint
    }

    package func isLive(_ position: Int64) -> Bool { state.withLock { position >> 32 >= $0.trimNumber } }

    package func physicalCopies(of bytes: Range<Int64>, inBodyAt position: Int64) async throws(LogError) -> [PhysicalCopy] {
        let key = key(position >> 32)
        let start = position & 0xFFFF_FFFF + Int64(WALRecordHeader.size) + bytes.lowerBound
        return await PhysicalCopy.readBack(.wal, object: key, start..<start + Int64(bytes.count), in: store)
    }
}
