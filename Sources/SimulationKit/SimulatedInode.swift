//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import RuntimeEnvironment

/// A file's bytes in pages, with enough memory of what was not synced to lose it.
///
/// Guarded by the medium's lock; a class because several names and handles may share it.
final class SimulatedInode: @unchecked Sendable {
    static let pageSize = 4_096

    /// A change since the last sync, and what it replaced.
    struct Change {
        enum Kind {
            case write(offset: Int, bytes: [UInt8])
            case truncate(length: Int)
        }
        enum Fate {
            /// A sync would make it durable; a power cut may keep, tear or drop it.
            case pending
            /// A sync failed on it: the cache shows it, the medium will never have it.
            case doomed
            /// Synced after a doomed one, and kept here only because of that.
            case durable
        }
        var kind: Kind
        var fate = Fate.pending
        var oldSize: Int
        /// What lay at `oldOffset` before.
        var oldOffset: Int
        var oldBytes: [UInt8]
    }

    private(set) var size = 0
    private var pages: [Int: [UInt8]] = [:]
    /// Pages below it take room whether written or not (`fallocate`).
    private var reservedPages = 0
    private(set) var allocatedPages = 0
    private(set) var changes: [Change] = []
    var links = 0
    var handles = 0
    /// The opening that has it locked.
    var locker: ObjectIdentifier?

    static func pageCount(_ length: Int) -> Int { (length + pageSize - 1) / pageSize }

    // MARK: Reading and writing

    func read(_ count: Int, at offset: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        forEachPage(of: offset..<(offset + count)) { page, inPage, done in
            if let source = pages[page] { bytes.replaceSubrange(done..<(done + inPage.count), with: source[inPage]) }
        }
        return bytes
    }

    /// Pages that writing `range` would newly take.
    func newPages(for range: Range<Int>) -> Int {
        guard !range.isEmpty else { return 0 }
        return (range.lowerBound / Self.pageSize...(range.upperBound - 1) / Self.pageSize).reduce(0) { count, page in
            count + (page >= reservedPages && pages[page] == nil ? 1 : 0)
        }
    }

    func write(_ bytes: [UInt8], at offset: Int) {
        guard !bytes.isEmpty else { return }
        let old = read(max(0, min(size, offset + bytes.count) - min(size, offset)), at: offset)
        changes.append(
            Change(kind: .write(offset: offset, bytes: bytes), oldSize: size, oldOffset: offset, oldBytes: old))
        put(bytes[...], at: offset)
    }

    func truncate(to length: Int) {
        let old = length < size ? read(size - length, at: length) : []
        changes.append(Change(kind: .truncate(length: length), oldSize: size, oldOffset: length, oldBytes: old))
        setSize(length)
    }

    func reserve(_ length: Int) {
        reservedPages = max(reservedPages, Self.pageCount(length))
        recount()
    }

    func flipBits(_ mask: UInt8, at offset: Int) {
        guard offset < size else { return }
        pages[offset / Self.pageSize]?[offset % Self.pageSize] ^= mask
    }

    // MARK: Durability

    func synced() {
        if changes.contains(where: { $0.fate == .doomed }) {
            for index in changes.indices where changes[index].fate == .pending { changes[index].fate = .durable }
        } else {
            changes.removeAll(keepingCapacity: true)
        }
    }

    func syncFailed() {
        for index in changes.indices where changes[index].fate == .pending { changes[index].fate = .doomed }
    }

    /// Leaves what a power cut leaves: every change since the last sync kept, dropped, or torn at any byte or sector.
    func losePower(_ randomness: SeededRandomSource, _ losses: inout DiskLosses) {
        let lost = changes
        changes = []
        for change in lost.reversed() {
            setSize(change.oldSize)
            put(change.oldBytes[...], at: change.oldOffset)
            setSize(change.oldSize)
        }
        // One mood per file: many bugs need all of a file's writes lost, or all but one kept.
        let mood = randomness.next(below: 4)
        for change in lost where change.fate != .doomed {
            enum Outcome { case lost, kept, torn }
            let outcome: Outcome =
                switch (change.fate, mood) {
                case (.durable, _), (_, 1): .kept
                case (_, 0): .lost
                default: [.lost, .kept, .torn][Int(randomness.next(below: 3))]
                }
            guard outcome != .lost else {
                losses.lost += 1
                continue
            }
            switch change.kind {
            case .truncate(let length): setSize(length)
            case .write(let offset, let bytes):
                if outcome == .kept {
                    put(bytes[...], at: offset)
                } else {
                    losses.torn += 1
                    tear(bytes, at: offset, randomness)
                }
            }
        }
    }

    /// Power is gone between two sectors' writing, or (`arbitrary`) the medium acknowledged them out of order.
    private func tear(_ bytes: [UInt8], at offset: Int, _ randomness: SeededRandomSource) {
        if randomness.chance(0.5) {
            put(bytes[..<Int(randomness.next(below: UInt64(bytes.count + 1)))], at: offset)
            return
        }
        let sector = 512
        var start = 0
        while start < bytes.count {
            let end = min(bytes.count, start + sector - (offset + start) % sector)
            if randomness.chance(0.5) { put(bytes[start..<end], at: offset + start) }
            start = end
        }
    }

    // MARK: Pages

    private func put(_ bytes: ArraySlice<UInt8>, at offset: Int) {
        guard !bytes.isEmpty else { return }
        allocatedPages += newPages(for: offset..<(offset + bytes.count))
        forEachPage(of: offset..<(offset + bytes.count)) { page, inPage, done in
            let start = bytes.startIndex + done
            pages[page, default: [UInt8](repeating: 0, count: Self.pageSize)]
                .replaceSubrange(inPage, with: bytes[start..<(start + inPage.count)])
        }
        size = max(size, offset + bytes.count)
    }

    private func setSize(_ length: Int) {
        if length < size {
            let keep = Self.pageCount(length)
            pages = pages.filter { $0.key < keep }
            let tail = length % Self.pageSize
            if tail > 0, pages[keep - 1] != nil {
                for index in tail..<Self.pageSize { pages[keep - 1]![index] = 0 }
            }
            reservedPages = min(reservedPages, keep)
            recount()
        }
        size = length
    }

    private func recount() {
        allocatedPages = reservedPages + pages.keys.reduce(0) { $0 + ($1 >= reservedPages ? 1 : 0) }
    }

    /// Calls `body` with each page's number, the part of `range` in it, and how many bytes came before.
    private func forEachPage(of range: Range<Int>, _ body: (Int, Range<Int>, Int) -> Void) {
        var position = range.lowerBound
        while position < range.upperBound {
            let inPage = position % Self.pageSize
            let length = min(Self.pageSize - inPage, range.upperBound - position)
            body(position / Self.pageSize, inPage..<(inPage + length), position - range.lowerBound)
            position += length
        }
    }
}
