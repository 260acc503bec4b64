//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogModel
internal import NIOCore
internal import RuntimeEnvironment
internal import Synchronization

/// One opening's walk over the segments: checks what must be checked, finds the log end, and gathers epochs and producers.
struct LogRecovery {
    private let log: SegmentedLog
    var listing: DirectoryListing
    private let isClean: Bool
    private let recoveryPoint: Offset
    private let knowsEpochs: Bool
    private(set) var report = RecoveryReport()

    init(log: SegmentedLog, listing: DirectoryListing, isClean: Bool, recoveryPoint: Offset, knowsEpochs: Bool) {
        self.log = log
        self.listing = listing
        self.isClean = isClean
        self.recoveryPoint = recoveryPoint
        self.knowsEpochs = knowsEpochs
    }

    mutating func run() throws(SegmentError) {
        let segments = log.segments
        // First segment whose batches must be checked.
        var checkFrom = isClean ? segments.count : max(0, segments.partitioningIndex { $0.baseOffset > recoveryPoint } - 1)
        for (index, segment) in segments.enumerated() where index < checkFrom {
            if try !segment.hasSaneIndexes() {
                checkFrom = index
                break
            }
        }
        // What the epoch file says of offsets that were not synced may be older than they are: their batches tell. Of what lies below
        // the first segment, in another tier, the file alone does.
        if !isClean {
            log.state.withLock { state in
                if state.epochs.truncateFromEnd(max(recoveryPoint, segments[0].baseOffset)) { state.epochsAreDirty = true }
            }
        }
        let replayFrom = try restoreProducers(before: checkFrom < segments.count ? segments[checkFrom].baseOffset : nil)
        for (index, segment) in segments.enumerated() {
            let isLast = index + 1 == segments.count
            // Between segments the producers' state belongs to the next one's base; Kafka keeps a snapshot for each.
            if index > 0, segment.baseOffset > replayFrom, !listing.snapshots.contains(segment.baseOffset) {
                try snapshot(at: segment.baseOffset)
            }
            if index >= checkFrom {
                if index > checkFrom, !isClean, segment.baseOffset > log.logEnd, log.logEnd >= recoveryPoint {
                    // The name of a segment between was not synced, and is lost with its records. Below the recovery point names are
                    // synced, and a gap is one that compaction left.
                    report.damage = "\(log.directory): no segment holds offsets \(log.logEnd)..<\(segment.baseOffset)"
                    try removeSegments(after: index - 1)
                    break
                }
                if try check(segment, below: isLast ? nil : segments[index + 1].baseOffset) {
                    try removeSegments(after: index)
                    break
                }
            } else if !knowsEpochs || segment.endOffset > replayFrom || isLast {
                try replay(segment, from: replayFrom, isLast: isLast)
            } else {
                log.state.withLock { $0.logEnd = segment.endOffset }
            }
        }
        try activateLast()
        // Another crash must not bring back what was cut, beside or behind records that are written from now on.
        if report.damage != nil { try log.synchronize([log.segments[log.segments.count - 1]], upTo: .zero) }
    }

    /// - Returns: The offset from which batches must be replayed to know the producers.
    private mutating func restoreProducers(before base: Offset?) throws(SegmentError) -> Offset {
        for snapshot in listing.snapshots.reversed() where base.map({ snapshot <= $0 }) ?? true {
            let path = "\(log.directory)/\(SegmentFileKind.producerSnapshot.name(snapshot))"
            let bytes = try onDisk { () throws(DiskError) in try log.disk.readFile(path) }
            if let producers = ProducerSnapshot.decode(bytes) {
                log.state.withLock { $0.adopt(producers) }
                return snapshot
            }
            try onDisk { () throws(DiskError) in try log.disk.remove(path) }
            listing.snapshots.removeAll { $0 == snapshot }
        }
        return .zero
    }

