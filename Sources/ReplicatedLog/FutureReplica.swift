//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogEngine
internal import LogModel
internal import LogSegments
internal import Logging
internal import NIOCore
internal import RuntimeEnvironment
internal import Synchronization

/// A copy of a replica in another log directory of the broker, until it has all that the replica has and takes its place (KIP-113).
///
/// Batches are read from the replica's log and appended to the copy's, on the directories' own threads. Where the replica's log is cut, the
/// copy is too. The last of them are copied on the writer of the replica's directory, so that nothing is written meanwhile; then the copy is
/// closed and gets the partition's name, durably, before the replica's directory loses it: a crash leaves the one, the other, or both, of
/// which the start keeps the one that is ahead.
final class FutureReplica: Sendable {
    enum Outcome: Sendable {
        case moved
        /// Much, or something that has just come about, is still to be done.
        case isBehind
        /// Little is left, and what is copied is synced.
        case isClose
        case failed(SegmentError, of: LogVolume)
    }

    let partition: ReplicatedPartition
    let volume: LogVolume
    let directoryName: String
    let log: SegmentedLog
    private let state = Mutex(State())

    private struct State {
        var isArriving = false
        var isCancelled = false
        var task: Task<Void, Never>?
    }

    init(partition: ReplicatedPartition, volume: LogVolume, directoryName: String, log: SegmentedLog) {
        self.partition = partition
        self.volume = volume
        self.directoryName = directoryName
        self.log = log
    }

    /// Records that it lacks.
    var lag: Int64 { max(0, partition.log.logEnd - log.logEnd) }

    func isArriving(on volume: LogVolume) -> Bool { self.volume === volume && state.withLock(\.isArriving) }
    var isCancelled: Bool { state.withLock(\.isCancelled) }

    /// - Parameter ended: Called with how it ended, unless it was cancelled.
    func start(_ ended: @escaping @Sendable (Outcome) async -> Void) {
        let task = Task { if let outcome = await self.run() { await ended(outcome) } }
        state.withLock { $0.task = task }
    }

    /// Returns when nothing is done to the copy any more.
    func cancel() async {
        let task = state.withLock { state in
            state.isCancelled = true
            return state.task
        }
        await task?.value
    }

    private func run() async -> Outcome? {
        var damagedReads = 0
        while !isCancelled {
            var outcome = await copy()
            if case .isClose = outcome {
                let source = partition.volume
                outcome = await source.writer.run { self.partition.volume === source ? self.takePlace() : .isBehind }
            }
            switch outcome {
            case .isBehind, .isClose: damagedReads = 0
            case .moved: return outcome
            case .failed(.corrupt, _) where damagedReads < Self.damagedReadsMax:
                // The log may have been cut, and written anew, while it was read.
                damagedReads += 1
            case .failed: return isCancelled ? nil : outcome
            }
        }
        return nil
    }

    private static var damagedReadsMax: Int { 8 }

    /// Bytes copied at a time, and at most while the replica cannot be written to.
    private static var chunkBytes: Int { 1 << 20 }
    private static var lastBytesMax: Int64 { 4 << 20 }

    private var bytesLeft: Int64 { partition.bytes(from: log.logEnd) }

    /// Copies one chunk.
    ///
    /// - Returns: `.isClose`, `.isBehind` or `.failed`.
    private func copy() async -> Outcome {
        do throws(SegmentError) {
            guard try await volume.writer.run({ () throws(SegmentError) in try self.align() }) else { return .isBehind }
        } catch { return .failed(error, of: volume) }
        let source = partition.volume
        let batches: RecordBatches?
        do throws(SegmentError) { batches = try await source.reader.run { () throws(SegmentError) in try self.next() } } catch {
            guard source === partition.volume else { return .isBehind }
            return .failed(error, of: source)
        }
        let isClose = bytesLeft <= Self.lastBytesMax
        do throws(SegmentError) {
            if let batches { try await volume.writer.run { () throws(SegmentError) in try self.append(batches) } }
            guard batches == nil || isClose || log.hasUnsynchronizedSealedSegments else { return .isBehind }
            try await volume.synchronizer.run { () throws(SegmentError) in
                if isClose { try self.log.synchronize() } else { try self.log.synchronizeSealed() }
            }
            return isClose ? .isClose : .isBehind
        } catch { return .failed(error, of: volume) }
    }

