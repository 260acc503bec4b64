//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Synchronization

/// Which copies of a replicated disk may be used, decided once for all its files.
///
/// A copy that fails alone is left out for good: it lacks what was written since. What is left out is noted on the copies that
/// go on, by `persist`, before the write that found the failure is answered; otherwise a restart would trust the stale copy.
final class CopyHealth: Sendable {
    private struct State {
        var failures: [Int: DiskError]
        /// The others, in order. Kept, because every call asks.
        var healthy: [Int]
    }

    private let state: Mutex<State>
    private let copies: Int
    private let persist: @Sendable (_ unhealthy: [Int], _ healthy: [Int]) throws(DiskError) -> Void
    private let report: @Sendable (Int, DiskError) -> Void

    init(
        copies: Int, unhealthy: [Int: DiskError],
        persist: @escaping @Sendable (_ unhealthy: [Int], _ healthy: [Int]) throws(DiskError) -> Void,
        report: @escaping @Sendable (Int, DiskError) -> Void
    ) {
        self.copies = copies
        state = Mutex(State(failures: unhealthy, healthy: (0..<copies).filter { unhealthy[$0] == nil }))
        self.persist = persist
        self.report = report
    }

    var unhealthy: [Int: DiskError] { state.withLock { $0.failures } }
    var healthy: [Int] { state.withLock { $0.healthy } }

    /// Judges one operation by its outcome at each copy that was asked, in order.
    ///
    /// - All succeeded: fine. All failed: the first's error, the operation's own and no copy's fault.
    /// - Some ran out of space: ``DiskError/Code/noSpace``; no copy is blamed.
    /// - Else those that failed are left out, if a majority of all copies remains; if not, the error is thrown.
    func settle(_ outcomes: [(copy: Int, failure: DiskError?)]) throws(DiskError) {
        let failed = outcomes.filter { $0.failure != nil }
        guard let first = failed.first?.failure else { return }
        if failed.count == outcomes.count { throw first }
        if let full = failed.first(where: { $0.failure!.code == .noSpace })?.failure { throw full }
        // Noted while the lock is held: no other thread may answer a write that this copy lacks before the note is durable.
        let verdict = state.withLock { state -> Result<[Int], DiskError> in
            let news = failed.filter { state.failures[$0.copy] == nil }
            guard !news.isEmpty else { return .success([]) }
            guard copies - state.failures.count - news.count > copies / 2 else { return .failure(first) }
            let healthy = state.healthy.filter { copy in !news.contains { $0.copy == copy } }
            do throws(DiskError) {
                try persist((0..<copies).filter { !healthy.contains($0) }, healthy)
            } catch { return .failure(error) }
            for (copy, failure) in news { state.failures[copy] = failure }
            state.healthy = healthy
            return .success(news.map(\.copy))
        }
        let news = try verdict.get()
        for (copy, failure) in failed where news.contains(copy) { report(copy, failure!) }
    }
}