    /// Walks the headers of a segment that is trusted.
    private func replay(_ segment: LogSegment, from replayFrom: Offset, isLast: Bool) throws(SegmentError) {
        let file = try segment.openFile()
        let size = segment.size
        var start: Int64 = 0
        if knowsEpochs {
            // Nothing below is asked for.
            let target = min(max(replayFrom - segment.baseOffset, 0), Int64(Int32.max))
            start = Int64(try segment.indexes().offsets.floor(target).position)
        }
        var cursor = BatchCursor(file.file, from: start, to: size)
        var end = segment.baseOffset
        while let (header, position) = try cursor.next() {
            end = header.endOffset
            if isLast { segment.noteLast(header, position: position) }
            guard header.baseOffset >= replayFrom || !knowsEpochs else { continue }
            let control = header.isControl && header.hasProducerID ? try record(in: segment, at: position, header) : nil
            // The transaction index is trusted too.
            _ = log.state.withLock { state in
                guard header.baseOffset >= replayFrom else {
                    var epochsOnly = header
                    epochsOnly.producerID = -1
                    return state.note(epochsOnly, control: nil)
                }
                return state.note(header, control: control)
            }
        }
        guard cursor.position == size else {
            throw .corrupt("\(segment.path(.log)): no whole batch at byte \(cursor.position) of \(size)")
        }
        log.state.withLock { $0.logEnd = segment.isSealed ? segment.endOffset : end }
    }

    private func record(in segment: LogSegment, at position: Int64, _ header: RecordBatchHeader) throws(SegmentError)
        -> ControlRecord?
    {
        let file = try segment.openFile()
        let bytes = try onDisk { () throws(DiskError) in try file.file.readBytes(at: position, length: header.sizeInBytes) }
        return ControlRecord(batch: bytes)
    }

    /// Checks every batch, makes the indexes anew, and cuts the segment at the first bad one.
    ///
    /// - Parameter next: Base of the segment that follows. A batch that reaches beyond it has a damaged offset, which no CRC covers.
    /// - Returns: True if it was cut: later segments cannot follow.
    private mutating func check(_ segment: LogSegment, below next: Offset?) throws(SegmentError) -> Bool {
        let file = try segment.openFile(forWriting: true)
        let size = segment.size
        let interval = log.settings.indexIntervalBytes
        segment.resetForRebuild()
        let last = segment.baseOffset + Int64(Int32.max)
        let offsets = segment.baseOffset...min(last, next.map { $0 - 1 } ?? last)
        let result = try SegmentScan.run(file.file, from: 0, size: size, offsets: offsets) {
            (header, position, bytes) throws(SegmentError) in
            segment.note(header, position: position, indexIntervalBytes: interval)
            let control = header.isControl ? ControlRecord(batch: bytes) : nil
            if let aborted = log.state.withLock({ state in
                state.logEnd = header.endOffset
                return state.note(header, control: control)
            }) {
                try segment.noteAborted(aborted)
            }
        }
        report.bytesChecked += result.end
        log.state.withLock { $0.logEnd = max(segment.endOffset, segment.baseOffset) }
        if let damage = result.damage {
            report.bytesCut += size - result.end
            report.damage = "\(segment.path(.log)), byte \(result.end): \(damage)"
            try onDisk { () throws(DiskError) in try file.file.truncate(to: result.end) }
            log.state.withLock { $0.sizeInBytes -= size - result.end }
        }
        // Below the recovery point the next start looks at the indexes' size only.
        try segment.storeRebuilt(atomically: result.end > 0 && segment.endOffset <= recoveryPoint)
        return result.damage != nil
    }

    private mutating func removeSegments(after index: Int) throws(SegmentError) {
        let (segments, later) = (log.segments, log.segments[(index + 1)...])
        for segment in later {
            report.bytesCut += segment.size
            for kind in [SegmentFileKind.log, .offsetIndex, .timeIndex, .transactionIndex] {
                try onDisk { () throws(DiskError) in try log.disk.remove(segment.path(kind)) }
            }
        }
        log.state.withLock { state in
            state.sizeInBytes -= later.reduce(0) { $0 + $1.size }
            state.segments = Array(segments[...index])
        }
    }

    private mutating func snapshot(at base: Offset) throws(SegmentError) {
        let producers = log.producers
        try log.replace(SegmentFileKind.producerSnapshot.name(base), with: ProducerSnapshot.encode(producers))
        listing.snapshots.append(base)
        listing.snapshots.sort()
    }

    /// Readies the last segment for appends.
    private func activateLast() throws(SegmentError) {
        let (active, end) = log.state.withLock { ($0.segments[$0.segments.count - 1], $0.logEnd) }
        try active.activate(endOffset: max(end, active.baseOffset))
        log.state.withLock { $0.logEnd = max(end, active.baseOffset) }
    }
}
