//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel
package import NIOCore
internal import RuntimeEnvironment
internal import Synchronization

extension SegmentedLog {
    /// Cuts the log so that it ends at `offset`, or at the base of the batch that holds it; where no batch does, at the end of the last
    /// one before it, since that is what a later start finds. Epochs and producers follow. Durable on return. On the log's worker only.
    ///
    /// - Returns: The new log end.
    @discardableResult
    package func truncate(to offset: Offset) throws(SegmentError) -> Offset {
        let (segments, end) = state.withLock { ($0.segments, $0.logEnd) }
        guard offset < end else {
            // An epoch that began at the end, and of which nothing was written, goes all the same: the leader may not know it.
            let changed = state.withLock { state in
                guard state.epochs.truncateFromEnd(offset) else { return false }
                state.epochsAreDirty = true
                return true
            }
            if changed { try storeEpochs() }
            return end
        }
        guard offset > segments[0].baseOffset else {
            let epochs = EpochHistory(self.epochs.entries.filter { $0.startOffset < offset })
            // Where the log begins it is the snapshot alone that knows who wrote before.
            let path = "\(directory)/\(SegmentFileKind.producerSnapshot.name(offset))"
            let snapshot = offset == segments[0].baseOffset ? try? disk.readFile(path) : nil
            try restart(
                at: offset, logStart: min(logStart, offset), epochs: epochs,
                producerSnapshot: snapshot.flatMap { ProducerSnapshot.decode($0) == nil ? nil : $0 })
            return offset
        }
        let index = max(0, segments.partitioningIndex { $0.baseOffset >= offset } - 1)
        let segment = segments[index]
        let newEnd = try segment.endOfBatches(upTo: offset)
        let previousBytes = segments[index...].reduce(0) { $0 + $1.size }
        // Sealed or not, it becomes the active one.
        let wasSealed = segment.isSealed
        let place = try segment.locate(offset, mayRead: true)
        if wasSealed { _ = try segment.indexes() }
        if newEnd < logStart {
            // The log start lies inside the batch that goes, or before it where there is none: nothing readable is left.
            let start = logStart
            try restart(
                at: start, logStart: start, epochs: EpochHistory(epochs.entries.filter { $0.startOffset < start }),
                producerSnapshot: nil)
            return start
        }
        // Readers first: nobody may find a place that is about to go.
        if case .at(let place) = place { segment.cut(toPosition: place.position, endOffset: newEnd) }
        state.withLock { state in
            state.segments = Array(segments[...index])
            state.logEnd = newEnd
            state.sizeInBytes += segment.size - previousBytes
            state.recoveryPoint = min(state.recoveryPoint, newEnd)
            state.cuts += 1
            if state.epochs.truncateFromEnd(newEnd) { state.epochsAreDirty = true }
        }
        try removeFiles(ofLast: segments[(index + 1)...])
        if case .at(let place) = place {
            let file = try segment.openFile(forWriting: true)
            try onDisk { () throws(DiskError) in try file.file.truncate(to: place.position) }
        }
        if wasSealed { try segment.activate(endOffset: newEnd) }
        try segment.findLargestTimestamp()
        try segment.storeIndexes(final: false, trims: true)
        if state.withLock({ $0.epochsAreDirty }) { try storeEpochs() }
        try reloadProducers()
        // A crash must not bring back what was cut, above records that are written from now on.
        try synchronize([segment], upTo: .zero)
        return newEnd
    }

    /// Removes the log's last segments, the very last first and durably, so that a crash on the way leaves no hole: below the recovery
    /// point nobody would look for one.
    private func removeFiles(ofLast later: ArraySlice<LogSegment>) throws(SegmentError) {
        guard !later.isEmpty else { return }
        for segment in later.reversed() {
            segment.state.withLock { $0.size = 0 }
            for kind in [SegmentFileKind.log, .offsetIndex, .timeIndex, .transactionIndex] {
                try onDisk { () throws(DiskError) in try disk.remove(segment.path(kind)) }
            }
        }
        try onDisk { () throws(DiskError) in try disk.synchronizeDirectory(directory) }
    }

