//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import LogEngine
public import LogModel
internal import LogSegments
internal import NIOCore
internal import RuntimeEnvironment

extension ReplicatedPartition {
    public func footprint() async throws(LogError) -> Footprint {
        try await onReader { [log] () throws(SegmentError) in try Self.footprint(of: log) }
    }

    static func footprint(of log: SegmentedLog) throws(SegmentError) -> Footprint {
        var footprint = Footprint()
        let copies = Int64(log.disk.copies)
        var recordBytes: [String: Int64] = [:]
        for segment in log.segments { recordBytes[segment.path(.log)] = segment.size * copies }
        let entries: [DiskEntry]
        do throws(DiskError) { entries = try log.disk.list(log.directory) } catch { throw SegmentError.disk(error) }
        for entry in entries where !entry.isDirectory {
            let path = "\(log.directory)/\(entry.name)"
            guard let allocated = try Self.allocatedBytes(log.disk, path) else { continue }
            let isGarbage = entry.name.hasSuffix(SegmentFileKind.deletedSuffix)
            let medium: Medium =
                isGarbage
                ? .garbage : entry.name.hasSuffix(".log") ? .hotLog : entry.name.hasSuffix("index") ? .index : .metadata
            var held = recordBytes[path] ?? 0
            if isGarbage, entry.name.hasSuffix(".log" + SegmentFileKind.deletedSuffix) { held = entry.size * copies }
            footprint.add(medium, physicalBytes: allocated, recordBytes: held, count: copies)
        }
        return footprint
    }

    /// Summed over copies; nil if the file vanished meanwhile.
    static func allocatedBytes(_ disk: any Disk, _ path: String) throws(SegmentError) -> Int64? {
        do throws(DiskError) {
            let file = try disk.open(path, .readOnly)
            defer { file.close() }
            return try file.allocatedBytes()
        } catch {
            if error.code == .notFound { return nil }
            throw .disk(error)
        }
    }

    public func physicalCopies(of offset: Offset) async throws(LogError) -> [PhysicalCopy] {
        let offsets = self.offsets
        guard offset >= offsets.localStart, offset < offsets.logEnd else {
            throw LogError(
                .offsetOutOfRange,
                "\(partition): offset \(offset) lies outside \(offsets.localStart)..<\(offsets.logEnd) on this broker")
        }
        return try await onReader { [log] () throws(SegmentError) in
            guard let (segment, position, header) = try log.place(of: offset) else { return [] }
            let range = position..<(position + Int64(header.sizeInBytes))
            return log.disk.physicalPaths(segment.path(.log)).map { Self.readBack($0, range) }
        }
    }

    private static func readBack(_ path: String, _ range: Range<Int64>) -> PhysicalCopy {
        var copy = PhysicalCopy(medium: .hotLog, location: path, byteRange: range, crc32c: nil)
        // The very file, past whatever the volume would choose for us.
        let isAbsolute = path.hasPrefix("/")
        let disk = PosixDisk(root: isAbsolute ? "/" : ".")
        do throws(DiskError) {
            let file = try disk.open(isAbsolute ? String(path.drop { $0 == "/" }) : path, .readOnly)
            defer { file.close() }
            copy.crc32c = CRC32C.checksum(of: try file.readBytes(at: range.lowerBound, length: range.count))
        } catch { copy.problem = error.description }
        return copy
    }
}
