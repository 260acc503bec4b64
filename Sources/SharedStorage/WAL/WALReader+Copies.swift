//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogEngine
package import RuntimeEnvironment

extension WALReader {
    /// The copy of the volume whose ring is whole furthest, where the volume keeps several: whatever was acknowledged lies in all that were
    /// healthy, and one that was cut, changed or lost since does not say so by itself. The volume itself if it keeps one, or if no copy can
    /// be read: its failure is the one to tell. Blocks.
    package static func wholestCopy(of disk: any Disk, path: String) -> any Disk {
        let copies = disk.copiesAlone
        guard copies.count > 1 else { return disk }
        var best: (disk: any Disk, end: Int64)?
        for copy in copies {
            guard let end = try? end(of: copy, path: path) else { continue }
            if best.map({ end > $0.end }) ?? true { best = (copy, end) }
        }
        return best?.disk ?? disk
    }

    /// Behind the last whole record.
    private static func end(of disk: any Disk, path: String) throws(LogError) -> Int64? {
        guard let header = try WriteAheadLog.readHeader(disk: disk, path: path) else { return nil }
        let reader = try WALReader(disk: disk, path: path, header: header)
        defer { reader.close() }
        while try !reader.nextRecords(bytesMax: surveyBytes).isEmpty {}
        return reader.position
    }

    /// Of bodies held at a time while looking.
    private static var surveyBytes: Int { 8 << 20 }
}
