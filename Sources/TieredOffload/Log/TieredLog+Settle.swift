//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogEngine
internal import LogModel
internal import LogSegments
internal import RuntimeEnvironment
internal import Synchronization

extension TieredLog {
    /// Rounds until all that is sealed here is in the tier, or until nothing has come for `patience`.
    func settle(patience: Duration) async throws(LogError) {
        let clock = parts.environment.clock
        try await catalog.load(partition, from: parts.metadata)
        try await round()
        var deadline = clock.now() + patience
        var end = catalog.view.end
        // A follower waits for its leader's uploads, a leader for the high watermark.
        while await hasUncoveredSegments(), clock.now() < deadline {
            do {
                try await clock.sleep(for: .milliseconds(20))
            } catch { return }
            if isLeader { try await round() }
            guard catalog.view.end != end else { continue }
            end = catalog.view.end
            deadline = clock.now() + patience
        }
        try await round()
    }

    private func hasUncoveredSegments() async -> Bool {
        guard !state.withLock({ $0.isClosed }) else { return false }
        let offsets = tail.offsets
        let (view, history) = (catalog.view, history)
        return await sealedSegments(below: offsets.logEnd).contains { segment in
            let start = max(segment.baseOffset, offsets.logStart)
            return start < segment.endOffset && !view.covers(start..<segment.endOffset, in: history)
        }
    }
}
