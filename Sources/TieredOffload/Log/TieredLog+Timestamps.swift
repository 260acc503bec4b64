//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import LogEngine
public import LogModel

extension TieredLog {
    public func offset(forTimestamp timestamp: Timestamp) async throws(LogError) -> TimestampedOffset? {
        try demandLeadership(at: nil)
        return try await whileBoundaryStands { (offsets) async throws(LogError) in
            try await firstRecord(atOrAfter: timestamp, offsets)
        }
    }

    public func offsetOfMaxTimestamp() async throws(LogError) -> TimestampedOffset? {
        try await whileBoundaryStands { (offsets) async throws(LogError) in try await recordWithLargestTimestamp(offsets) }
    }

    /// Looks in the tier up to the local start and in the tail from there. A segment that leaves the tail meanwhile is in neither: then
    /// once more, with the boundary as it is by then.
    private func whileBoundaryStands(
        _ look: (LogOffsets) async throws(LogError) -> TimestampedOffset?
    ) async throws(LogError) -> TimestampedOffset? {
        while true {
            let offsets = tail.offsets
            let found: TimestampedOffset?
            do throws(LogError) { found = try await look(offsets) } catch {
                guard tail.offsets.localStart != offsets.localStart else { throw error }
                continue
            }
            if tail.offsets.localStart == offsets.localStart { return found }
        }
    }

    private func firstRecord(atOrAfter timestamp: Timestamp, _ offsets: LogOffsets) async throws(LogError) -> TimestampedOffset? {
        var next = offsets.logStart
        for segment in tierOnly(offsets) {
            if segment.maxTimestamp >= timestamp,
                let found = try await parts.reader.firstRecord(
                    of: segment, atOrAfter: timestamp, in: next..<min(segment.endOffset, offsets.localStart))
            {
                return found
            }
            next = segment.endOffset
        }
        return try await tail.offset(forTimestamp: timestamp)
    }

    private func recordWithLargestTimestamp(_ offsets: LogOffsets) async throws(LogError) -> TimestampedOffset? {
        let local = try await tail.offsetOfMaxTimestamp()
        guard let highest = tierOnly(offsets).max(by: { $0.maxTimestamp < $1.maxTimestamp }) else { return local }
        // A segment's own maximum may lie below the log start, or be local as well: the search decides.
        if let local, local.timestamp > highest.maxTimestamp { return local }
        let start = max(highest.baseOffset, offsets.logStart)
        let end = min(highest.endOffset, offsets.localStart)
        let found = try await parts.reader.firstRecord(of: highest, atOrAfter: highest.maxTimestamp, in: start..<end)
        return found ?? local
    }

    /// Segments with offsets that only the tier holds, by offset.
    private func tierOnly(_ offsets: LogOffsets) -> [RemoteSegment] {
        guard offsets.logStart < offsets.localStart else { return [] }
        return Array(catalog.view.chain(from: offsets.logStart, in: history).prefix { $0.baseOffset < offsets.localStart })
    }
}

extension RemoteReader {
    private static let scanBytes = 1 << 20

    /// The first record of `range` with a timestamp at or after `timestamp`; of a compressed batch its first offset.
    func firstRecord(
        of segment: RemoteSegment, atOrAfter timestamp: Timestamp, in range: Range<Offset>
    ) async throws(LogError) -> TimestampedOffset? {
        let index = try await timeIndex(of: segment)
        var next = max(range.lowerBound, index.offset(before: timestamp))
        while next < range.upperBound {
            let batches = try await read(segment, from: next, below: range.upperBound, maxBytes: Self.scanBytes, minOneBatch: true)
                .batches
            guard let last = batches.entries.last else { return nil }
            for entry in batches.entries where entry.header.maxTimestamp >= timestamp {
                if let found = try Self.record(of: entry, batches, atOrAfter: timestamp, in: range, segment) { return found }
            }
            next = last.header.endOffset
        }
        return nil
    }

    private static func record(
        of entry: RecordBatches.Entry, _ batches: RecordBatches, atOrAfter timestamp: Timestamp, in range: Range<Offset>,
        _ segment: RemoteSegment
    ) throws(LogError) -> TimestampedOffset? {
        let header = entry.header
        guard header.codec == CompressionCodec.none else {
            guard header.lastOffset >= range.lowerBound, header.baseOffset < range.upperBound else { return nil }
            return TimestampedOffset(
                offset: max(header.baseOffset, range.lowerBound), timestamp: header.maxTimestamp,
                leaderEpoch: header.partitionLeaderEpoch)
        }
        do throws(RecordBatchError) {
            return try batches.records(of: entry).first { $0.timestamp >= timestamp && range.contains($0.offset) }.map {
                TimestampedOffset(offset: $0.offset, timestamp: $0.timestamp, leaderEpoch: header.partitionLeaderEpoch)
            }
        } catch {
            throw LogError(
                .corruptLog,
                "segment \(segment.baseOffset)-\(segment.id): the batch with offset \(header.baseOffset) cannot be read (\(error))")
        }
    }
}
