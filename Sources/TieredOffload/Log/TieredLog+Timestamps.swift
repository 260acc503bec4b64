//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import LogEngine
public import LogModel
internal import RecordCompression

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

    /// Looks in the tier up to the local start and in the tail from there. A segment that leaves the tail meanwhile is in neither, and one
    /// that retention takes from the tier is gone: then once more, with the boundary as it is by then.
    private func whileBoundaryStands(
        _ look: (LogOffsets) async throws(LogError) -> TimestampedOffset?
    ) async throws(LogError) -> TimestampedOffset? {
        while true {
            let offsets = tail.offsets
            let found: TimestampedOffset?
            do throws(LogError) { found = try await look(offsets) } catch {
                if tail.offsets.localStart != offsets.localStart { continue }
                guard try await wasDeleted(error) else { throw error }
                continue
            }
            if tail.offsets.localStart == offsets.localStart { return found }
        }
    }

    private func firstRecord(atOrAfter timestamp: Timestamp, _ offsets: LogOffsets) async throws(LogError) -> TimestampedOffset? {
        for piece in tierOnly(offsets) where piece.segment.maxTimestamp >= timestamp {
            if let found = try await parts.reader.firstRecord(of: piece.segment, atOrAfter: timestamp, in: piece.offsets) {
                return found
            }
        }
        return try await tail.offset(forTimestamp: timestamp)
    }

    private func recordWithLargestTimestamp(_ offsets: LogOffsets) async throws(LogError) -> TimestampedOffset? {
        var best = try await tail.offsetOfMaxTimestamp()
        // By what each may hold at most; of equal ones the first.
        for piece in tierOnly(offsets).sorted(by: { $0.segment.maxTimestamp > $1.segment.maxTimestamp }) {
            let highest = piece.segment.maxTimestamp
            if let best, best.timestamp > highest || best.timestamp == highest && best.offset < piece.offsets.lowerBound { break }
            var found = try await parts.reader.firstRecord(of: piece.segment, atOrAfter: highest, in: piece.offsets)
            // The segment's largest lies below the log start, on the volume, or in what is not the log's own.
            if found == nil { found = try await parts.reader.recordWithLargestTimestamp(of: piece.segment, in: piece.offsets) }
            guard let found else { continue }
            if let known = best, (known.timestamp, found.offset) > (found.timestamp, known.offset) { continue }
            best = found
        }
        return best
    }
}

extension RemoteReader {
    private static let scanBytes = 1 << 20

    /// The first record of `range` with a timestamp at or after `timestamp`.
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

    /// Reads all of `range`: for a segment of which not everything counts.
    func recordWithLargestTimestamp(of segment: RemoteSegment, in range: Range<Offset>) async throws(LogError) -> TimestampedOffset?
    {
        var best: TimestampedOffset?
        var next = range.lowerBound
        while next < range.upperBound {
            let batches = try await read(segment, from: next, below: range.upperBound, maxBytes: Self.scanBytes, minOneBatch: true)
                .batches
            guard let last = batches.entries.last else { break }
            for entry in batches.entries where entry.header.maxTimestamp > best?.timestamp ?? .none {
                if let found = try Self.record(of: entry, batches, atOrAfter: entry.header.maxTimestamp, in: range, segment) {
                    best = found
                }
            }
            next = last.header.endOffset
        }
        return best
    }

    private static func record(
        of entry: RecordBatches.Entry, _ batches: RecordBatches, atOrAfter timestamp: Timestamp, in range: Range<Offset>,
        _ segment: RemoteSegment
    ) throws(LogError) -> TimestampedOffset? {
        let header = entry.header
        guard header.lastOffset >= range.lowerBound, header.baseOffset < range.upperBound else { return nil }
        do throws(RecordBatchError) {
            let found = try batches.first(of: entry) { $1 >= timestamp && range.contains($0) }
            // A batch that cannot be looked into may begin below.
            return found.map {
                TimestampedOffset(
                    offset: max($0.offset, range.lowerBound), timestamp: $0.timestamp, leaderEpoch: header.partitionLeaderEpoch)
            }
        } catch {
            throw LogError(
                .corruptLog,
                "segment \(segment.baseOffset)-\(segment.id): the batch with offset \(header.baseOffset) cannot be read (\(error))")
        }
    }
}
