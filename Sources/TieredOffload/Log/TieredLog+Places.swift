//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation
public import LogEngine
public import LogModel
internal import NIOCore
internal import ObjectStore
internal import RuntimeEnvironment

extension TieredLog {
    /// The tail's copies on this broker, then the object's.
    public func physicalCopies(of offset: Offset) async throws(LogError) -> [PhysicalCopy] {
        let offsets = tail.offsets
        var copies = offset >= offsets.localStart ? try await tail.physicalCopies(of: offset) : []
        guard offset >= offsets.logStart else { return copies }
        for segment in catalog.view.segments(holding: offset, in: history) {
            let key = TierKey.log(segment)
            let range: Range<Int64>
            do throws(LogError) {
                range = try await parts.reader.read(segment, from: offset, below: segment.endOffset, maxBytes: 1, minOneBatch: true)
                    .range
            } catch {
                copies.append(
                    PhysicalCopy(
                        medium: .object, location: "\(parts.store.url) \(key)", byteRange: 0..<0, crc32c: nil, problem: "\(error)"))
                continue
            }
            let paths = parts.store.physicalPaths(key)
            if paths.isEmpty {
                do throws(ObjectStoreError) {
                    copies.append(Self.copy("\(parts.store.url) \(key)", range, try await parts.store.get(key, range: range)))
                } catch {
                    copies.append(
                        PhysicalCopy(
                            medium: .object, location: "\(parts.store.url) \(key)", byteRange: range, crc32c: nil,
                            problem: "\(error)"))
                }
            }
            for path in paths { copies.append(await parts.worker.run { Self.readBack(path, range) }) }
        }
        return copies
    }

    /// Reads one copy by its own path, past the store that hides which copy it reads. Blocks.
    private static func readBack(_ path: String, _ range: Range<Int64>) -> PhysicalCopy {
        do {
            let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
            defer { try? file.close() }
            try file.seek(toOffset: UInt64(range.lowerBound))
            return copy(path, range, ByteBuffer(bytes: try file.read(upToCount: range.count) ?? Data()))
        } catch {
            return PhysicalCopy(medium: .object, location: path, byteRange: range, crc32c: nil, problem: "\(error)")
        }
    }

    private static func copy(_ location: String, _ range: Range<Int64>, _ bytes: ByteBuffer) -> PhysicalCopy {
        guard bytes.readableBytes == range.count else {
            return PhysicalCopy(
                medium: .object, location: location, byteRange: range, crc32c: nil,
                problem: "\(bytes.readableBytes) of \(range.count) bytes are there")
        }
        return PhysicalCopy(medium: .object, location: location, byteRange: range, crc32c: CRC32C.checksum(of: bytes))
    }
}
