//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation
internal import LogEngine
internal import LogModel
internal import NIOCore
internal import ObjectStore

extension PhysicalCopy {
    /// What reading the copy back gave.
    static func of<Failure: Error>(_ medium: Medium, _ location: String, _ bytes: Range<Int64>, _ read: Result<ByteBuffer, Failure>)
        -> PhysicalCopy
    {
        switch read {
        case .success(let found) where found.readableBytes == bytes.count:
            PhysicalCopy(medium: medium, location: location, byteRange: bytes, crc32c: CRC32C.checksum(of: found))
        case .success(let found):
            PhysicalCopy(
                medium: medium, location: location, byteRange: bytes, crc32c: nil,
                problem: "\(found.readableBytes) of \(bytes.count) bytes are there")
        case .failure(let error):
            PhysicalCopy(medium: medium, location: location, byteRange: bytes, crc32c: nil, problem: "\(error)")
        }
    }

    /// Every copy of a stretch of an object: by their paths where the store is a directory, else as the store gives it.
    static func readBack(_ medium: Medium, object key: String, _ bytes: Range<Int64>, in store: any ObjectStore) async
        -> [PhysicalCopy]
    {
        let paths = store.physicalPaths(key)
        guard paths.isEmpty else { return paths.map { readBack(medium, path: $0, bytes) } }
        let read: Result<ByteBuffer, ObjectStoreError>
        do throws(ObjectStoreError) {
            read = .success(try await store.get(key, range: bytes))
        } catch { read = .failure(error) }
        return [of(medium, "\(store.url)/\(key)", bytes, read)]
    }

    /// Reads one copy by its own path, past the volume that hides which copy it reads. Blocks.
    static func readBack(_ medium: Medium, path: String, _ bytes: Range<Int64>) -> PhysicalCopy {
        of(
            medium, path, bytes,
            Result<ByteBuffer, any Error> {
                let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
                defer { try? file.close() }
                try file.seek(toOffset: UInt64(bytes.lowerBound))
                return ByteBuffer(bytes: try file.read(upToCount: bytes.count) ?? Data())
            })
    }
}
