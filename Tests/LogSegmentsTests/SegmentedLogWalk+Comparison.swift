//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogModel
import LogSegments
import NIOCore
import RuntimeEnvironment
import SimulationKit
import Testing

/// What is asked of the log after every step.
extension SegmentedLogWalk {
    func compare() throws {
        try #require(log.logEnd == logEnd)
        try #require(log.logStart == logStart)
        try #require(log.sizeInBytes >= batches.reduce(0) { $0 + Int64($1.bytes.readableBytes) })
        for batch in batches where batch.header.baseOffset >= logStart {
            try #require(log.epochs.epoch(at: batch.header.baseOffset) == batch.header.partitionLeaderEpoch)
        }
        guard logEnd > logStart else { return }
        let offset = logStart + Int64(random.next(below: UInt64(logEnd - logStart)))
        let expected = batches.drop { $0.header.endOffset <= offset }
        // Offsets at the end may have lost their batches to a truncation inside one.
        guard let first = expected.first else { return }
        try compareRead(from: offset, expected)
        try compareTimes(first.header.maxTimestamp)
    }

    /// A read from anywhere, with any limit, is a stretch of the list.
    private func compareRead(from offset: Offset, _ expected: ArraySlice<Batch>) throws {
        let maxBytes = Int(random.next(below: 4_000))
        let slices = try #require(
            try log.read(from: offset, to: logEnd, maxBytes: maxBytes, minOneBatch: true, mayRead: true))
        let read = try RecordBatches(verifying: try slices.contiguous(), allowsPartialTail: true)
        try #require(!read.isEmpty)
        for (entry, batch) in zip(read.entries, expected) {
            try #require(entry.header == batch.header)
            let at = read.buffer.readerIndex + entry.position
            try #require(read.buffer.getSlice(at: at, length: entry.header.sizeInBytes) == batch.bytes)
        }
    }

    /// By time: the first record at or after one, and the largest, as the list has them.
    private func compareTimes(_ time: Timestamp) throws {
        let records = try batches.flatMap { batch in
            let batches = try RecordBatches(verifying: batch.bytes)
            return try batches.records(of: batches.entries[0]).map { ($0.offset, $0.timestamp) }
        }.filter { $0.0 >= logStart }
        let found = try log.firstRecord(atOrAfter: time, in: logStart..<logEnd)
        let wanted = records.first { $0.1 >= time }
        try #require(found?.0 == wanted?.0 && found?.1 == wanted?.1)
        let largest = records.map(\.1).max()
        let last = try log.recordWithLargestTimestamp(in: logStart..<logEnd)
        try #require(last?.0 == records.first { $0.1 == largest }?.0 && last?.1 == largest)
    }
}
