//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation
internal import LogModel
internal import NIOCore

/// A partition's log as large as one likes that takes next to no space: each segment is a sparse file of two batches, at its beginning
/// and at its end, with indexes that name both. A reader is not to go on from the first batch: a hole follows.
struct SparseLog {
    /// Of one batch.
    static let records = 10
    static let offsetsPerSegment = Int64(2 * records)

    let segments: Int
    let segmentBytes: Int64

    /// Puts the segments in the place of those of the topic's only partition, in a log directory that was closed in order. The last is
    /// small and whole, as an active segment is. All of it counts as synced, so that a start after a kill trusts it too.
    func write(topic: String, into logDirectory: String) throws {
        let manager = FileManager.default
        let directory = "\(logDirectory)/\(topic)-0"
        for name in try manager.contentsOfDirectory(atPath: directory)
        where [".log", ".index", ".timeindex", ".txnindex", ".snapshot"].contains(where: name.hasSuffix) {
            try manager.removeItem(atPath: "\(directory)/\(name)")
        }
        for number in 0...segments {
            try write(number, isActive: number == segments, into: directory)
        }
        let end = Int64(segments + 1) * Self.offsetsPerSegment
        for name in ["recovery-point-offset-checkpoint", "replication-offset-checkpoint"] {
            try "0\n1\n\(topic) 0 \(end)\n".write(toFile: "\(logDirectory)/\(name)", atomically: true, encoding: .utf8)
        }
    }

    /// Milliseconds since 1970 of a segment's first and second batch.
    static func timestamps(ofSegment number: Int) -> (Int64, Int64) {
        let first = 1_700_000_000_000 + Int64(number) * 2_000
        return (first, first + 1_000)
    }

    private func write(_ number: Int, isActive: Bool, into directory: String) throws {
        let base = Int64(number) * Self.offsetsPerSegment
        let times = Self.timestamps(ofSegment: number)
        let first = try Self.batch(at: base, timestamp: times.0)
        let second = try Self.batch(at: base + Int64(Self.records), timestamp: times.1)
        let size = isActive ? Int64(first.count + second.count) : segmentBytes
        let position = size - Int64(second.count)
        let path = "\(directory)/\(String(format: "%020lld", base))"
        guard FileManager.default.createFile(atPath: path + ".log", contents: first),
            let file = FileHandle(forWritingAtPath: path + ".log")
        else { throw SuiteRun.Failure("\(path).log: cannot be written") }
        defer { try? file.close() }
        try file.seek(toOffset: UInt64(position))
        try file.write(contentsOf: second)
        var index = ByteBuffer()
        index.writeInteger(Int32(Self.offsetsPerSegment - 1))
        index.writeInteger(Int32(position))
        try Data(index.readableBytesView).write(to: URL(fileURLWithPath: path + ".index"))
        var timeIndex = ByteBuffer()
        for (time, offset) in [(times.0, Self.records - 1), (times.1, 2 * Self.records - 1)] {
            timeIndex.writeInteger(time)
            timeIndex.writeInteger(Int32(offset))
        }
        try Data(timeIndex.readableBytesView).write(to: URL(fileURLWithPath: path + ".timeindex"))
        // No producer is known where the segment begins.
        let none = ByteBuffer(integer: Int32(0))
        var snapshot = ByteBuffer()
        snapshot.writeInteger(Int16(1))
        snapshot.writeInteger(CRC32C.extend(0, with: none, at: none.readerIndex, length: none.readableBytes))
        snapshot.writeImmutableBuffer(none)
        try Data(snapshot.readableBytesView).write(to: URL(fileURLWithPath: path + ".snapshot"))
    }

    private static func batch(at base: Int64, timestamp: Int64) throws -> Data {
        var generator = SeededGenerator(seed: UInt64(base))
        let template = BatchTemplate(
            number: 0, recordBytes: 100, compressibleTo: 0.5, batchBytesMax: 4_096, randomness: &generator)
        let identity = RecordIdentity(
            run: 0, producer: 0, partition: 0, template: 0, firstSequence: 0, intendedNanoseconds: 0, intervalNanoseconds: 0)
        let slices = template.batch(
            records: records, identity: identity, timestamp: Timestamp(timestamp), producerID: -1, producerEpoch: -1,
            baseSequence: -1)
        var data = Data(try slices.contiguous().readableBytesView)
        // Base offset and leader epoch lie outside the CRC.
        withUnsafeBytes(of: base.bigEndian) { data.replaceSubrange(0..<8, with: $0) }
        withUnsafeBytes(of: Int32(0).bigEndian) { data.replaceSubrange(12..<16, with: $0) }
        return data
    }
}
