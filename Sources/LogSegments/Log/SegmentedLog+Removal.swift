//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel
internal import NIOCore
package import RuntimeEnvironment
internal import Synchronization

extension SegmentedLog {
    /// Raises the log start. In memory; the caller stores the log directory's checkpoint. Segments go at the next ``removeSegments(...)``.
    ///
    /// - Returns: The log start now: never lower than before, never above the log end.
    @discardableResult
    package func raiseLogStart(to offset: Offset) throws(SegmentError) -> Offset {
        let (start, changed) = state.withLock { state in
            state.logStart = max(state.logStart, min(offset, state.logEnd))
            let changed = state.epochs.truncateFromStart(state.logStart)
            state.epochsAreDirty = state.epochsAreDirty || changed
            return (state.logStart, changed)
        }
        if changed { try storeEpochs() }
        return start
    }

    /// Segments from the front, never the active one, for which `isDue` holds: files renamed now, unlinked after the delay. On the log's worker
    /// only.
    ///
    /// - Parameter raisesLogStart: False: the log start stays, the local start alone rises.
    /// - Returns: Bytes of `.log` files.
    @discardableResult
    package func removeSegments(
        at now: MonotonicInstant, raisesLogStart: Bool, while isDue: (LogSegment) throws(SegmentError) -> Bool
    ) throws(SegmentError) -> Int64 {
        var due: [LogSegment] = []
        for segment in segments.dropLast() {
            guard try isDue(segment) else { break }
            due.append(segment)
        }
        guard let last = due.last else { return 0 }
        let bytes = due.reduce(0) { $0 + $1.size }
        let epochsChanged = state.withLock { state in
            state.segments.removeFirst(due.count)
            state.sizeInBytes -= bytes
            if raisesLogStart { state.logStart = max(state.logStart, last.endOffset) }
            let changed = state.epochs.truncateFromStart(state.logStart)
            state.epochsAreDirty = state.epochsAreDirty || changed
            return changed
        }
        if epochsChanged { try storeEpochs() }
        let removeAt = now + settings.fileDeleteDelay
        for segment in due {
            for kind in SegmentFileKind.allCases {
                let path = segment.path(kind)
                let renamed = path + SegmentFileKind.deletedSuffix
                do throws(DiskError) { try disk.rename(path, to: renamed) } catch {
                    guard error.code == .notFound else { throw .disk(error) }
                    continue
                }
                let size = kind == .log ? segment.size : 0
                state.withLock { $0.removedFiles.append(RemovedFile(path: renamed, size: size, removeAt: removeAt)) }
            }
        }
        return bytes
    }

    /// What ``removeSegments(at:raisesLogStart:while:)`` is asked by time and size: from the front, segments older than `time` by their
    /// largest timestamp, or beyond `bytes`, or wholly below the log start; none reaching above `bound`.
    ///
    /// - Parameter now: Wall clock.
    @discardableResult
    package func applyRetention(
        time: Duration?, bytes: Int64?, below bound: Offset, wallClock now: Timestamp, at instant: MonotonicInstant
    ) throws(SegmentError) -> Int64 {
        var rest = sizeInBytes
        let start = logStart
        return try removeSegments(at: instant, raisesLogStart: true) { (segment) throws(SegmentError) in
            guard segment.endOffset <= bound else { return false }
            defer { rest -= segment.size }
            if segment.endOffset <= start { return true }
            if let bytes, rest - segment.size >= bytes { return true }
            guard let time, let largest = try segment.largestTimestamp() else { return false }
            return now.milliseconds(since: largest.timestamp) > time.inMilliseconds
        }
    }

    /// True if the active segment alone is older than `time`, so that rolling it would let retention remove it.
    package func activeIsBeyond(time: Duration?, wallClock now: Timestamp) throws(SegmentError) -> Bool {
        let active = state.withLock { $0.segments[$0.segments.count - 1] }
        guard !active.isEmpty else { return false }
        if let time, let largest = try active.largestTimestamp() {
            return now.milliseconds(since: largest.timestamp) > time.inMilliseconds
        }
        return false
    }

    /// Unlinks files whose delay is over; all of them with `now` nil. From any thread, one at a time.
    package func unlinkRemoved(at now: MonotonicInstant?) throws(SegmentError) {
        let due = state.withLock { state in
            let due = state.removedFiles.filter { file in now.map { file.removeAt <= $0 } ?? true }
            state.removedFiles.removeAll { file in now.map { file.removeAt <= $0 } ?? true }
            return due
        }
        for file in due { try onDisk { () throws(DiskError) in try disk.remove(file.path) } }
    }

    /// Files renamed and not yet unlinked: paths, and bytes where they are record data.
    package var removedFiles: [(path: String, recordBytes: Int64)] { state.withLock { $0.removedFiles.map { ($0.path, $0.size) } } }
}
