//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogModel
internal import NIOCore
internal import Synchronization

/// Memory in which the ends of many logs are kept as they were received, so that followers and consumers that keep up are answered
/// without asking the file.
///
/// Whoever reads what was just written reads bytes that are still in this process: a slice of them costs no system call, where
/// `sendfile` costs one per slice and parts the writes around it. What does not fit is read from the file, as before.
package final class TailCache: Sendable {
    /// Of one log.
    package let logBytesMax: Int
    package let bytesMax: Int
    private let taken = Atomic<Int>(0)

    package init(bytesMax: Int, logBytesMax: Int = 4 << 20) {
        self.bytesMax = bytesMax
        self.logBytesMax = min(logBytesMax, bytesMax)
    }

    /// Bytes of memory that kept batches hold on to.
    package var bytes: Int { taken.load(ordering: .relaxed) }

    /// Keeps a batch, whose bytes lie in two buffers; nil if there is no room.
    ///
    /// A slice holds all of its receive buffer, so that is what it is charged; a batch that is a small part of one is copied.
    func keep(_ prefix: ByteBuffer, _ rest: ByteBuffer) -> Entry? {
        let sizeInBytes = prefix.readableBytes + rest.readableBytes
        let held = prefix.storageCapacity + rest.storageCapacity
        let isSlice = held <= Self.slackMax * sizeInBytes
        let charge = isSlice ? held : sizeInBytes
        guard charge <= logBytesMax else { return nil }
        guard taken.wrappingAdd(charge, ordering: .relaxed).newValue <= bytesMax else {
            taken.wrappingSubtract(charge, ordering: .relaxed)
            return nil
        }
        guard !isSlice else { return Entry(prefix, rest, charge: charge, cache: self) }
        var copy = ByteBuffer(roomFor: sizeInBytes)
        copy.writeImmutableBuffer(prefix)
        copy.writeImmutableBuffer(rest)
        return Entry(copy, nil, charge: charge, cache: self)
    }

    /// How much more than itself a batch may hold on to before it is copied.
    private static let slackMax = 8

    /// One batch's bytes. Its room is given back when nobody holds it.
    final class Entry: Sendable {
        let first: ByteBuffer
        /// What follows `first`, where it is not the whole batch.
        let rest: ByteBuffer?
        let charge: Int
        private let cache: TailCache

        init(_ first: ByteBuffer, _ rest: ByteBuffer?, charge: Int, cache: TailCache) {
            self.first = first
            self.rest = rest
            self.charge = charge
            self.cache = cache
        }

        deinit { cache.taken.wrappingSubtract(charge, ordering: .relaxed) }
    }
}

extension LogSegment.State {
    /// Makes room for `entry` among what this log keeps, oldest first.
    mutating func limitTail(adding entry: TailCache.Entry, max: Int) {
        tailBytes += entry.charge
        while tailBytes > max, firstKept < recent.count {
            if let dropped = recent[firstKept].bytes {
                tailBytes -= dropped.charge
                recent[firstKept].bytes = nil
            }
            firstKept += 1
        }
    }

    /// Lets go of all kept bytes; places stay known.
    mutating func dropTail() {
        for index in recent.indices { recent[index].bytes = nil }
        firstKept = recent.count
        tailBytes = 0
    }

    /// What was remembered and is to be forgotten, batches and bytes.
    mutating func forgetRecent() {
        recent = []
        firstKept = 0
        tailBytes = 0
    }

    /// The batches that make up exactly `length` bytes from `position`, if all are kept.
    func tail(from position: Int64, length: Int) -> [LogSlice]? {
        guard tailBytes > 0 else { return nil }
        var index = recentIndex { $0.position >= position }
        guard index < recent.count, recent[index].position == position else { return nil }
        let end = position + Int64(length)
        var slices: [LogSlice] = []
        while index < recent.count, recent[index].position < end {
            guard let bytes = recent[index].bytes else { return nil }
            slices.append(.bytes(bytes.first))
            if let rest = bytes.rest { slices.append(.bytes(rest)) }
            index += 1
        }
        let covered = index < recent.count ? recent[index].position : size
        return covered == end ? slices : nil
    }
}
