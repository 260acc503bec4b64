//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel
internal import NIOCore
internal import RuntimeEnvironment
internal import Synchronization

extension SegmentedLog {
    /// Batches from the one that ends after `offset`, below `end`, of one segment.
    ///
    /// - Parameters:
    ///   - end: Exclusive; a batch boundary, or batches that reach beyond it are left out.
    ///   - mayRead: False: answers only if no disk need be asked.
    /// - Returns: nil if it would have to read and may not. Empty if there is nothing below `end`, if the segment of `offset` was
    ///   removed, or if the first batch is larger than `maxBytes` and `minOneBatch` is false.
    package func read(
        from offset: Offset, to end: Offset, maxBytes: Int, minOneBatch: Bool, mayRead: Bool
    ) throws(SegmentError) -> LogSlices? {
        guard offset < end, maxBytes > 0 || minOneBatch else { return LogSlices() }
        let segments = self.segments
        // Its segment was removed since the caller looked: what comes after is not what was asked for.
        guard offset >= segments[0].baseOffset else { return LogSlices() }
        var index = max(0, segments.partitioningIndex { $0.baseOffset > offset } - 1)
        while index < segments.count {
            let segment = segments[index]
            switch try segment.locate(offset, mayRead: mayRead) {
            case .unknown: return nil
            case .end: index += 1
            case .at(let place):
                return try read(
                    segment, from: place, to: end, maxBytes: maxBytes, minOneBatch: minOneBatch, mayRead: mayRead)
            }
        }
        return LogSlices()
    }

    private func read(
        _ segment: LogSegment, from place: BatchPlace, to end: Offset, maxBytes: Int, minOneBatch: Bool, mayRead: Bool
    ) throws(SegmentError) -> LogSlices? {
        let (size, segmentEnd) = segment.state.withLock { ($0.size, $0.endOffset) }
        var limit = size
        if end < segmentEnd {
            switch try segment.locate(end, mayRead: mayRead) {
            case .unknown: return nil
            case .end: break
            case .at(let place): limit = place.position
            }
        }
        let available = limit - place.position
        guard available > 0 else { return LogSlices() }
        var length = available
        if available > Int64(maxBytes) {
            if let cut = segment.boundary(in: place.position, upTo: place.position + Int64(maxBytes)) {
                length = cut - place.position
            } else {
                // Memory knows no boundary between: the first batch decides.
                var first = place.size
                if first == nil {
                    guard mayRead else { return nil }
                    first = try segment.header(at: place.position).map { Int64($0.sizeInBytes) }
                }
                length = first ?? available
                guard length <= Int64(maxBytes) || minOneBatch else { return LogSlices() }
                if length < Int64(maxBytes) { length = min(available, Int64(maxBytes)) }
            }
        }
        if let tail = segment.state.withLock({ $0.tail(from: place.position, length: Int(length)) }) { return LogSlices(tail) }
        return LogSlices(.file(try segment.openFile(), offset: place.position, length: Int(length)))
    }

    /// Transactions aborted within or around `range`, for readers of committed records. May read.
    package func abortedTransactions(overlapping range: Range<Offset>) throws(SegmentError) -> [TransactionIndex.Entry] {
        var found: [TransactionIndex.Entry] = []
        for segment in segments where segment.endOffset > range.lowerBound {
            for entry in try segment.abortedTransactions()
            where entry.lastOffset >= range.lowerBound && entry.firstOffset < range.upperBound {
                found.append(entry)
            }
            // An abort's own last stable offset tells that no earlier transaction ends further on.
            if let last = try segment.abortedTransactions().last, last.lastStableOffset >= range.upperBound { break }
        }
        return found
    }

    /// Where the batch that holds `offset` lies: segment, position, header. May read.
    package func place(of offset: Offset) throws(SegmentError) -> (segment: LogSegment, position: Int64, header: RecordBatchHeader)?
    {
        let segments = self.segments
        var index = max(0, segments.partitioningIndex { $0.baseOffset > offset } - 1)
        while index < segments.count {
            if case .at(let place) = try segments[index].locate(offset, mayRead: true),
                let header = try segments[index].header(at: place.position)
            {
                return (segments[index], place.position, header)
            }
            index += 1
        }
        return nil
    }
}

extension [LogSegment] {
    /// Index of the first segment for which `belongsAbove` holds. Binary search.
    func partitioningIndex(where belongsAbove: (LogSegment) -> Bool) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if belongsAbove(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
