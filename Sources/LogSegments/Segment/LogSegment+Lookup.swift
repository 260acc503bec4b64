//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogModel
internal import NIOCore
internal import RuntimeEnvironment
internal import Synchronization

/// Where a batch lies in its segment.
package struct BatchPlace: Sendable, Hashable {
    package var position: Int64
    /// nil where it is not known without reading.
    package var size: Int64?
}

extension LogSegment {
    /// The first batch that ends after `offset`.
    ///
    /// - Parameter mayRead: False: answers only what memory holds.
    /// - Returns: `.unknown` if it would have to read; `.end` if no batch of the segment ends after `offset`.
    func locate(_ offset: Offset, mayRead: Bool) throws(SegmentError) -> Location {
        let known = state.withLock { state -> (place: BatchPlace?, isEnd: Bool) in
            if offset >= state.endOffset || state.size == 0 { return (nil, true) }
            return (state.recentPlace(of: offset), false)
        }
        if known.isEnd { return .end }
        if let place = known.place { return .at(place) }
        if offset <= baseOffset { return .at(BatchPlace(position: 0, size: nil)) }
        guard mayRead else { return .unknown }
        let start = try indexes().offsets.floor(offset - baseOffset)
        let size = self.size
        var cursor = BatchCursor(try openFile().file, from: Int64(start.position), to: size)
        while let (header, position) = try cursor.next() {
            if header.endOffset > offset {
                return .at(BatchPlace(position: position, size: Int64(header.sizeInBytes)))
            }
        }
        guard cursor.position == size else {
            throw .corrupt("\(path(.log)): no whole batch at byte \(cursor.position), where offset \(offset) is looked for")
        }
        return .end
    }

    enum Location {
        case at(BatchPlace)
        case end
        case unknown
    }

    /// The greatest boundary between batches in `lower + 1 ... upper` that memory knows.
    func boundary(in lower: Int64, upTo upper: Int64) -> Int64? {
        state.withLock { state in
            var best: Int64?
            if upper >= state.size { return state.size > lower ? state.size : nil }
            if let indexed = state.offsets?.boundary(atOrBelow: upper), indexed > lower { best = indexed }
            if let first = state.recent.first, first.position <= upper {
                let at = state.recentIndex { $0.position > upper }
                let position = state.recent[at - 1].position
                if position > lower, position > best ?? -1 { best = position }
            }
            return best
        }
    }

    func header(at position: Int64) throws(SegmentError) -> RecordBatchHeader? {
        var cursor = BatchCursor(try openFile().file, from: position, to: size, windowSize: Int64(RecordBatchHeader.size))
        return try cursor.next()?.header
    }
}

extension LogSegment.State {
    /// The batch that ends after `offset`, if it is one of the recent ones.
    func recentPlace(of offset: Offset) -> BatchPlace? {
        guard let first = recent.first else { return nil }
        // What lies before the first remembered batch is not known, unless that batch begins the segment.
        let index = recentIndex { $0.endOffset > offset }
        guard index < recent.count, index > 0 || first.position == 0 else { return nil }
        let position = recent[index].position
        let end = index + 1 < recent.count ? recent[index + 1].position : size
        return BatchPlace(position: position, size: end - position)
    }

    func recentIndex(where belongsAbove: (LogSegment.RecentBatch) -> Bool) -> Int {
        var low = 0
        var high = recent.count
        while low < high {
            let middle = (low + high) / 2
            if belongsAbove(recent[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
