//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogModel
internal import Synchronization

/// Where fetches wait for records: one list of waiting fetches per partition, poked by the log's progress.
///
/// A partition nobody waits for costs its log one atomic load per progress.
final class FetchPurgatory: Sendable {
    private let lists = Mutex<[PartitionID: WatchList]>([:])

    /// The list of the partition, made if there is none yet.
    func list(for partition: PartitionID) -> WatchList {
        lists.withLock { lists in
            if let list = lists[partition] { return list }
            let list = WatchList()
            lists[partition] = list
            return list
        }
    }

    /// The broker holds nothing of the partition any more; whoever waits looks again, and finds out.
    func drop(_ partition: PartitionID) { lists.withLock { $0.removeValue(forKey: partition) }?.poke() }
}

/// The fetches that wait for one partition.
final class WatchList: Sendable {
    private struct Watcher {
        var wait: FetchWait
        /// The partition's place in the fetch.
        var place: Int
    }

    private let count = Atomic<Int>(0)
    private let watchers = Mutex<[ObjectIdentifier: Watcher]>([:])

    /// After this returns, progress of the partition pokes `wait`. What happened before does not: look again after adding.
    func add(_ wait: FetchWait, place: Int) {
        watchers.withLock { watchers in
            watchers[ObjectIdentifier(wait)] = Watcher(wait: wait, place: place)
            count.store(watchers.count, ordering: .sequentiallyConsistent)
        }
    }

    func remove(_ wait: FetchWait) {
        watchers.withLock { watchers in
            watchers[ObjectIdentifier(wait)] = nil
            count.store(watchers.count, ordering: .sequentiallyConsistent)
        }
    }

    // A log changes its state under a lock before it pokes, and a waiter looks under that lock after adding itself: either the
    // waiter sees the change, or the poke sees the waiter.
    func poke() {
        guard count.load(ordering: .sequentiallyConsistent) > 0 else { return }
        for watcher in watchers.withLock({ Array($0.values) }) { watcher.wait.poke(watcher.place) }
    }
}

/// One fetch that waits.
final class FetchWait: Sendable {
    private struct State {
        var poked: Set<Int> = []
        var isOver = false
        var continuation: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    func poke(_ place: Int) {
        let continuation = state.withLock { state in
            state.poked.insert(place)
            return state.continuation.take()
        }
        continuation?.resume()
    }

    /// Waiting ends, now and from now on.
    func end() {
        let continuation = state.withLock { state in
            state.isOver = true
            return state.continuation.take()
        }
        continuation?.resume()
    }

    /// Waits until a partition made progress.
    ///
    /// - Returns: The places of those which did since the last call; nil once waiting is over.
    func next() async -> Set<Int>? {
        await withCheckedContinuation { continuation in
            let isReady = state.withLock { state in
                if state.isOver || !state.poked.isEmpty { return true }
                state.continuation = continuation
                return false
            }
            if isReady { continuation.resume() }
        }
        return state.withLock { state in
            if state.isOver { return nil }
            defer { state.poked = [] }
            return state.poked
        }
    }
}
