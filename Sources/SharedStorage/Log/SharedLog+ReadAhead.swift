//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogEngine
internal import LogModel
internal import Synchronization

extension SharedLog {
    /// Sees to it that what a reader will ask for next is on its way. Does not wait.
    func startReadAhead(of reader: Int) {
        let starts = state.withLock { state in
            guard let ahead = state.readAheads[reader], !ahead.isRunning, ahead.nextFetch != nil else { return false }
            state.readAheads[reader]?.isRunning = true
            return true
        }
        if starts { Task { await self.runReadAhead(of: reader) } }
    }

    /// Begins GETs, across objects, until enough is on its way. What fails is left to the reader, who asks again and is told.
    private func runReadAhead(of reader: Int) async {
        while let (range, from) = nextFetchAhead(of: reader) {
            guard let entries = try? await shared.reader.index(of: range).entries(of: stream, from: from) else { break }
            let asked: (end: Offset, bytes: Int)?
            if entries.isEmpty {
                // Sparse offsets: the range ends in a gap.
                asked = (range.end, 0)
            } else {
                asked = shared.reader.fetchAhead(entries, of: range, bytesMax: shared.settings.readAheadBytes)
            }
            guard let asked else { break }
            let end = asked.end == entries.last?.end ? max(asked.end, range.end) : asked.end
            state.withLock { $0.readAheads[reader]?.asked(to: end, bytes: asked.bytes) }
        }
        state.withLock { $0.readAheads[reader]?.isRunning = false }
    }

    private func nextFetchAhead(of reader: Int) -> (RangeRecord, from: Offset)? {
        state.withLock { state in
            guard case .leader = state.role, let from = state.readAheads[reader]?.nextFetch, from < state.cacheStart else {
                return nil
            }
            let index = state.rangeIndex(of: max(from, state.logStart))
            return index < state.ranges.count ? (state.ranges[index], max(from, state.logStart)) : nil
        }
    }
}