    private func align() throws(SegmentError) -> Bool {
        log.settings = partition.log.settings
        guard try log.align(with: partition.log) else { return false }
        let start = log.logStart
        _ = try log.removeSegments(at: partition.context.environment.clock.now(), raisesLogStart: false) {
            (segment) throws(SegmentError) in
            segment.endOffset <= start && segment.endOffset <= self.partition.log.segments[0].baseOffset
        }
        return true
    }

    /// What comes next; nil if there is nothing.
    private func next() throws(SegmentError) -> RecordBatches? {
        let source = partition.log
        let slices = try source.read(
            from: log.logEnd, to: source.logEnd, maxBytes: Self.chunkBytes, minOneBatch: true, mayRead: true)
        guard let slices, !slices.isEmpty else { return nil }
        do { return try RecordBatches(verifying: try slices.contiguous(), allowsPartialTail: true) } catch let error as DiskError {
            throw .disk(error)
        } catch {
            throw .corrupt("\(source.directory): damaged where it is copied from, at offset \(log.logEnd): \(error)")
        }
    }

    private func append(_ batches: RecordBatches) throws(SegmentError) {
        guard let first = batches.entries.first?.header else { return }
        guard first.baseOffset >= log.logEnd else {
            throw .corrupt("\(log.directory): a batch at offset \(first.baseOffset) was copied, the copy ends at \(log.logEnd)")
        }
        let (_, failure) = log.append([AppendChunk(asGiven: batches)])
        if let failure { throw failure }
    }

    /// On the writer of the replica's volume.
    private func takePlace() -> Outcome {
        let (source, former) = (partition.log, partition.volume)
        guard !isCancelled, !source.isClosed, former.failure == nil else { return .isBehind }
        guard bytesLeft <= Self.lastBytesMax else { return .isBehind }
        while log.logEnd < source.logEnd {
            let batches: RecordBatches?
            do throws(SegmentError) { batches = try next() } catch { return .failed(error, of: former) }
            guard let batches else { return .isBehind }
            do throws(SegmentError) { try append(batches) } catch { return .failed(error, of: volume) }
        }
        var isPromoted = false
        do throws(SegmentError) {
            guard try log.align(with: source), log.logEnd == source.logEnd else { return .isBehind }
            log.adopt(from: source)
            state.withLock { $0.isArriving = true }
            defer { state.withLock { $0.isArriving = false } }
            let registry = partition.context.registry
            try registry.storeLogStarts(volume)
            try registry.storeHighWatermarks(volume)
            try log.close()
            try volume.directory.promote(directoryName, partition.partition)
            isPromoted = true
            var opening = LogOpening(
                logStart: source.logStart, recoveryPoint: source.logEnd, isClean: true,
                startMayBeRemote: partition.context.settings.startMayBeRemote)
            opening.identityNeedsSync = false
            let (opened, _) = try SegmentedLog.open(
                disk: volume.disk, directory: volume.directory.path(partition.partition.description), settings: source.settings,
                opening: opening, tail: volume.tail)
            guard opened.logEnd == source.logEnd else {
                throw .corrupt("\(opened.directory): ends at \(opened.logEnd) after its move, \(source.logEnd) was copied")
            }
            partition.move(to: ReplicatedPartition.Place(log: opened, volume: volume))
        } catch {
            // It has the partition's name, but not its place.
            if isPromoted { try? volume.retire(partition.partition.description, delay: .zero) }
            return .failed(error, of: volume)
        }
        source.letGo()
        do throws(SegmentError) {
            try former.retire(partition.partition.description, delay: source.settings.fileDeleteDelay)
        } catch {
            // The next start removes it: it is behind, or no further.
            partition.context.logger.error(
                "log not removed after its move", metadata: ["partition": "\(partition.partition)", "error": "\(error)"])
        }
        return .moved
    }
}
