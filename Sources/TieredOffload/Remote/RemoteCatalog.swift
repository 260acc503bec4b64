//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import LogEngine
package import LogModel
internal import Synchronization

/// What the metadata store says of one partition's segments, held in memory: loaded once, kept true by the watch and by what this
/// broker commits itself. Any thread.
final class RemoteCatalog: Sendable {
    private struct State {
        var isLoaded = false
        /// All changes up to here are in ``entries``.
        var revision: Int64 = -1
        var entries: [String: VersionedSegment] = [:]
        /// Came while the catalog was being loaded.
        var early: [MetadataChange] = []
        var view = SegmentView([])
    }

    private let state = Mutex(State())

    var isLoaded: Bool { state.withLock { $0.isLoaded } }
    /// The finished copies.
    var view: SegmentView { state.withLock { $0.view } }
    /// All records, in all states.
    var all: [VersionedSegment] { state.withLock { Array($0.entries.values) } }

    /// Reads everything anew.
    func load(_ partition: PartitionID, from metadata: TierMetadata) async throws(LogError) {
        let listed = try await metadata.segments(of: partition)
        state.withLock { state in
            guard listed.revision > state.revision else { return }
            // What was committed here after the listing is newer than it.
            var entries = state.entries.filter { $0.value.revision > listed.revision }
            for segment in listed.segments where entries[segment.key] == nil { entries[segment.key] = segment }
            state.entries = entries
            state.isLoaded = true
            state.revision = listed.revision
            for change in state.early where change.revision > listed.revision {
                Self.apply(change, to: &state.entries)
                state.revision = change.revision
            }
            state.early = []
            state.view = SegmentView(state.entries.values.map(\.segment))
        }
    }

    /// From the watch.
    func apply(_ changes: [MetadataChange]) {
        state.withLock { state in
            guard state.isLoaded else {
                state.early += changes
                return
            }
            // The watch may bring again what a listing has brought: a record deleted since must not come back.
            for change in changes where change.revision > state.revision { Self.apply(change, to: &state.entries) }
            state.revision = max(state.revision, changes.last?.revision ?? 0)
            state.view = SegmentView(state.entries.values.map(\.segment))
        }
    }

    /// What this broker has committed; nil for a record that is gone.
    func note(_ key: String, _ segment: RemoteSegment?, revision: Int64) {
        state.withLock { state in
            state.entries[key] = segment.map { VersionedSegment(key: key, segment: $0, revision: revision) }
            state.view = SegmentView(state.entries.values.map(\.segment))
        }
    }

    private static func apply(_ change: MetadataChange, to entries: inout [String: VersionedSegment]) {
        if let known = entries[change.key], known.revision >= change.revision { return }
        switch change {
        case .put(let value):
            // A record that cannot be read is not offered to readers; the next listing reports it.
            guard let segment = try? TierMetadata.decode(value, as: RemoteSegment.self) else { return }
            entries[change.key] = VersionedSegment(key: change.key, segment: segment, revision: value.modRevision)
        case .delete:
            entries[change.key] = nil
        }
    }
}

