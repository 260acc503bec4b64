//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogModel
internal import Synchronization

/// A fetcher per leader that any partition follows.
final class FetcherPool: Sendable {
    private struct State {
        var fetchers: [BrokerID: LeaderFetcher] = [:]
        var leaders: [PartitionID: BrokerID] = [:]
        var isStopped = false
    }

    private let context: EngineContext
    private let state = Mutex(State())

    init(context: EngineContext) { self.context = context }

    /// Has `partition` fetched from `leader`, and from nobody else; nil for nobody at all.
    func follow(_ partition: ReplicatedPartition, _ leader: BrokerID?) {
        let id = partition.partition
        let idle = state.withLock { state -> LeaderFetcher? in
            guard let former = state.leaders[id], former != leader else { return nil }
            state.leaders[id] = nil
            guard let fetcher = state.fetchers[former], fetcher.remove(id) else { return nil }
            state.fetchers[former] = nil
            return fetcher
        }
        if let idle { Task { await idle.stop() } }
        guard let leader else { return }
        let fetcher = state.withLock { state -> LeaderFetcher? in
            guard !state.isStopped else { return nil }
            state.leaders[id] = leader
            if let fetcher = state.fetchers[leader] { return fetcher }
            let fetcher = LeaderFetcher(leader: leader, context: context)
            state.fetchers[leader] = fetcher
            return fetcher
        }
        fetcher?.add(partition)
    }

    func stop() async {
        let fetchers = state.withLock { state in
            state.isStopped = true
            defer { state.fetchers = [:] }
            return Array(state.fetchers.values)
        }
        for fetcher in fetchers { await fetcher.stop() }
    }
}
