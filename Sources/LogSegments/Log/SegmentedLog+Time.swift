//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel
internal import NIOCore
internal import RecordCompression
internal import RuntimeEnvironment
internal import Synchronization

extension SegmentedLog {
    /// The first record with a timestamp at or after `timestamp` and an offset in `range`. May read.
    package func firstRecord(atOrAfter timestamp: Timestamp, in range: Range<Offset>) throws(SegmentError) -> (Offset, Timestamp)? {
        for segment in segments where segment.endOffset > range.lowerBound && segment.baseOffset < range.upperBound {
            guard let largest = try segment.largestTimestamp(), largest.timestamp >= timestamp else { continue }
            let (offsets, times) = try segment.indexes()
            let start = times.offset(before: timestamp).map { offsets.floor(Int64($0)).position } ?? 0
            let file = try segment.openFile()
            var cursor = BatchCursor(file.file, from: Int64(start), to: segment.size)
            while let (header, position) = try cursor.next(), header.baseOffset < range.upperBound {
                guard header.maxTimestamp >= timestamp, header.endOffset > range.lowerBound else { continue }
                if let found = try record(atOrAfter: timestamp, in: range, of: header, at: position, file) { return found }
            }
        }
        return nil
    }

    /// The record with the largest timestamp, the first of several, with an offset in `range`. May read.
    package func recordWithLargestTimestamp(in range: Range<Offset>) throws(SegmentError) -> (Offset, Timestamp)? {
        var best: Timestamp?
        for segment in segments where segment.endOffset > range.lowerBound && segment.baseOffset < range.upperBound {
            if let largest = try segment.largestTimestamp(), best.map({ largest.timestamp > $0 }) ?? true {
                best = largest.timestamp
            }
        }
        guard let best else { return nil }
        if let found = try firstRecord(atOrAfter: best, in: range) { return found }
        // The largest lies outside the range (below the log start, above the high watermark): each batch is asked.
        var largest: (Offset, Timestamp)?
        for segment in segments where segment.endOffset > range.lowerBound && segment.baseOffset < range.upperBound {
            let file = try segment.openFile()
            var cursor = BatchCursor(file.file, from: 0, to: segment.size)
            while let (header, position) = try cursor.next(), header.baseOffset < range.upperBound {
                guard header.endOffset > range.lowerBound, header.maxTimestamp > largest?.1 ?? .none else { continue }
                if let found = try record(atOrAfter: header.maxTimestamp, in: range, of: header, at: position, file) {
                    largest = found
                }
            }
        }
        return largest
    }

    private func record(
        atOrAfter timestamp: Timestamp, in range: Range<Offset>, of header: RecordBatchHeader, at position: Int64,
        _ file: SegmentFile
    ) throws(SegmentError) -> (Offset, Timestamp)? {
        let bytes = try onDisk { () throws(DiskError) in try file.file.readBytes(at: position, length: header.sizeInBytes) }
        do {
            let batches = try RecordBatches(verifying: bytes)
            let found = try batches.first(of: batches.entries[0]) { $1 >= timestamp && range.contains($0) }
            // A batch that cannot be looked into may begin below.
            return found.map { (max($0.offset, range.lowerBound), $0.timestamp) }
        } catch {
            throw .corrupt("\(file.file.path), byte \(position): \(error)")
        }
    }
}
