//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel
internal import NIOCore
package import RuntimeEnvironment
internal import Synchronization

/// What is known of a log from outside its directory, when it is opened.
package struct LogOpening: Sendable {
    /// From `log-start-offset-checkpoint`; nil where it has no line.
    package var logStart: Offset?
    /// From `recovery-point-offset-checkpoint`.
    package var recoveryPoint: Offset
    /// The log directory was closed in order: nothing need be checked.
    package var isClean: Bool
    /// The log start may lie below the first local segment: what is between has been offloaded.
    package var startMayBeRemote: Bool
    /// The directory and the file that names its topic may not be durable yet.
    package var identityNeedsSync = false

    package init(logStart: Offset? = nil, recoveryPoint: Offset = .zero, isClean: Bool = false, startMayBeRemote: Bool = false) {
        self.logStart = logStart
        self.recoveryPoint = recoveryPoint
        self.isClean = isClean
        self.startMayBeRemote = startMayBeRemote
    }
}

/// What an opening found to mend.
package struct RecoveryReport: Sendable, Hashable {
    /// Bytes whose CRC was checked.
    package var bytesChecked: Int64 = 0
    /// Bytes cut off, later segments included.
    package var bytesCut: Int64 = 0
    /// Why; nil if nothing was cut.
    package var damage: String?
}

extension SegmentedLog {
    /// Opens a partition's directory, making it and its first segment if missing, and mends what an unclean stop left. On the
    /// directory's worker only.
    ///
    /// After an unclean stop each batch from the recovery point on is checked; at the first bad one the segment is cut and all later
    /// segments are removed, as Kafka does: they come back from the leader. Indexes, epochs and producers are made anew from what is left.
    ///
    /// - Parameter tail: Where what a leader appends is kept for readers that keep up.
    package static func open(
        disk: any Disk, directory: String, settings: SegmentSettings, opening: LogOpening, tail: TailCache? = nil
    ) throws(SegmentError) -> (log: SegmentedLog, report: RecoveryReport) {
        var listing = try DirectoryListing(disk: disk, directory: directory)
        let isNew = listing.bases.isEmpty
        let firstBase = listing.bases.first ?? max(opening.logStart ?? .zero, .zero)
        var segments: [LogSegment] = []
        if isNew {
            segments = [try LogSegment.create(at: firstBase, disk: disk, directory: directory)]
            try listing.removeSnapshots(disk: disk, directory: directory)
        } else {
            for (index, base) in listing.bases.enumerated() {
                let isLast = index + 1 == listing.bases.count
                segments.append(
                    LogSegment(
                        baseOffset: base, disk: disk, directory: directory,
                        state: LogSegment.State(
                            size: listing.sizes[index], endOffset: isLast ? base : listing.bases[index + 1], isSealed: !isLast,
                            offsetOfMaxTimestamp: base)))
            }
        }
        let epochs = try storedEpochs(disk, directory)
        // With nothing said of it, what lies below the first segment may yet be in the other tier: whoever leads raises the start to where it
        // begins there. The first base would let the tier's records be deleted.
        var logStart = opening.logStart ?? (opening.startMayBeRemote ? .zero : firstBase)
        if !opening.startMayBeRemote { logStart = max(logStart, firstBase) }

        let log = SegmentedLog(
            disk: disk, directory: directory, tail: tail,
            state: State(
                settings: settings, segments: segments, logStart: logStart, logEnd: firstBase, epochs: epochs ?? EpochHistory(),
                producers: ProducerStates(), recoveryPoint: max(opening.recoveryPoint, firstBase),
                sizeInBytes: listing.sizes.reduce(0, +), identityNeedsSync: opening.identityNeedsSync))
        var recovery = LogRecovery(
            log: log, listing: listing, isClean: opening.isClean, recoveryPoint: opening.recoveryPoint,
            knowsEpochs: epochs != nil)
        do throws(SegmentError) {
            // An empty segment made just now has nothing to be checked, and its indexes are in memory.
            if !isNew { try recovery.run() }
        } catch {
            guard case .corrupt = error, opening.isClean || opening.recoveryPoint > .zero else { throw error }
            // Trusted, but not as it should be: everything is checked.
            var distrusting = opening
            distrusting.isClean = false
            distrusting.recoveryPoint = .zero
            return try open(disk: disk, directory: directory, settings: settings, opening: distrusting, tail: tail)
        }
        try log.finishOpening(snapshots: recovery.listing.snapshots, isClean: opening.isClean)
        return (log, recovery.report)
    }

