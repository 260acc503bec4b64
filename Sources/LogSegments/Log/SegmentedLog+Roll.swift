//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel
internal import NIOCore
internal import RuntimeEnvironment
internal import Synchronization

extension SegmentedLog {
    /// Seals the active segment, unless it is empty. On the log's worker only.
    package func roll() throws(SegmentError) { try roll(at: logEnd) }

    /// - Parameter base: At or after the log end: after it where the next batch leaves a gap.
    func roll(at base: Offset) throws(SegmentError) {
        let active = state.withLock { $0.segments[$0.segments.count - 1] }
        guard !active.isEmpty else {
            // An empty segment whose base is too far below the next batch is replaced rather than sealed.
            guard base > active.baseOffset else { return }
            let fresh = try LogSegment.create(at: base, disk: disk, directory: directory)
            state.withLock { $0.segments[$0.segments.count - 1] = fresh }
            for kind in [SegmentFileKind.log, .offsetIndex, .timeIndex, .transactionIndex] {
                try onDisk { () throws(DiskError) in try disk.remove(active.path(kind)) }
            }
            return
        }
        try active.storeIndexes(final: true)
        if state.withLock({ $0.recoveryPoint >= $0.logEnd }) {
            // Its records were synced while it was active, so no recovery will look at it once it has a successor: its indexes first.
            try active.synchronizeIndexes()
            try onDisk { () throws(DiskError) in try disk.synchronizeDirectory(directory) }
        }
        try takeSnapshot()
        let next = try LogSegment.create(at: base, disk: disk, directory: directory)
        active.state.withLock { state in
            state.isSealed = true
            state.forgetRecent()
            state.endOffset = base
        }
        state.withLock { state in
            state.segments.append(next)
            state.sealedNeedSync = true
        }
    }

    /// Writes the producers' state up to the log end, unless it is there. On the log's worker only.
    ///
    /// - Parameter durably: On return. Without, a crash may take it, and a recovery replays from the one before.
    package func takeSnapshot(durably: Bool = false) throws(SegmentError) {
        let (producers, end) = state.withLock { ($0.producers, $0.logEnd) }
        guard end > .zero else { return }
        try replace(SegmentFileKind.producerSnapshot.name(end), with: ProducerSnapshot.encode(producers), durably: durably)
    }

    /// See ``ProducerStates/removeExpired(before:)``; snapshots taken from here on lack them too.
    package func forgetProducers(before time: Timestamp) { state.withLock { $0.producers.removeExpired(before: time) } }

    /// Syncs all that lies between the recovery point and the log end, and moves the recovery point. May run beside the log's worker:
    /// what is appended meanwhile is left out.
    package func synchronize() throws(SegmentError) {
        let (segments, end) = state.withLock { state in
            (state.segments.filter { $0.endOffset > state.recoveryPoint || $0.isSealedAndUnsynchronized }, state.logEnd)
        }
        try synchronize(segments, upTo: end)
    }

    /// ``synchronize()`` for sealed segments alone: what a roll asks for.
    package func synchronizeSealed() throws(SegmentError) {
        let (sealed, base) = state.withLock { state in
            state.sealedNeedSync = false
            return (
                state.segments.dropLast().filter { $0.isSealedAndUnsynchronized },
                state.segments[state.segments.count - 1].baseOffset
            )
        }
        try synchronize(sealed, upTo: base)
    }

    /// A segment was sealed and waits for ``synchronizeSealed()``.
    package var hasUnsynchronizedSealedSegments: Bool { state.withLock { $0.sealedNeedSync } }

    func synchronize(_ segments: [LogSegment], upTo end: Offset) throws(SegmentError) {
        let (epochsNeedSync, identityNeedsSync, end, cuts) = state.withLock { state in
            defer { state.epochsNeedSync = false }
            // An epoch whose first record is written, but not yet its line in the file.
            let isBehind = state.epochsAreDirty
            return (
                state.epochsNeedSync, state.identityNeedsSync,
                isBehind ? min(end, state.epochs.latest?.startOffset ?? end) : end, state.cuts
            )
        }
        guard !segments.isEmpty || epochsNeedSync || identityNeedsSync else { return }
        for segment in segments { try segment.synchronize() }
        try onDisk { () throws(DiskError) in
            if epochsNeedSync { try synchronizeFile(LeaderEpochCheckpoint.fileName) }
            if identityNeedsSync { try synchronizeFile(PartitionMetadata.fileName) }
            try disk.synchronizeDirectory(directory)
            if identityNeedsSync { try disk.synchronizeDirectory(directory.parentDirectory) }
        }
        state.withLock { state in
            // After a cut meanwhile, other records may stand at these offsets, and not be synced.
            if state.cuts == cuts { state.recoveryPoint = max(state.recoveryPoint, min(end, state.logEnd)) }
            if identityNeedsSync { state.identityNeedsSync = false }
        }
    }

    private func synchronizeFile(_ name: String) throws(DiskError) {
        let file = try disk.open("\(directory)/\(name)", .readWrite)
        defer { file.close() }
        try file.synchronize()
    }

    /// Writes all that a later start wants to find, syncs it and closes. Further appends fail. On the log's worker only.
    package func close() throws(SegmentError) {
        guard !state.withLock({ $0.isClosed }) else { return }
        let active = state.withLock { $0.segments[$0.segments.count - 1] }
        try active.storeIndexes(final: true)
        // So that its indexes are synced too: after an orderly stop nobody looks whether they are whole.
        active.state.withLock { $0.isSealed = true }
        try takeSnapshot(durably: true)
        try storeEpochs()
        try synchronize()
        state.withLock { $0.isClosed = true }
    }

    /// Further appends fail; nothing more is written.
    package func abandon() { state.withLock { $0.isClosed = true } }
}

extension LogSegment {
    /// Makes the segment's empty `.log` file. A file of that name, left by a crash, is emptied.
    static func create(at base: Offset, disk: any Disk, directory: String) throws(SegmentError) -> LogSegment {
        var state = State(size: 0, endOffset: base, isSealed: false, offsetOfMaxTimestamp: base)
        state.maxTimestamp = Timestamp.none
        state.offsets = OffsetIndex()
        state.times = TimeIndex()
        state.transactions = TransactionIndex()
        state.needsSync = true
        let segment = LogSegment(baseOffset: base, disk: disk, directory: directory, state: state)
        try onDisk { () throws(DiskError) in
            for kind in [SegmentFileKind.offsetIndex, .timeIndex, .transactionIndex] { try disk.remove(segment.path(kind)) }
        }
        let file = try segment.openFile(forWriting: true)
        try onDisk { () throws(DiskError) in if try file.file.size() > 0 { try file.file.truncate(to: 0) } }
        return segment
    }

    var isSealedAndUnsynchronized: Bool { state.withLock { $0.isSealed && $0.needsSync } }

    func synchronize() throws(SegmentError) {
        let isSealed = state.withLock { $0.isSealed }
        let file = try openFile()
        try onDisk { () throws(DiskError) in try file.file.synchronize() }
        guard isSealed else { return }
        try synchronizeIndexes()
        state.withLock { $0.needsSync = false }
    }

    /// Syncs what the index files hold, not their names.
    func synchronizeIndexes() throws(SegmentError) {
        for kind in [SegmentFileKind.offsetIndex, .timeIndex, .transactionIndex] {
            do throws(DiskError) {
                let index = try disk.open(path(kind), .readWrite)
                defer { index.close() }
                try index.synchronize()
            } catch {
                guard error.code == .notFound else { throw .disk(error) }
            }
        }
    }
}
