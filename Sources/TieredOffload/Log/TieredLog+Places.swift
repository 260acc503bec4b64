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
            if let compression = segment.compression {
                copies += await compressedCopies(of: range, in: segment, compression, paths)
                continue
            }
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

    /// The frames that hold `range` of the segment, in each copy of the object; the checksum is that of the segment's bytes.
    private func compressedCopies(
        of range: Range<Int64>, in segment: RemoteSegment, _ compression: ChunkCompression, _ paths: [String]
    ) async -> [PhysicalCopy] {
        let key = TierKey.log(segment)
        let chunks = compression.chunks(of: range)
        let frames = compression.range(of: chunks)
        let size = segment.sizeInBytes
        @Sendable func copy(_ location: String, _ read: () throws -> ByteBuffer) -> PhysicalCopy {
            do {
                let plain = try compression.decompressed(try read(), chunks: chunks, size: size, object: key)
                let start = Int(range.lowerBound - chunks.lowerBound * Int64(compression.chunkBytes))
                var found = Self.copy(
                    location, range, plain.getSlice(at: plain.readerIndex + start, length: range.count) ?? ByteBuffer())
                found.byteRange = frames
                return found
            } catch {
                return PhysicalCopy(medium: .object, location: location, byteRange: frames, crc32c: nil, problem: "\(error)")
            }
        }
        if paths.isEmpty {
            let read: Result<ByteBuffer, ObjectStoreError>
            do throws(ObjectStoreError) {
                read = .success(try await parts.store.get(key, range: frames))
            } catch { read = .failure(error) }
            return [copy("\(parts.store.url) \(key)") { try read.get() }]
        }
        var copies: [PhysicalCopy] = []
        for path in paths {
            copies.append(await parts.worker.run { copy(path) { try Self.bytes(at: path, frames) } })
        }
        return copies
    }

    private static func bytes(at path: String, _ range: Range<Int64>) throws -> ByteBuffer {
        let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
        defer { try? file.close() }
        try file.seek(toOffset: UInt64(range.lowerBound))
        return ByteBuffer(bytes: try file.read(upToCount: range.count) ?? Data())
    }

    /// Reads one copy by its own path, past the store that hides which copy it reads. Blocks.
    private static func readBack(_ path: String, _ range: Range<Int64>) -> PhysicalCopy {
        do {
            return copy(path, range, try bytes(at: path, range))
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
