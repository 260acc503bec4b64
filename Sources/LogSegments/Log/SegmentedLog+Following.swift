//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogModel
internal import NIOCore
internal import RuntimeEnvironment
internal import Synchronization

/// A log that is copied from another one of the same broker.
extension SegmentedLog {
    /// Makes this log a beginning of `source`, by cutting it or beginning anew, and its start the source's. On the log's worker only; the
    /// source may be written to meanwhile, so that it takes several times until nothing more is to be done.
    ///
    /// - Returns: Whether nothing was to be done.
    package func align(with source: SegmentedLog) throws(SegmentError) -> Bool {
        let (epochs, end, start, base) = source.state.withLock { ($0.epochs, $0.logEnd, $0.logStart, $0.segments[0].baseOffset) }
        guard logEnd >= base, logEnd <= end || logEnd > self.segments[0].baseOffset else {
            try beginAnew(like: source, at: base, start, epochs)
            return false
        }
        var common = min(logEnd, end)
        if let latest = self.epochs.latest {
            guard let shared = epochs.endOffset(for: latest.epoch, logEnd: end) else {
                try beginAnew(like: source, at: base, start, epochs)
                return false
            }
            common = min(common, shared.endOffset)
        }
        if common < logEnd {
            guard common >= base else {
                try beginAnew(like: source, at: base, start, epochs)
                return false
            }
            try truncate(to: common)
            return false
        }
        if start > logStart { try raiseLogStart(to: start) }
        return true
    }

    private func beginAnew(
        like source: SegmentedLog, at base: Offset, _ logStart: Offset, _ epochs: EpochHistory
    ) throws(SegmentError) {
        // Producers that wrote nothing since; without, they are known from the batches that are copied.
        let snapshot = try? source.disk.readFile("\(source.directory)/\(SegmentFileKind.producerSnapshot.name(base))")
        try restart(
            at: base, logStart: min(logStart, base), epochs: EpochHistory(epochs.entries.filter { $0.startOffset < base }),
            producerSnapshot: snapshot.flatMap { ProducerSnapshot.decode($0) == nil ? nil : $0 })
    }

    /// Further appends fail, and the files are let go: who reads from one now keeps it until then.
    package func letGo() {
        abandon()
        for segment in segments { segment.letGo() }
    }

    /// Takes over what the batches do not tell: epochs in which nothing was written, producers of records that are gone. Both logs end at the
    /// same offset, and neither is written to meanwhile.
    package func adopt(from source: SegmentedLog) {
        let (epochs, producers, end) = source.state.withLock { ($0.epochs, $0.producers, $0.logEnd) }
        state.withLock { state in
            precondition(state.logEnd == end, "a copy takes over from a log that ends where it does")
            state.epochs = epochs
            state.epochsAreDirty = true
            state.adopt(producers)
        }
    }
}
