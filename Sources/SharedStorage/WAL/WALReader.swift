//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogEngine
internal import LogModel
package import NIOCore
package import RuntimeEnvironment
internal import Synchronization

/// Reads the records of a WAL that its writer no longer writes, from the trim position to the end of the longest valid prefix.
///
/// Used by the broker that owns the file at its next start, or by the survivor that recovers it. Reads only.
package final class WALReader: Sendable {
    package struct Record: Sendable {
        package var header: WALRecordHeader
        package var body: ByteBuffer
    }

    private struct State {
        /// Where the next record must begin.
        var position: Int64
        /// Start of the group being read; nil between groups.
        var group: Int64?
        var window = ByteBuffer()
        /// File offset of the window's first readable byte.
        var windowStart: Int64 = 0
        var isAtEnd = false
    }

    package let header: WALHeader
    private let path: String
    private let file: any DiskFile
    private let state: Mutex<State>

    private static let windowBytes = 4 << 20
    /// How far beyond a bad record a later group is looked for: a group's bytes and one record.
    private static let lookAhead: Int64 = 24 << 20

    package init(disk: any Disk, path: String, header: WALHeader) throws(LogError) {
        self.header = header
        self.path = path
        do throws(DiskError) {
            file = try disk.open(path, .readOnly)
        } catch {
            throw LogError(.storageFailure, "the write-ahead log \(path) cannot be opened for recovery", cause: error)
        }
        state = Mutex(State(position: header.trimPosition))
    }

    package func close() { file.close() }

    /// Where the next record must begin.
    package var position: Int64 { state.withLock { $0.position } }

    /// The next records, at most about `bytesMax` of bodies (one record at least); empty at the end. Blocks.
    ///
    /// - Throws: ``LogError/Code/corruptLog`` if a record fails its checksum though a later group exists, which is written only
    ///   after the earlier one was synced: acknowledged data is damaged. ``LogError/Code/storageFailure``.
    package func nextRecords(bytesMax: Int) throws(LogError) -> [Record] {
        try state.withLock { state throws(LogError) in
            var records: [Record] = []
            var bytes = 0
            while !state.isAtEnd, bytes < bytesMax {
                guard let record = try next(&state) else {
                    state.isAtEnd = true
                    break
                }
                bytes += record.body.readableBytes
                records.append(record)
            }
            return records
        }
    }

    private func next(_ state: inout State) throws(LogError) -> Record? {
        while true {
            if state.group == nil { state.position = Self.alignedUp(state.position) }
            let room = header.capacity - state.position % header.capacity
            if room < Int64(WALRecordHeader.size) {
                state.position += room
                continue
            }
            guard state.position < header.trimPosition + header.capacity,
                let record = try record(at: state.position, group: state.group, &state)
            else {
                try checkNothingFollows(&state)
                return nil
            }
            state.group = record.header.isLastOfGroup ? nil : record.header.groupPosition
            switch record.header.kind {
            case .padding: state.position += room
            case .batches:
                state.position += record.header.span
                return record
            }
        }
    }

    /// The record at `position`, if one of this epoch and group is there and whole.
    private func record(at position: Int64, group: Int64?, _ state: inout State) throws(LogError) -> Record? {
        let room = header.capacity - position % header.capacity
        let offset = WALHeader.ringStart + position % header.capacity
        guard let head = try bytes(at: offset, length: WALRecordHeader.size, &state), let record = WALRecordHeader(parsing: head),
            record.position == position, record.groupPosition == group ?? position, record.epoch == header.epoch,
            record.span <= room,
            let body = try bytes(at: offset + Int64(WALRecordHeader.size), length: record.bodyLength, &state),
            WALRecordHeader.checksumHolds(header: head, body: body)
        else { return nil }
        return Record(header: record, body: body)
    }

    /// A torn group is the last there is. A whole record of a later group says that the bad one had been synced.
    private func checkNothingFollows(_ state: inout State) throws(LogError) {
        let bad = state.position
        let tornGroup = state.group ?? bad
        var candidate = Self.alignedUp(bad + 1)
        let end = min(bad + Self.lookAhead, header.trimPosition + header.capacity)
        while candidate < end {
            let offset = WALHeader.ringStart + candidate % header.capacity
            // Only a group's first record is looked for: it lies on a boundary and names itself as its group.
            if let head = try bytes(at: offset, length: WALRecordHeader.size, &state), let found = WALRecordHeader(parsing: head),
                found.position == candidate, found.groupPosition == candidate, candidate > tornGroup, found.epoch == header.epoch,
                try record(at: candidate, group: nil, &state) != nil
            {
                throw LogError(
                    .corruptLog,
                    "the write-ahead log \(path) is damaged at file offset \(WALHeader.ringStart + bad % header.capacity): a synced record fails its checksum"
                )
            }
            candidate += WALRing.alignment
        }
    }

    /// Bytes of the file through the window; nil beyond its end.
    private func bytes(at offset: Int64, length: Int, _ state: inout State) throws(LogError) -> ByteBuffer? {
        if length == 0 { return ByteBuffer() }
        let held = state.windowStart..<state.windowStart + Int64(state.window.readableBytes)
        if offset >= held.lowerBound, offset + Int64(length) <= held.upperBound {
            return state.window.getSlice(at: state.window.readerIndex + Int(offset - held.lowerBound), length: length)
        }
        do throws(DiskError) {
            let size = min(try file.size(), WALHeader.ringStart + header.capacity)
            guard offset + Int64(length) <= size else { return nil }
            state.window = try file.readBytes(at: offset, length: Int(min(Int64(max(length, Self.windowBytes)), size - offset)))
            state.windowStart = offset
            return state.window.getSlice(at: state.window.readerIndex, length: length)
        } catch {
            throw LogError(.storageFailure, "the write-ahead log \(path) cannot be read at file offset \(offset)", cause: error)
        }
    }

    private static func alignedUp(_ position: Int64) -> Int64 {
        (position + WALRing.alignment - 1) / WALRing.alignment * WALRing.alignment
    }
}
