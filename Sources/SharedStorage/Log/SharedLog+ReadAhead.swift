//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogEngine
internal import LogModel
internal import Synchronization

extension SharedLog {
    /// Sees to it that what a reader will ask for next is on its way. Does not wait.
    func startReadAhead() {
        let generation = state.withLock { state -> Int? in
            guard !state.readAhead.isRunning, state.readAhead.nextFetch != nil else { return nil }
            state.readAhead.isRunning = true
            return state.readAhead.generation
        }
        guard let generation else { return }
        Task { await self.runReadAhead(generation) }
    }

    /// Begins GETs, across objects, until enough is on its way. What fails is left to the reader, who asks again and is told.
    private func runReadAhead(_ generation: Int) async {
        while let (range, from) = nextFetchAhead(generation) {
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
            state.withLock { state in
                if state.readAhead.generation == generation { state.readAhead.asked(to: end, bytes: asked.bytes) }
            }
        }
        state.withLock { state in
            if state.readAhead.generation == generation { state.readAhead.isRunning = false }
        }
    }

    private func nextFetchAhead(_ generation: Int) -> (RangeRecord, from: Offset)? {
        state.withLock { state in
            guard case .leader = state.role, state.readAhead.generation == generation, let from = state.readAhead.nextFetch,
                from < state.cacheStart
            else { return nil }
            let index = state.rangeIndex(of: max(from, state.logStart))
            return index < state.ranges.count ? (state.ranges[index], max(from, state.logStart)) : nil
        }
    }
}
