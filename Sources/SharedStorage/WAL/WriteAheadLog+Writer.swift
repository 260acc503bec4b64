//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogEngine
internal import NIOCore
internal import RuntimeEnvironment

extension WriteAheadLog: WALWriter {
    package var place: String { path }
    package var copiesPerByte: Double { Double(disk.copies) }

    /// A group is written as soon as the one before it is synced: nothing waits for company.
    package func expedite() {}

    package func releaseSettled() async throws(LogError) {
        do throws(DiskError) {
            try await onWorker { _ throws(DiskError) in }
        } catch {
            throw LogError(.storageFailure, "the write-ahead log \(path) failed", cause: error)
        }
    }

    package func footprint() async throws(LogError) -> Footprint {
        let usage = usage
        let copies = Int64(disk.copies)
        let allocated: Int64
        do throws(DiskError) {
            allocated = try await allocatedBytes()
        } catch {
            throw LogError(.storageFailure, "the write-ahead log \(path) cannot be measured", cause: error)
        }
        let live = min(usage.liveBytes * copies, allocated)
        var footprint = Footprint()
        footprint.add(.wal, physicalBytes: live, recordBytes: usage.liveRecordBytes * copies)
        footprint.add(.reserved, physicalBytes: allocated - live)
        return footprint
    }

    package func physicalCopies(of bytes: Range<Int64>, inBodyAt position: Int64) async throws(LogError) -> [PhysicalCopy] {
        let start = fileOffset(ofBodyAt: position) + bytes.lowerBound
        let range = start..<start + Int64(bytes.count)
        let paths = disk.physicalPaths(path)
        guard paths.isEmpty else { return paths.map { PhysicalCopy.readBack(.wal, path: $0, range) } }
        let read: Result<ByteBuffer, DiskError>
        do throws(DiskError) {
            read = .success(
                try await onWorker { file throws(DiskError) in try file.readBytes(at: range.lowerBound, length: range.count) })
        } catch { read = .failure(error) }
        return [PhysicalCopy.of(.wal, path, range, read)]
    }
}
