//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import DequeModule
public import LogEngine
public import LogModel
internal import NIOCore
internal import ObjectStore
internal import RuntimeEnvironment
internal import Synchronization

extension SharedLog {
    public func deleteRecords(before offset: Offset) async throws(LogError) -> Offset {
        let logStart = try state.withLock { state throws(LogError) in
            try state.checkLeads()
            guard offset <= state.highWatermark else {
                throw state.error(.offsetOutOfRange, "ends at \(state.highWatermark), records before \(offset) cannot be deleted")
            }
            return state.logStart
        }
        guard offset > logStart else { return logStart }
        try await raiseStart(to: offset)
        return offset
    }

    /// Makes `offset` the log start, durably, and lets go of ranges that lie wholly below it.
    func raiseStart(to offset: Offset) async throws(LogError) {
        let writer = shared.metadata.writer
        for _ in 0..<SharedMetadata.attemptsMax {
            // Bounded transactions: the first raises the start, and each lets go of some ranges.
            let dropped = rangesNow.prefix { $0.end <= offset }
            let some = Array(dropped.prefix(200))
            let done = try await shared.metadata.replaceRanges(of: stream, some, with: nil, requiring: [shared.ownership]) {
                record throws(LogError) in
                guard record.owner == writer, record.isOpen else {
                    throw LogError(.notLeader, "partition \(partition) has moved away from this broker")
                }
                var raised = record
                raised.startOffset = max(record.startOffset, offset)
                return raised
            }
            guard done else {
                try await reloadRanges()
                continue
            }
            raiseLogStart(to: offset)
            replaced(some, with: nil)
            if some.count == dropped.count { break }
        }
        tellProgress()
    }

    /// This partition's share of the WAL, and what it holds in objects (index and block headers of shared objects not included).
    public func footprint() async throws(LogError) -> Footprint {
        let (walBytes, objectBytes, objects) = state.withLock { state in
            (max(0, state.uncommittedBytes), state.rangeBytes, Int64(state.ranges.count))
        }
        var footprint = Footprint()
        let inWAL = Int64((Double(walBytes) * shared.wal.copiesPerByte).rounded())
        footprint.add(.wal, physicalBytes: inWAL, recordBytes: inWAL)
        let inObjects = Int64((Double(objectBytes) * shared.store.copies.count).rounded())
        footprint.add(.object, physicalBytes: inObjects, recordBytes: inObjects, count: objects)
        return footprint
    }

    public func physicalCopies(of offset: Offset) async throws(LogError) -> [PhysicalCopy] {
        let (cached, range) = try state.withLock { state throws(LogError) -> (CachedAppend?, RangeRecord?) in
            try state.checkLeads()
            guard offset >= state.logStart, offset < state.logEnd else {
                throw state.error(.offsetOutOfRange, "holds offsets \(state.logStart) to \(state.logEnd), \(offset) was asked for")
            }
            let index = state.cacheIndex(of: offset)
            let append = index < state.cache.count && state.cache[index].offsets.contains(offset) ? state.cache[index] : nil
            let rangeIndex = state.rangeIndex(of: offset)
            return (
                append, rangeIndex < state.ranges.count && state.ranges[rangeIndex].start <= offset ? state.ranges[rangeIndex] : nil
            )
        }
        var copies: [PhysicalCopy] = []
        if let cached, let position = cached.position, shared.wal.isLive(position) {
            copies += try await walCopies(of: offset, in: cached, at: position)
        }
        if let range { copies += try await objectCopies(of: offset, in: range) }
        return copies
    }

    private func walCopies(of offset: Offset, in cached: CachedAppend, at position: Int64) async throws(LogError) -> [PhysicalCopy]
    {
        guard let entry = cached.batches.entries.first(where: { $0.header.endOffset > offset }) else { return [] }
        let start = Int64(entry.position)
        return try await shared.wal.physicalCopies(of: start..<start + Int64(entry.header.sizeInBytes), inBodyAt: position)
    }

    private func objectCopies(of offset: Offset, in range: RangeRecord) async throws(LogError) -> [PhysicalCopy] {
        guard let entry = try await shared.reader.index(of: range).entries(of: stream, from: offset).first,
            let block = try await shared.reader.blocks(
                of: stream, in: range, from: offset, bytesMax: 1, fetchBytes: Int(clamping: entry.length)
            ).blocks.first
        else { return [] }
        var bytes: Range<Int64>?
        try? block.data.forEachBatch { header, index in
            guard header.endOffset > offset else { return true }
            let start = entry.position + Int64(ObjectFormat.blockHeaderSize + index - block.data.readerIndex)
            bytes = start..<start + Int64(header.sizeInBytes)
            return false
        }
        guard let bytes else { return [] }
        return await PhysicalCopy.readBack(.object, object: range.key, bytes, in: shared.store)
    }
}
