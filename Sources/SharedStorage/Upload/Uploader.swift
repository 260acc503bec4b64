//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import LogEngine
internal import LogModel
internal import Metering
internal import RuntimeEnvironment
internal import Synchronization

/// Decides when uploads run, and runs them one after another: all dirty logs in one pass, then the WAL is trimmed.
final class Uploader: Sendable {
    private struct State {
        var parts: EngineParts?
        var isRunning = false
        var isStopped = false
        /// Passes begun, and passes done.
        var begun: UInt64 = 0
        var finished: UInt64 = 0
        /// Who waits for the pass of that number.
        var waiting: [(pass: UInt64, continuation: CheckedContinuation<LogError?, Never>)] = []
        var isAsked = false
        var failuresInARow = 0
    }

    private let settings: SharedStorageSettings
    private let clock: any Clock
    private let state = Mutex(State())
    /// Bytes appended since the last pass began.
    private let appendedBytes = Atomic<Int64>(0)

    init(settings: SharedStorageSettings, clock: any Clock) {
        self.settings = settings
        self.clock = clock
    }

    func begin(_ parts: EngineParts) {
        state.withLock { $0.parts = parts }
        Task { [weak self, clock, interval = settings.uploadInterval] in
            while true {
                try? await clock.sleep(for: interval)
                guard let self, !self.state.withLock({ $0.isStopped }) else { return }
                self.kick()
            }
        }
    }

    /// Ends the timer and lets go of the engine. A pass under way ends by itself.
    func stop() {
        state.withLock { state in
            state.isStopped = true
            state.parts = nil
        }
    }

    /// Counts an append towards the threshold.
    func appended(_ bytes: Int) {
        let total = appendedBytes.wrappingAdd(Int64(bytes), ordering: .relaxed).newValue
        // The append that crosses the threshold asks; those after it do not ask again.
        let threshold = settings.appendedBytesMax
        if total >= threshold, total - Int64(bytes) < threshold { kick() }
    }

    /// Asks for a pass soon, without waiting.
    func kick() {
        let starts = state.withLock { state in
            guard state.parts != nil else { return false }
            state.isAsked = true
            guard !state.isRunning else { return false }
            state.isRunning = true
            return true
        }
        if starts { Task { await self.run() } }
    }

    /// As ``kick()``, but for an upload that has failed, which is tried again in its own time: a store that is in trouble is not pressed.
    func kickUnlessFailing() {
        if state.withLock({ $0.failuresInARow == 0 }) { kick() }
    }

    /// Returns when a pass that began after the call is done: what was appended before is in committed objects, apart from streams
    /// that wait for a former owner's tail.
    func uploadAll() async throws(LogError) {
        // A pass takes what is synced by then. One that fails to sync is not uploaded.
        if let parts = state.withLock(\.parts) {
            parts.wal.expedite()
            for log in parts.dirty.all { try? await log.flush() }
        }
        let failure: LogError? = await withCheckedContinuation { continuation in
            let isStopped = state.withLock { state in
                guard state.parts != nil else { return true }
                state.waiting.append((state.begun + 1, continuation))
                return false
            }
            if isStopped {
                continuation.resume(returning: LogError(.notAvailable, "the shared engine is stopped"))
            } else {
                kick()
            }
        }
        if let failure { throw failure }
    }

    private func run() async {
        while let (parts, pass) = nextPass() {
            appendedBytes.store(0, ordering: .relaxed)
            var failure: LogError?
            do throws(LogError) {
                try await UploadPass(parts: parts).run()
            } catch {
                failure = error
                if error.code != .fenced { parts.upkeep.failed(.upload, "An upload failed", error) }
            }
            let (due, retries, failures) = state.withLock { state in
                state.finished = pass
                state.failuresInARow = failure == nil ? 0 : state.failuresInARow + 1
                let due = state.waiting.filter { $0.pass <= pass }
                state.waiting.removeAll { $0.pass <= pass }
                return (due, failure != nil && failure?.code != .fenced, state.failuresInARow)
            }
            for waiter in due { waiter.continuation.resume(returning: failure) }
            if let failure, failure.code == .fenced { parts.wal.fail(failure) }
            if retries {
                // 50 ms, doubling to 5 s: the store or the network is down, and the WAL has room for a while.
                let delay = min(5_000, 50 << min(failures, 7))
                Task {
                    try? await clock.sleep(for: .milliseconds(delay))
                    self.kick()
                }
            }
        }
    }

    private func nextPass() -> (EngineParts, UInt64)? {
        let (next, abandoned) = state.withLock {
            state -> ((EngineParts, UInt64)?, [(pass: UInt64, continuation: CheckedContinuation<LogError?, Never>)]) in
            guard let parts = state.parts else {
                state.isRunning = false
                defer { state.waiting.removeAll() }
                return (nil, state.waiting)
            }
            guard state.isAsked else {
                state.isRunning = false
                return (nil, [])
            }
            state.isAsked = false
            state.begun += 1
            return ((parts, state.begun), [])
        }
        for waiter in abandoned { waiter.continuation.resume(returning: LogError(.notAvailable, "the shared engine is stopped")) }
        return next
    }
}

/// One upload of everything that is dirty.
struct UploadPass {
    let parts: EngineParts

    func run() async throws(LogError) {
        var logs: [StreamID: SharedLog] = [:]
        var cuts: [UploadCut] = []
        for log in parts.dirty.all {
            // A partition that was away and is back may have its former log still uploading; the newer one waits for that.
            guard logs[log.stream] == nil, let cut = log.cut() else { continue }
            logs[log.stream] = log
            cuts.append(cut)
        }
        if !cuts.isEmpty {
            let (outcome, ranges) = try await parts.putter.upload(
                cuts, from: parts.metadata.writer, requiring: [parts.ownership])
            for (stream, range) in ranges { logs[stream]?.uploadCommitted(range) }
            for stream in outcome.obsolete { logs[stream]?.uploadObsolete() }
            for stream in outcome.stale { try await logs[stream]?.catchUp() }
            if !outcome.stale.isEmpty { return try await run() }
        }
        if let failure = parts.wal.failure { throw failure }
        trim()
    }

    /// Trims the WAL below the first append that is in no object.
    private func trim() {
        // Read first: an append queued later has a higher number and is not in question.
        var bound = parts.wal.nextSequence
        for log in parts.dirty.all {
            if let first = log.firstUncommittedSequence() { bound = min(bound, first) }
        }
        parts.wal.release(before: bound)
    }
}