    /// Producers as the log up to its end tells them: from the newest snapshot, and the batches after it.
    private func reloadProducers() throws(SegmentError) {
        let end = logEnd
        var listing = try onDisk { () throws(DiskError) in try disk.list(directory) }.compactMap { entry -> Offset? in
            guard let (kind, offset) = SegmentFileKind.parse(entry.name), kind == .producerSnapshot else { return nil }
            return offset
        }
        for snapshot in listing where snapshot > end {
            try onDisk { () throws(DiskError) in
                try disk.remove("\(directory)/\(SegmentFileKind.producerSnapshot.name(snapshot))")
            }
        }
        listing.removeAll { $0 > end }
        var from = Offset.zero
        var producers = ProducerStates()
        for snapshot in listing.reversed() {
            let path = "\(directory)/\(SegmentFileKind.producerSnapshot.name(snapshot))"
            if let decoded = ProducerSnapshot.decode(try onDisk { () throws(DiskError) in try disk.readFile(path) }) {
                (from, producers) = (snapshot, decoded)
                break
            }
        }
        state.withLock { $0.adopt(producers) }
        for segment in segments where segment.endOffset > from {
            let file = try segment.openFile()
            var cursor = BatchCursor(file.file, from: 0, to: segment.size)
            while let (header, position) = try cursor.next() {
                guard header.baseOffset >= from, header.hasProducerID else { continue }
                var control: ControlRecord?
                if header.isControl {
                    control = ControlRecord(
                        batch: try onDisk { () throws(DiskError) in
                            try file.file.readBytes(at: position, length: header.sizeInBytes)
                        })
                }
                _ = state.withLock { $0.note(header, control: control) }
            }
        }
    }

    /// Drops everything local and begins anew, empty, at `offset`. On the log's worker only.
    ///
    /// - Parameter producerSnapshot: A snapshot file's content.
    package func restart(
        at offset: Offset, logStart: Offset, epochs: EpochHistory, producerSnapshot: ByteBuffer?
    ) throws(SegmentError) {
        var producers = ProducerStates()
        if let producerSnapshot {
            guard let decoded = ProducerSnapshot.decode(producerSnapshot) else {
                throw .corrupt("\(directory): the producer snapshot given for offset \(offset) is damaged")
            }
            producers = decoded
        }
        let old = segments
        for segment in old { segment.state.withLock { $0.size = 0 } }
        try onDisk { () throws(DiskError) in
            // From the end, so that a crash on the way leaves a beginning.
            for entry in try disk.list(directory).reversed() where SegmentFileKind.parse(entry.name) != nil {
                try disk.remove("\(directory)/\(entry.name)")
            }
        }
        let fresh = try LogSegment.create(at: offset, disk: disk, directory: directory)
        state.withLock { state in
            state.segments = [fresh]
            state.logStart = logStart
            state.logEnd = offset
            state.epochs = epochs
            state.adopt(producers)
            state.recoveryPoint = offset
            state.cuts += 1
            state.sizeInBytes = 0
        }
        try storeEpochs()
        if producerSnapshot != nil { try takeSnapshot(durably: true) }
        try synchronize([fresh], upTo: .zero)
    }
}

extension LogSegment {
    /// Forgets batches at or after `position`; the log's end comes before.
    func cut(toPosition position: Int64, endOffset: Offset) {
        state.withLock { state in
            state.size = position
            state.endOffset = endOffset
            state.offsets?.truncate(toPosition: position)
            state.times?.truncate(toOffset: endOffset - baseOffset)
            // Readers keep up with a log that grows, not with one that is cut.
            state.dropTail()
            state.recent.removeAll { $0.position >= position }
            state.firstKept = state.recent.count
            state.transactions?.entries.removeAll { $0.lastOffset >= endOffset }
            state.transactionsStored = -1
            state.offsetsStored = 0
            state.timesStored = 0
            // As in a fresh file, whose first batch gets no entry: it would read as the index's end.
            state.bytesSinceIndexEntry = 0
        }
    }

    /// Exclusive end of the last batch that ends at or below `offset`; the segment's base if there is none.
    func endOfBatches(upTo offset: Offset) throws(SegmentError) -> Offset {
        // An entry names the last offset of its batch.
        let start = try indexes().offsets.floor(offset - baseOffset - 1)
        var cursor = BatchCursor(try openFile().file, from: Int64(start.position), to: size)
        var end = baseOffset
        while let (header, _) = try cursor.next(), header.endOffset <= offset { end = header.endOffset }
        return end
    }

    /// Finds it anew: from the time index, and the batches after the last entry of the offset index.
    func findLargestTimestamp() throws(SegmentError) {
        let (start, size) = state.withLock { state in
            let last = state.times?.entries.last
            state.maxTimestamp = last?.timestamp ?? Timestamp.none
            state.offsetOfMaxTimestamp = baseOffset + Int64(last?.relativeOffset ?? 0)
            return (Int64(state.offsets?.entries.last?.position ?? 0), state.size)
        }
        var cursor = BatchCursor(try openFile().file, from: start, to: size)
        while let (header, _) = try cursor.next() {
            state.withLock { state in
                guard header.maxTimestamp > state.maxTimestamp ?? Timestamp.none else { return }
                state.maxTimestamp = header.maxTimestamp
                state.offsetOfMaxTimestamp = header.lastOffset
            }
        }
    }
}
