//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogModel
internal import NIOCore
internal import RuntimeEnvironment

extension DirectoryListing {
    /// Finishes what a compaction had decided when it was stopped: a `.log.swap` takes the place of every segment that it covers.
    ///
    /// - Returns: Sizes by base: of the new segments, and nil for those that they replaced.
    static func finishSwaps(
        _ names: [String], logs: [Offset], disk: any Disk, directory: String
    ) throws(SegmentError) -> [(Offset, Int64?)] {
        var changes: [(Offset, Int64?)] = []
        let suffix = SegmentFileKind.swapSuffix
        for name in names where name.hasSuffix(".log" + suffix) {
            guard let (_, base) = SegmentFileKind.parse(String(name.dropLast(suffix.count))) else { continue }
            let (size, end) = try measure("\(directory)/\(name)", base: base)
            for covered in logs where covered > base && covered < end {
                for kind in [SegmentFileKind.log, .offsetIndex, .timeIndex, .transactionIndex] {
                    try onDisk { () throws(DiskError) in try disk.remove("\(directory)/\(kind.name(covered))") }
                }
                changes.append((covered, nil))
            }
            changes.append((base, size))
        }
        for name in names {
            try onDisk { () throws(DiskError) in
                try disk.rename("\(directory)/\(name)", to: "\(directory)/\(name.dropLast(suffix.count))")
            }
        }
        return changes

        func measure(_ path: String, base: Offset) throws(SegmentError) -> (Int64, Offset) {
            let file = try onDisk { () throws(DiskError) in try disk.open(path, .readOnly) }
            defer { file.close() }
            let size = try onDisk { () throws(DiskError) in try file.size() }
            var cursor = BatchCursor(file, from: 0, to: size)
            var end = base
            while let (header, _) = try cursor.next() { end = header.endOffset }
            return (size, end)
        }
    }
}
