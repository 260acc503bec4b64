//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation
internal import LogEngine
internal import LogModel
internal import NIOCore

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