    /// - Returns: nil if the file is not there or damaged: then the batches tell.
    private static func storedEpochs(_ disk: any Disk, _ directory: String) throws(SegmentError) -> EpochHistory? {
        do throws(DiskError) {
            return LeaderEpochCheckpoint.decode(try disk.readFile("\(directory)/\(LeaderEpochCheckpoint.fileName)"))
        } catch {
            if error.code == .notFound { return nil }
            throw .disk(error)
        }
    }

    private func finishOpening(snapshots: [Offset], isClean: Bool) throws(SegmentError) {
        let (end, restartsAt) = state.withLock { state -> (Offset, Offset?) in
            state.recoveryPoint = isClean ? state.logEnd : min(state.recoveryPoint, state.logEnd)
            let changedEnd = state.epochs.truncateFromEnd(state.logEnd)
            let changedStart = state.epochs.truncateFromStart(state.logStart)
            state.epochsAreDirty = state.epochsAreDirty || changedEnd || changedStart
            return (state.logEnd, state.logEnd < state.logStart ? state.logStart : nil)
        }
        if let restartsAt {
            // All records lay below the log start, and the end of them was lost.
            try restart(at: restartsAt, logStart: restartsAt, epochs: epochs, producerSnapshot: nil)
            return
        }
        if state.withLock({ $0.epochsAreDirty }) { try storeEpochs() }
        // One snapshot stays per segment, and the newest.
        let bases = Set(segments.map(\.baseOffset))
        let newest = snapshots.last { $0 <= end }
        for snapshot in snapshots where snapshot > end || !(bases.contains(snapshot) || snapshot == newest) {
            try onDisk { () throws(DiskError) in
                try disk.remove("\(directory)/\(SegmentFileKind.producerSnapshot.name(snapshot))")
            }
        }
    }
}

/// The files of a partition's directory, leftovers cleared away.
struct DirectoryListing {
    /// Rising.
    var bases: [Offset] = []
    var sizes: [Int64] = []
    /// Rising.
    var snapshots: [Offset] = []

    init(disk: any Disk, directory: String) throws(SegmentError) {
        var logs: [Offset: Int64] = [:]
        var indexes: [(SegmentFileKind, Offset)] = []
        var swaps: [String] = []
        try onDisk { () throws(DiskError) in
            try disk.makeDirectory(directory)
            for entry in try disk.list(directory) where !entry.isDirectory {
                let path = "\(directory)/\(entry.name)"
                let leftovers = [SegmentFileKind.deletedSuffix, SegmentFileKind.cleanedSuffix, ".tmp"]
                if leftovers.contains(where: { entry.name.hasSuffix($0) }) {
                    try disk.remove(path)
                } else if entry.name.hasSuffix(SegmentFileKind.swapSuffix) {
                    swaps.append(entry.name)
                } else if let (kind, offset) = SegmentFileKind.parse(entry.name) {
                    switch kind {
                    case .log: logs[offset] = entry.size
                    case .producerSnapshot: snapshots.append(offset)
                    case .offsetIndex, .timeIndex, .transactionIndex: indexes.append((kind, offset))
                    }
                }
            }
        }
        for (base, size) in try Self.finishSwaps(swaps, logs: Array(logs.keys), disk: disk, directory: directory) {
            if let size { logs[base] = size } else { logs.removeValue(forKey: base) }
        }
        for (kind, offset) in indexes where logs[offset] == nil {
            try onDisk { () throws(DiskError) in try disk.remove("\(directory)/\(kind.name(offset))") }
        }
        bases = logs.keys.sorted()
        sizes = bases.map { logs[$0]! }
        snapshots.sort()
    }

    mutating func removeSnapshots(disk: any Disk, directory: String) throws(SegmentError) {
        for snapshot in snapshots {
            try onDisk { () throws(DiskError) in
                try disk.remove("\(directory)/\(SegmentFileKind.producerSnapshot.name(snapshot))")
            }
        }
        snapshots = []
    }
}
