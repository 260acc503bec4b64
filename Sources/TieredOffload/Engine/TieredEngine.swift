//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import ClusterMetadata
public import LogEngine
public import LogModel
internal import LogSegments
public import Logging
public import Metering
public import ObjectStore
public import RuntimeEnvironment
internal import Synchronization

/// The engine `tiered`: KIP-405 over any engine whose logs give away their sealed segments.
public final class TieredEngine: LogEngine {
    struct State {
        var logs: [PartitionID: TieredLog] = [:]
        var gates: [PartitionID: Gate] = [:]
        var background: [Task<Void, Never>] = []
        /// Of deleted partitions whose objects are to be looked for once more.
        var latecomers: [PartitionID: Task<Void, Never>] = [:]
        var isStopped = false
    }

    /// Asks a partition's leader how far its tier reaches (ListOffsets -5); nil if there is nothing.
    public typealias LeaderTierEnd = @Sendable (PartitionID, BrokerID, LeaderEpoch) async throws -> LeaderLineage?

    public let name = "tiered"
    let tail: any LogEngine
    let parts: TierParts
    let state = Mutex(State())

    /// - Parameters:
    ///   - tail: This engine's own; its logs conform to `SealedSegmentSource`.
    ///   - store: Shared by all brokers of the cluster.
    ///   - metadata: The cluster's; the tier's records lie below `/tiered/`.
    ///   - leaderTierEnd: Given, a replica that holds nothing yet begins where its leader's tier ends (KIP-1023,
    ///     `follower.fetch.last.tiered.offset.enable`); else where its leader's volume begins.
    public init(
        brokerID: BrokerID, tail: any LogEngine, store: any ObjectStore, metadata: any MetadataStore,
        environment: RuntimeEnvironment,
        settings: TieredSettings = TieredSettings(), leaderTierEnd: LeaderTierEnd? = nil, meters: Meters = Meters(),
        logger: Logger = Logger(label: "ninefold.tiered")
    ) {
        self.tail = tail
        parts = TierParts(
            broker: brokerID, store: store, metadata: metadata, environment: environment, settings: settings,
            leaderTierEnd: leaderTierEnd, meters: meters, logger: logger)
    }

    public func start() async throws(LogError) {
        try await tail.start()
        // Both end with shutdown, which the owner calls.
        let tasks = [Task { await self.followMetadata() }, Task { await self.kickAtIntervals() }]
        state.withLock { $0.background += tasks }
    }

    @discardableResult
    public func apply(
        _ assignment: PartitionAssignment, configuration: LogConfiguration
    ) async throws(LogError) -> (any PartitionLog)? {
        let partition = assignment.partition
        let gate = state.withLock { state in
            let gate = state.gates[partition] ?? Gate()
            state.gates[partition] = gate
            return gate
        }
        await gate.enter()
        defer { gate.leave() }
        let held = state.withLock { $0.logs[partition] }
        if held == nil { await beginAtTierEnd(assignment, configuration) }
        guard let tailLog = try await tail.apply(assignment, configuration: configuration) else {
            state.withLock { $0.logs[partition] = nil }
            // Not waited for: an upload that hangs must not hold up what the metadata say next. It can no longer commit.
            held?.stop()
            return nil
        }
        let log: TieredLog
        if let held, held.tail === tailLog {
            held.update(configuration)
            log = held
        } else {
            guard let source = tailLog as? any SealedSegmentSource else {
                throw LogError(
                    .unsupported,
                    "\(partition): the engine \(tail.name) does not give away sealed segments; tiered needs one that does")
            }
            held?.stop()
            log = TieredLog(tail: tailLog, source: source, parts: parts, configuration: configuration)
            state.withLock { $0.logs[partition] = log }
        }
        await prepare(log)
        return log
    }

    /// A metadata store that does not answer now does not keep a partition from opening: appends need none of this.
    private func prepare(_ log: TieredLog) async {
        do throws(LogError) {
            if !log.catalog.isLoaded { try await log.catalog.load(log.partition, from: parts.metadata) }
            if log.isLeader { try await log.alignLogStart() }
        } catch {
            parts.logger.warning(
                "Tier is not known yet, tried again later", metadata: ["partition": "\(log.partition)", "error": "\(error)"])
        }
        log.kick()
    }

    public func log(for partition: PartitionID) -> (any PartitionLog)? { state.withLock { $0.logs[partition] } }
    /// With those that the tail found on its volume and nobody has applied yet: whoever asks must learn of them, or what was deleted or
    /// moved away while the broker was down would stay for ever.
    public var logs: [any PartitionLog] {
        let held = heldLogs
        let applied = Set(held.map(\.partition))
        return held + tail.logs.filter { !applied.contains($0.assignment.partition) }
    }
    var heldLogs: [TieredLog] { state.withLock { Array($0.logs.values) } }

    public func brokerDied(_ broker: BrokerID, epoch: BrokerEpoch, assigned: Bool) async throws(LogError) {
        try await tail.brokerDied(broker, epoch: epoch, assigned: assigned)
    }

    /// On this broker's volume. What lies in the object store belongs to no single broker: ask one of them for ``objectFootprint()`` and add it
    /// once.
    public func footprint() async throws(LogError) -> Footprint { try await tail.footprint() }

    public func shutdown() async {
        let (tasks, logs) = state.withLock { state in
            state.isStopped = true
            defer {
                state.background = []
                state.latecomers = [:]
                state.logs = [:]
            }
            return (state.background + state.latecomers.values, Array(state.logs.values))
        }
        for task in tasks { task.cancel() }
        for log in logs { await log.close() }
        for task in tasks { await task.value }
        await tail.shutdown()
    }
}
