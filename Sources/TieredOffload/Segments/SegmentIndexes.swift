//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel
internal import NIOCore

/// A sealed segment's `.index`, as fetched from the tier.
struct RemoteOffsetIndex: Sendable {
    private var base: Offset
    /// Rising in both columns.
    private var entries: [(relative: Int32, position: Int32)] = []

    /// Reads Kafka's layout. Stops at the first entry that does not rise: the rest is a preallocated file's padding.
    init(_ bytes: ByteBuffer, base: Offset) {
        self.base = base
        var bytes = bytes
        entries.reserveCapacity(bytes.readableBytes / 8)
        while let (relative, position) = bytes.readMultipleIntegers(as: (Int32, Int32).self) {
            if let last = entries.last, relative <= last.relative || position <= last.position { break }
            guard relative >= 0, position >= 0 else { break }
            entries.append((relative, position))
        }
    }

    var costInBytes: Int { 64 + entries.count * 8 }

    /// Of a batch at or before the one that holds `offset`.
    func position(of offset: Offset) -> Int64 {
        let relative = offset - base
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if Int64(entries[middle].relative) <= relative { low = middle + 1 } else { high = middle }
        }
        return low == 0 ? 0 : Int64(entries[low - 1].position)
    }
}

/// A sealed segment's `.timeindex`, as fetched from the tier.
struct RemoteTimeIndex: Sendable {
    private var base: Offset
    private var entries: [(timestamp: Int64, relative: Int32)] = []

    init(_ bytes: ByteBuffer, base: Offset) {
        self.base = base
        var bytes = bytes
        while let (timestamp, relative) = bytes.readMultipleIntegers(as: (Int64, Int32).self) {
            if let last = entries.last, timestamp <= last.timestamp || relative < last.relative { break }
            guard relative >= 0 else { break }
            entries.append((timestamp, relative))
        }
    }

    /// All records before it are older than `timestamp`.
    func offset(before timestamp: Timestamp) -> Offset {
        guard let entry = entries.last(where: { $0.timestamp < timestamp.rawValue }) else { return base }
        return base + Int64(entry.relative)
    }
}

/// Kafka's `leader-epoch-checkpoint`: version 0, the number of lines, and on each an epoch and its start offset.
enum EpochCheckpoint {
    static func encode(_ entries: some Collection<EpochStart>) -> ByteBuffer {
        ByteBuffer(string: "0\n\(entries.count)\n" + entries.map { "\($0.epoch) \($0.startOffset)\n" }.joined())
    }

    /// nil if it is not such a file.
    static func decode(_ bytes: ByteBuffer) -> [EpochStart]? {
        let lines = String(buffer: bytes).split(separator: "\n")
        guard lines.count >= 2, lines[0] == "0", let count = Int(lines[1]), count == lines.count - 2 else { return nil }
        var entries: [EpochStart] = []
        for line in lines.dropFirst(2) {
            let columns = line.split(separator: " ")
            guard columns.count == 2, let epoch = Int32(columns[0]), let start = Int64(columns[1]) else { return nil }
            entries.append(EpochStart(epoch: LeaderEpoch(epoch), startOffset: Offset(start)))
        }
        return entries
    }
}

/// Joins the indexes of a segment to the body of its `.indexes` object.
struct IndexObject: Sendable {
    private(set) var parts: [ByteBuffer] = []
    private var length: Int64 = 0

    mutating func add(_ part: ByteBuffer) -> IndexLayout.Section {
        defer {
            parts.append(part)
            length += Int64(part.readableBytes)
        }
        return IndexLayout.Section(start: length, length: part.readableBytes, crc32c: CRC32C.checksum(of: part))
    }
}

/// The `.manifest` object: what the metadata store knows of the segment, so that the tier explains itself without it.
package struct SegmentManifest: Codable, Sendable {
    package static let currentVersion = 1

    package var version = currentVersion
    package var topic: String
    package var topicID: TopicID
    package var partition: Int32
    package var segment: RemoteSegment
}
