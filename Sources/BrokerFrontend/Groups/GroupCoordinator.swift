//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import KafkaProtocol
internal import LogEngine
internal import LogModel
internal import Logging
internal import NIOCore
internal import RuntimeEnvironment
internal import Synchronization

/// Coordinates the groups whose partition of `__consumer_offsets` this broker leads.
final class GroupCoordinator: Sendable {
    /// Where groups and their offsets are kept.
    static let topic = "__consumer_offsets"

    private struct State {
        var partitions: [Int32: OffsetsPartition] = [:]
        var expiry: Task<Void, Never>?
        var isShutDown = false
    }

    private let settings: OffsetsPartition.Settings
    private let expiryInterval: Duration
    private let clock: any Clock
    private let timers: DeadlineTimers
    private let worker: any Worker
    private let logger: Logger
    private let state = Mutex(State())

    init(configuration: FrontendConfiguration, clock: any Clock, timers: DeadlineTimers, worker: any Worker, logger: Logger) {
        settings = OffsetsPartition.Settings(
            limits: configuration.groupLimits, commitTimeout: configuration.offsetsCommitTimeout,
            offsetMetadataMaxBytes: configuration.offsetMetadataMaxBytes, offsetsRetention: configuration.offsetsRetention,
            loadBufferBytes: configuration.offsetsLoadBufferBytes)
        expiryInterval = configuration.offsetsRetentionCheckInterval
        self.clock = clock
        self.timers = timers
        self.worker = worker
        self.logger = logger
    }

    // MARK: Leadership

    func lead(_ number: Int32, log: any PartitionLog, epoch: LeaderEpoch) {
        let (old, new): (OffsetsPartition?, OffsetsPartition?) = state.withLock { state in
            guard !state.isShutDown else { return (nil, nil) }
            let old = state.partitions[number]
            // An assignment may be told again with no change of leader.
            if let old, old.epoch == epoch, old.log === log { return (nil, nil) }
            let new = OffsetsPartition(
                number: number, log: log, epoch: epoch, settings: settings, clock: clock, timers: timers, logger: logger)
            state.partitions[number] = new
            if state.expiry == nil { state.expiry = Task { [weak self] in await self?.expireRegularly() } }
            return (old, new)
        }
        old?.resign()
        if let new { Task { [worker] in await new.load(on: worker) } }
    }

    func resign(_ number: Int32) { state.withLock { $0.partitions.removeValue(forKey: number) }?.resign() }

    func shutdown() {
        let (partitions, expiry) = state.withLock { state in
            state.isShutDown = true
            defer { state.partitions = [:] }
            return (Array(state.partitions.values), state.expiry)
        }
        expiry?.cancel()
        for partition in partitions { partition.resign() }
    }

    private func expireRegularly() async {
        while !Task.isCancelled {
            do { try await clock.sleep(for: expiryInterval) } catch { return }
            for partition in led { partition.expire() }
        }
    }

    // MARK: Finding

    /// The partitions led, in no order.
    var led: [OffsetsPartition] { state.withLock { Array($0.partitions.values) } }

    /// Where a group is kept.
    ///
    /// - Parameter partitionCount: Of ``topic``; nil if there is none yet.
    func partition(of group: String, partitionCount: Int32?) -> Result<OffsetsPartition, GroupUnavailable> {
        guard let partitionCount, partitionCount > 0 else { return .failure(GroupUnavailable(error: .coordinatorNotAvailable)) }
        let number = Self.partition(of: group, partitionCount: partitionCount)
        guard let partition = state.withLock({ $0.partitions[number] }) else {
            return .failure(GroupUnavailable(error: .notCoordinator))
        }
        return .success(partition)
    }

    /// Java's `String.hashCode`, made positive as Kafka does, modulo the number of partitions.
    package static func partition(of group: String, partitionCount: Int32) -> Int32 {
        var hash: Int32 = 0
        for unit in group.utf16 { hash = hash &* 31 &+ Int32(unit) }
        return (hash == .min ? 0 : abs(hash)) % partitionCount
    }
}
