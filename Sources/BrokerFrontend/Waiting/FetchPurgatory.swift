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
    private let waitCount = Atomic<UInt64>(0)

    func makeWait() -> FetchWait { FetchWait(number: waitCount.wrappingAdd(1, ordering: .relaxed).newValue) }

    /// The list of the partition, made if there is none yet.
    func list(for partition: PartitionID) -> WatchList {
        lists.withLock { lists in
            if let list = lists[partition] { return list }
            let list = WatchList()
            lists[partition] = list
            return list
        }
    }

    /// After this returns, the partition's next progress pokes `wait`, once. What happened before does not: look again after adding.
    ///
    /// - Returns: The list, to be removed from when waiting is over.
    func watch(_ partition: PartitionID, _ wait: FetchWait, place: Int) -> WatchList {
        while true {
            let list = list(for: partition)
            if list.add(wait, place: place) { return list }
        }
    }

    /// The broker holds nothing of the partition any more; whoever waits looks again, and finds out.
    func drop(_ partition: PartitionID) { lists.withLock { $0.removeValue(forKey: partition) }?.drop() }
}

/// The fetches that wait for one partition. Each is poked once, and then has to add itself again: what nobody fetches any more is told
/// nothing more.
final class WatchList: Sendable {
    private struct Watcher {
        var wait: FetchWait
        /// The partition's place in the fetch.
        var place: Int
    }

    private struct State {
        /// By number, for the order in which they are poked must not hang on where they lie in memory.
        var watchers: [UInt64: Watcher] = [:]
        var isDropped = false
    }

    private let count = Atomic<Int>(0)
    private let state = Mutex(State())

    /// - Returns: False if the list is out of use: another has taken its place.
    func add(_ wait: FetchWait, place: Int) -> Bool {
        state.withLock { state in
            guard !state.isDropped else { return false }
            state.watchers[wait.number] = Watcher(wait: wait, place: place)
            count.store(state.watchers.count, ordering: .sequentiallyConsistent)
            return true
        }
    }

    func remove(_ wait: FetchWait) {
        state.withLock { state in
            state.watchers[wait.number] = nil
            count.store(state.watchers.count, ordering: .sequentiallyConsistent)
        }
    }

    // A log changes its state under a lock before it pokes, and a waiter looks under that lock after adding itself: either the
    // waiter sees the change, or the poke sees the waiter.
    func poke() {
        guard count.load(ordering: .sequentiallyConsistent) > 0 else { return }
        poke(isDropped: false)
    }

    fileprivate func drop() { poke(isDropped: true) }

    private func poke(isDropped: Bool) {
        let watchers = state.withLock { state in
            state.isDropped = state.isDropped || isDropped
            defer {
                state.watchers.removeAll(keepingCapacity: true)
                count.store(0, ordering: .sequentiallyConsistent)
            }
            return Array(state.watchers.values)
        }
        for watcher in watchers { watcher.wait.poke(watcher.place) }
    }
}

/// What wakes one fetch, or one session's fetches, which come one after the other.
final class FetchWait: Sendable {
    private struct State {
        var poked: [Int] = []
        var round = 0
        var isOver = false
        var continuation: CheckedContinuation<Void, Never>?
    }

    /// Unique among those of a broker.
    let number: UInt64
    private let state = Mutex(State())

    init(number: UInt64) { self.number = number }

    func poke(_ place: Int) {
        let continuation = state.withLock { state in
            state.poked.append(place)
            return state.continuation.take()
        }
        continuation?.resume()
    }

    /// A fetch begins.
    ///
    /// - Returns: By which it can be ended.
    func begin() -> Int {
        state.withLock { state in
            state.round += 1
            state.isOver = false
            return state.round
        }
    }

    /// Waiting ends, now and for the rest of the fetch; nil for whichever fetch it is.
    func end(_ round: Int? = nil) {
        let continuation = state.withLock { state -> CheckedContinuation<Void, Never>? in
            guard round == nil || round == state.round else { return nil }
            state.isOver = true
            return state.continuation.take()
        }
        continuation?.resume()
    }

    /// The places of partitions that made progress since this was last asked.
    func takePoked() -> [Int] {
        state.withLock { state in
            guard !state.poked.isEmpty else { return [] }
            defer { state.poked = [] }
            return state.poked
        }
    }

    /// Waits until a partition made progress.
    ///
    /// - Returns: The places of those which did since the last call; nil once waiting is over.
    func next() async -> [Int]? {
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
