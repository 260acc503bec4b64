//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import LogEngine
public import LogModel
public import RuntimeEnvironment
internal import Synchronization

/// The engine `memory`. A partition lives where it was made: there are no followers, and a move leaves its records behind.
public final class InMemoryEngine: LogEngine {
    private struct State {
        var logs: [PartitionID: InMemoryPartitionLog] = [:]
        /// Of every assignment applied, also of partitions led elsewhere now.
        var partitionEpochs: [PartitionID: Int64] = [:]
    }

    public let name = "memory"
    private let brokerID: BrokerID
    private let environment: RuntimeEnvironment
    private let store: InMemoryStore
    private let state = Mutex(State())

    public init(brokerID: BrokerID, environment: RuntimeEnvironment, store: InMemoryStore = InMemoryStore()) {
        self.brokerID = brokerID
        self.environment = environment
        self.store = store
    }

    /// Nothing to recover: the store is as it was left.
    public func start() async throws(LogError) {}

    @discardableResult
    public func apply(
        _ assignment: PartitionAssignment, configuration: LogConfiguration
    ) async throws(LogError) -> (any PartitionLog)? {
        state.withLock { state in
            let log = state.logs[assignment.partition]
            guard assignment.partitionEpoch > state.partitionEpochs[assignment.partition] ?? .min else { return log }
            state.partitionEpochs[assignment.partition] = assignment.partitionEpoch
            guard assignment.leader == brokerID else {
                log?.resign(assignment)
                state.logs[assignment.partition] = nil
                return nil
            }
            if let log {
                log.lead(assignment, configuration)
                return log
            }
            let new = InMemoryPartitionLog(assignment, configuration, store: store, clock: environment.clock)
            state.logs[assignment.partition] = new
            return new
        }
    }

    public func log(for partition: PartitionID) -> (any PartitionLog)? { state.withLock { $0.logs[partition] } }

    public var logs: [any PartitionLog] { state.withLock { Array($0.logs.values) } }

    public func delete(_ partition: PartitionID, ownsSharedData: Bool) async throws(LogError) {
        let log = state.withLock { $0.logs.removeValue(forKey: partition) }
        if let log { log.resign(log.assignment) }
        store.remove(partition)
    }

    public func footprint() async throws(LogError) -> Footprint {
        var sum = Footprint()
        for log in logs { sum.add(try await log.footprint()) }
        return sum
    }

    public func shutdown() async {
        let logs = state.withLock { state in
            defer { state.logs = [:] }
            return state.logs.values.map { $0 }
        }
        for log in logs { log.resign(log.assignment) }
    }
}
