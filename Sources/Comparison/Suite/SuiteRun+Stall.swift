//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation

/// A broker whose object store takes requests and does not answer them.
extension SuiteRun {
    /// The store stalls in the middle third of the load, which goes as fast as it is acknowledged. What was sent meanwhile must wait or be
    /// refused for a time; none of it may be lost, and the broker must not grow by what it cannot upload.
    func stalledStore(_ load: SuiteRow.Produce, _ turn: Turn) async throws -> Figures {
        let store = try await StallingStore()
        do {
            let properties = [
                "object.store.url": store.url,
                // Small, so that its end is reached within the stall.
                "wal.capacity.bytes": String(128 << 20), "wal.upload.threshold.bytes": String(32 << 20),
            ]
            let figures = try await withCluster(turn, environment: StallingStore.environment, properties: properties) { cluster in
                let seconds = plan.seconds ?? turn.row.seconds
                let before = Self.usage(of: cluster.pids)
                async let stalling: Void = stall(store, after: plan.warmupSeconds + seconds / 3, for: seconds / 3)
                let outcome = try await runBench(bench(load, turn, cluster, seconds: seconds)) { _ in }
                try await stalling
                var figures = try Self.figures(of: outcome, load)
                if let response = outcome.extra.responseSeconds { figures.add(Figure.longestWait, response.max, "s") }
                if let before, let after = Self.usage(of: cluster.pids) {
                    figures.add(Figure.growth, Double(after.residentBytesMax - before.residentBytes), "B")
                }
                return figures
            }
            await store.close()
            return figures
        } catch {
            await store.close()
            throw error
        }
    }

    private func stall(_ store: StallingStore, after delay: Double, for duration: Double) async throws {
        try await Task.sleep(for: .seconds(delay))
        store.stall()
        try await Task.sleep(for: .seconds(duration))
        store.resume()
    }
}
