//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel
internal import RuntimeEnvironment
internal import Synchronization

extension SegmentedLog {
    /// Sealed segments, in order, that lie wholly below `bound`. May read.
    package func sealedSegments(below bound: Offset) throws(SegmentError) -> [SealedSegment] {
        let (segments, epochs) = state.withLock { ($0.segments, $0.epochs) }
        var sealed: [SealedSegment] = []
        for segment in segments.dropLast() where segment.endOffset <= bound {
            // Makes missing indexes: whoever copies the segment copies them too.
            let largest = try segment.largestTimestamp()
            let hasAborted = try !segment.abortedTransactions().isEmpty
            let snapshot = "\(directory)/\(SegmentFileKind.producerSnapshot.name(segment.endOffset))"
            let hasSnapshot = try onDisk { () throws(DiskError) in try disk.exists(snapshot) }
            sealed.append(
                SealedSegment(
                    disk: disk, baseOffset: segment.baseOffset, endOffset: segment.endOffset,
                    maxTimestamp: largest?.timestamp ?? .none, sizeInBytes: segment.size, logPath: segment.path(.log),
                    offsetIndexPath: segment.path(.offsetIndex), timeIndexPath: segment.path(.timeIndex),
                    transactionIndexPath: hasAborted ? segment.path(.transactionIndex) : nil,
                    producerSnapshotPath: hasSnapshot ? snapshot : nil,
                    epochs: epochs.entries(covering: segment.baseOffset..<segment.endOffset)))
        }
        return sealed
    }
}
