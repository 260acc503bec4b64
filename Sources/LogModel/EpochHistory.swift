//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// The start of a leader epoch in a log: one line of `leader-epoch-checkpoint`.
public struct EpochStart: Hashable, Sendable, Codable {
    public var epoch: LeaderEpoch
    /// Offset of the epoch's first record.
    public var startOffset: Offset

    public init(epoch: LeaderEpoch, startOffset: Offset) {
        self.epoch = epoch
        self.startOffset = startOffset
    }
}

/// Which leader epoch wrote which offsets of one log (KIP-101): both columns rise strictly from entry to entry, so that
/// the log's owner can tell where two replicas part.
public struct EpochHistory: Hashable, Sendable {
    public private(set) var entries: [EpochStart]

    public init() { entries = [] }

    /// Takes over `entries`, dropping by ``append(epoch:startOffset:)``'s rule those which a later one contradicts.
    public init(_ entries: some Sequence<EpochStart>) {
        self.entries = []
        for entry in entries { append(epoch: entry.epoch, startOffset: entry.startOffset) }
    }

    public var isEmpty: Bool { entries.isEmpty }
    public var latest: EpochStart? { entries.last }

    /// Notes that records from `startOffset` on carry `epoch`; call it for each batch, only a new epoch changes anything.
    ///
    /// Entries that contradict the new one (an epoch or a start at or above it) go: the log was truncated and written anew.
    /// - Returns: True if the history changed and must be stored before the records are acknowledged.
    @discardableResult
    public mutating func append(epoch: LeaderEpoch, startOffset: Offset) -> Bool {
        if let last = entries.last, last.epoch == epoch, last.startOffset <= startOffset { return false }
        while let last = entries.last, last.epoch >= epoch || last.startOffset >= startOffset { entries.removeLast() }
        entries.append(EpochStart(epoch: epoch, startOffset: startOffset))
        return true
    }

    /// The largest epoch at or below `epoch`, and its exclusive end in a log that ends at `logEnd` (KIP-279).
    ///
    /// - Returns: nil if `epoch` is newer than every known one, or none is known. For an epoch older than all known: `epoch` itself,
    ///   ending where the oldest known one starts.
    public func endOffset(for epoch: LeaderEpoch, logEnd: Offset) -> (epoch: LeaderEpoch, endOffset: Offset)? {
        guard epoch > .none, let last = entries.last, epoch <= last.epoch else { return nil }
        if epoch == last.epoch { return (epoch, logEnd) }
        let above = entries.partitioningIndex { $0.epoch > epoch }
        return (above == 0 ? epoch : entries[above - 1].epoch, entries[above].startOffset)
    }

    /// The epoch of the record at `offset`; at or past the log's end the latest. nil before the first known start.
    public func epoch(at offset: Offset) -> LeaderEpoch? {
        let above = entries.partitioningIndex { $0.startOffset > offset }
        return above == 0 ? nil : entries[above - 1].epoch
    }

    /// The entries that `range` touches, in order; the first may begin before it.
    public func entries(covering range: Range<Offset>) -> [EpochStart] {
        let first = max(0, entries.partitioningIndex { $0.startOffset > range.lowerBound } - 1)
        let end = entries.partitioningIndex { $0.startOffset >= range.upperBound }
        return first < end ? Array(entries[first..<end]) : []
    }

    /// The log now ends at `endOffset`: forgets epochs that begin there or later.
    ///
    /// - Returns: True if the history changed.
    @discardableResult
    public mutating func truncateFromEnd(_ endOffset: Offset) -> Bool {
        let keep = entries.partitioningIndex { $0.startOffset >= endOffset }
        guard keep < entries.count else { return false }
        entries.removeSubrange(keep...)
        return true
    }

    /// The log now starts at `startOffset`: forgets epochs that end at or before it; the one that holds it begins there now.
    ///
    /// - Returns: True if the history changed.
    @discardableResult
    public mutating func truncateFromStart(_ startOffset: Offset) -> Bool {
        let above = entries.partitioningIndex { $0.startOffset > startOffset }
        guard above > 0, above > 1 || entries[0].startOffset < startOffset else { return false }
        entries.removeSubrange(..<(above - 1))
        entries[0].startOffset = startOffset
        return true
    }
}

extension [EpochStart] {
    /// Index of the first entry for which `belongsAbove` holds; it must hold for all that follow. Binary search.
    fileprivate func partitioningIndex(where belongsAbove: (EpochStart) -> Bool) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if belongsAbove(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