/// The finished copies of one partition. After a change of leader two may hold the same offsets; by (epoch, offset) it is decided which of
/// them belongs to the log as it is.
package struct SegmentView: Sendable {
    /// A segment as far as it is a log's own.
    package struct Piece: Sendable {
        package var segment: RemoteSegment
        package var offsets: Range<Offset>

        /// Of the segment's bytes a share by the offsets, which is all of them for a whole segment.
        package var sizeInBytes: Int64 {
            let (all, own) = (segment.endOffset - segment.baseOffset, offsets.upperBound - offsets.lowerBound)
            guard own < all else { return segment.sizeInBytes }
            return Int64(Double(segment.sizeInBytes) * Double(own) / Double(all))
        }

        package func clamped(to bound: Offset) -> Piece {
            var piece = self
            piece.offsets = offsets.clamped(to: offsets.lowerBound..<max(bound, offsets.lowerBound))
            return piece
        }
    }

    /// By base offset, then by end.
    package let segments: [RemoteSegment]
    /// The highest end of the segments up to and including this one.
    private let ends: [Offset]
    /// The one that reaches furthest.
    private let furthest: Int?

    package init(_ all: [RemoteSegment]) {
        segments = all.filter { $0.state == .copyFinished }.sorted { ($0.baseOffset, $0.endOffset) < ($1.baseOffset, $1.endOffset) }
        var highest = Offset(.min)
        ends = segments.map { segment in
            highest = max(highest, segment.endOffset)
            return highest
        }
        furthest = segments.lastIndex { $0.endOffset == highest }
    }

    package var isEmpty: Bool { segments.isEmpty }
    /// Exclusive, whatever the lineage; nil if there is none.
    package var end: Offset? { ends.last }

    /// Where the part of the log that is in the tier ends, exclusive and at most `bound`, if that can be told by the one segment that reaches
    /// furthest: a look, no search.
    package func quickEnd(below bound: Offset, epochAt: (Offset) -> LeaderEpoch?) -> Offset? {
        guard let furthest else { return nil }
        let end = min(segments[furthest].endOffset, bound)
        guard end > segments[furthest].baseOffset, let epoch = segments[furthest].epoch(at: end - 1), epoch == epochAt(end - 1)
        else { return nil }
        return end
    }

    /// The highest end of what the tier has of this log; nil if it has nothing.
    package func end(in history: EpochHistory) -> Offset? {
        var highest: Offset?
        for index in segments.indices.reversed() {
            if let highest, ends[index] <= highest { break }
            let segment = segments[index]
            guard Self.belongs(segment, at: segment.baseOffset, to: history) else { continue }
            highest = max(highest ?? .zero, Self.end(of: segment, from: segment.baseOffset, in: history))
        }
        return highest
    }

    /// The copy of the record that was written at `offset` in `epoch`: by that alone the log of another broker is told from one that went
    /// another way.
    package func segment(holding offset: Offset, of epoch: LeaderEpoch) -> RemoteSegment? {
        segments(holding: offset, in: EpochHistory([EpochStart(epoch: epoch, startOffset: offset)])).first
    }

    /// Whether nothing of `segment` from `start` on is of this log: an unclean election made it go another way before. What the log's epochs
    /// do not tell is taken for its own.
    package static func isForeign(_ segment: RemoteSegment, from start: Offset, to history: EpochHistory) -> Bool {
        let first = max(segment.baseOffset, start)
        guard first < segment.endOffset else { return false }
        // Logs that have parted do not meet again.
        return !belongs(segment, at: first, to: history)
    }

    /// The segment to read `offset` from: one of the log's own lineage, of the latest leader, reaching furthest.
    package func segment(holding offset: Offset, in history: EpochHistory) -> RemoteSegment? {
        segments(holding: offset, in: history).first
    }

    /// All that may serve, the best first.
    package func segments(holding offset: Offset, in history: EpochHistory) -> [RemoteSegment] {
        var found: [RemoteSegment] = []
        var index = firstIndex(above: offset) - 1
        while index >= 0, ends[index] > offset {
            let segment = segments[index]
            if segment.holds(offset), Self.belongs(segment, at: offset, to: history) { found.append(segment) }
            index -= 1
        }
        return found.sorted { ($0.leaderEpoch, $0.endOffset) > ($1.leaderEpoch, $1.endOffset) }
    }

    /// What the tier has of the log from `start` on, in order and no offset twice; passes over gaps.
    package func pieces(from start: Offset, in history: EpochHistory) -> [Piece] {
        var pieces: [Piece] = []
        var next = start
        while true {
            if let segment = segment(holding: next, in: history) {
                let end = Self.end(of: segment, from: next, in: history)
                pieces.append(Piece(segment: segment, offsets: next..<end))
                next = end
            } else {
                let index = firstIndex(above: next)
                guard index < segments.count else { return pieces }
                next = segments[index].baseOffset
                // One of another lineage is passed over.
                if segment(holding: next, in: history) == nil { next = next + 1 }
            }
        }
    }

    /// Whether every offset of `range` can be read from the tier.
    package func covers(_ range: Range<Offset>, in history: EpochHistory) -> Bool {
        var next = range.lowerBound
        while next < range.upperBound {
            guard let segment = segment(holding: next, in: history) else { return false }
            next = Self.end(of: segment, from: next, in: history)
        }
        return true
    }

    /// How far `segment`, read from `offset` on, is what the log holds: its end, or where an unclean election made the log go another way.
    package static func end(of segment: RemoteSegment, from offset: Offset, in history: EpochHistory) -> Offset {
        let turns = (segment.epochs + history.entries(covering: offset..<segment.endOffset)).map(\.startOffset)
        return turns.filter { $0 > offset && $0 < segment.endOffset && !belongs(segment, at: $0, to: history) }.min()
            ?? segment.endOffset
    }

    private static func belongs(_ segment: RemoteSegment, at offset: Offset, to history: EpochHistory) -> Bool {
        guard let theirs = segment.epoch(at: offset), let ours = history.epoch(at: offset) else { return true }
        return theirs == ours
    }

    /// Index of the first segment whose base is above `offset`.
    private func firstIndex(above offset: Offset) -> Int {
        var low = 0
        var high = segments.count
        while low < high {
            let middle = (low + high) / 2
            if segments[middle].baseOffset > offset { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
