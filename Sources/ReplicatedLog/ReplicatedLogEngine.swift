//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import LogEngine
public import LogModel
public import Logging
internal import LogSegments
public import Metering
public import RuntimeEnvironment
internal import Synchronization

/// Apache Kafka's replicated log: segment files on this broker's volumes, followers that fetch from the leader, an in-sync set that the
/// metadata keeps.
public final class ReplicatedLogEngine: LogEngine {
    /// For a follower whose leader's log begins in the tier: readies the partition's log (SealedSegmentSource/restart) to fetch from the
    /// leader's local start. False if the follower had changed meanwhile and nothing was done.
    public typealias TierBootstrap = @Sendable (_ log: ReplicatedPartition, _ start: TierStart) async throws -> Bool

    let context: EngineContext
    let volumes: [LogVolume]
    let fetchers: FetcherPool
    private let maintenance = Mutex<[Task<Void, Never>]>([])
    private let isShutDown = Mutex(false)

    /// - Parameters:
    ///   - volumes: A log directory on each; a new partition goes to the one that holds fewest.
    ///   - membership: Where leaders propose changes of their in-sync sets.
    ///   - fetcher: How followers reach leaders.
    ///   - brokerEpoch: This run of the broker, once it is registered.
    public init(
        brokerID: BrokerID, volumes: [Volume], environment: RuntimeEnvironment, meters: Meters,
        membership: any InSyncReplicaStore, fetcher: any ReplicaFetcher, brokerEpoch: @escaping @Sendable () -> BrokerEpoch,
        settings: ReplicatedLogSettings = ReplicatedLogSettings(), logger: Logger = Logger(label: "ninefold.isr")
    ) {
        precondition(!volumes.isEmpty, "a broker has at least one log directory")
        context = EngineContext(
            broker: brokerID, settings: settings, environment: environment, meters: meters, membership: membership,
            fetcher: fetcher,
            brokerEpoch: brokerEpoch, logger: logger)
        self.volumes = volumes.enumerated().map {
            LogVolume($1, number: $0, settings: settings, environment: environment)
        }
        fetchers = FetcherPool(context: context)
        context.onVolumeFailure.withLock { $0 = { [weak self] volume, error in self?.failed(volume, error) } }
    }

    public var name: String { context.settings.name }

    public func log(for partition: PartitionID) -> (any PartitionLog)? { context.registry.findApplied(partition) }

    /// Also those that were found on the volumes and that no assignment has named yet: nobody may want them any more.
    public var logs: [any PartitionLog] { context.registry.all }

    /// What a follower does whose leader answers that its offset has moved to the tier.
    public func setTierBootstrap(_ bootstrap: TierBootstrap?) { context.tierBootstrap.withLock { $0 = bootstrap } }

    /// Goes on without the log directories whose disks cannot be read, if there are others.
    public func start() async throws(LogError) {
        var failure = LogError(.storageFailure, "every log directory of this broker has failed")
        for volume in volumes where volume.failure == nil {
            do { try await volume.writer.run { () throws(SegmentError) in try self.open(volume) } } catch {
                failure = LogError(error, in: volume.specification)
                guard volumes.count > 1, let disk = EngineContext.diskFailure(error, isWriting: true) else { throw failure }
                if volume.fail(error) { failed(volume, disk) }
            }
        }
        guard volumes.contains(where: { $0.failure == nil }) else { throw failure }
        await resumeMoves()
        startMaintenance()
    }

    @discardableResult
    public func apply(
        _ assignment: PartitionAssignment, configuration: LogConfiguration
    ) async throws(LogError) -> (any PartitionLog)? {
        let id = assignment.partition
        guard assignment.replicas.contains(context.broker) else {
            guard let held = context.registry.find(id) else { return nil }
            // An older record that does not name us says nothing about now.
            if assignment.partitionEpoch < held.assignment.partitionEpoch { return context.registry.findApplied(id) }
            context.registry.noteDropped(id, by: assignment.partitionEpoch)
            try await drop(held)
            return nil
        }
        guard !context.registry.isOutdated(id, assignment.partitionEpoch) else { return nil }
        let partition: ReplicatedPartition
        if let held = context.registry.find(id) {
            partition = held
        } else {
            guard let volume = context.registry.choose(for: id, among: volumes.filter { $0.failure == nil }) else {
                throw LogError(.storageFailure, "\(id): every log directory of this broker has failed")
            }
            defer { context.registry.forgetChoice(for: id) }
            do {
                let made = try await volume.writer.run { () throws(SegmentError) -> ReplicatedPartition? in
                    // Deleted meanwhile.
                    if self.context.registry.isOutdated(id, assignment.partitionEpoch) { return nil }
                    return try self.create(id, on: volume, configuration)
                }
                guard let made else { return nil }
                partition = made
            } catch {
                context.failed(volume, error, isWriting: true)
                throw LogError(error, id)
            }
        }
        // Its directory has failed: it stays as it is until a restart.
        if partition.volume.failure != nil {
            context.registry.markApplied(id)
            return partition
        }
        let leader = try await partition.onWriter { () throws(SegmentError) in try partition.take(assignment, configuration) }
        context.registry.markApplied(id)
        fetchers.follow(partition, leader)
        return partition
    }

    public func delete(_ partition: PartitionID, ownsSharedData: Bool) async throws(LogError) {
        // An assignment that is late must not make it anew; one that is being carried out comes first.
        context.registry.noteDropped(partition, by: .max)
        for volume in volumes where volume.failure == nil { await volume.writer.run {} }
        guard let held = context.registry.find(partition) else { return }
        try await drop(held)
    }

    /// Takes a log that nobody is known to want out of use, and keeps its files under another name (`-stray`).
    ///
    /// - Returns: That directory; nil if this broker has no such log, or its directory has failed.
    public func setAside(_ partition: PartitionID) async throws(LogError) -> String? {
        guard let held = context.registry.find(partition), held.volume.failure == nil else { return nil }
        fetchers.follow(held, nil)
        if let future = context.registry.future(of: partition) { await callOff(future) }
        return try await held.onWriter { () throws(SegmentError) in
            guard self.context.registry.remove(partition) != nil else { return nil }
            held.letGo()
            let name = try held.volume.setAside(partition.description)
            try self.context.registry.storeLogStarts(held.volume)
            return name
        }
    }

    /// Takes the partition's files away from this broker.
    private func drop(_ partition: ReplicatedPartition) async throws(LogError) {
        fetchers.follow(partition, nil)
        if let future = context.registry.future(of: partition.partition) { await callOff(future) }
        let registry = context.registry
        if partition.volume.failure != nil {
            // What a failed disk still holds is removed by a later start, which finds that nobody wants it.
            registry.remove(partition.partition)
            return
        }
        try await partition.onWriter { () throws(SegmentError) in
            // Twice asked for, once done.
            guard registry.remove(partition.partition) != nil else { return }
            partition.letGo()
            let volume = partition.volume
            try volume.retire(partition.partition.description, delay: partition.log.settings.fileDeleteDelay)
            try registry.storeLogStarts(volume)
        }
    }

    public func footprint() async throws(LogError) -> Footprint {
        var footprint = Footprint()
        for partition in context.registry.all where partition.volume.failure == nil {
            footprint.add(try await partition.footprint())
        }
        for future in context.registry.allFutures where future.volume.failure == nil {
            do {
                footprint.add(
                    try await future.volume.reader.run { () throws(SegmentError) in
                        try ReplicatedPartition.footprint(of: future.log)
                    })
            } catch { throw LogError(error, future.partition.partition) }
        }
        for volume in volumes where volume.failure == nil {
            do { footprint.add(try await volume.reader.run { () throws(SegmentError) in try volume.ownFootprint() }) } catch {
                throw LogError(error, in: volume.specification)
            }
        }
        return footprint
    }

    /// Retention is applied, and what it and earlier deletions left is unlinked.
    public func settle() async throws(LogError) {
        for volume in volumes where volume.failure == nil {
            do {
                try await volume.writer.run { () throws(SegmentError) in self.applyRetention(on: volume) }
                try await volume.synchronizer.run { () throws(SegmentError) in
                    try self.context.registry.storeLogStarts(volume)
                }
                try await volume.sweeper.run { () throws(SegmentError) in try self.unlink(on: volume, at: nil) }
            } catch { throw LogError(error, in: volume.specification) }
        }
    }

    public func shutdown() async {
        guard
            !isShutDown.withLock({ isShutDown in
                defer { isShutDown = true }
                return isShutDown
            })
        else { return }
        let tasks = maintenance.withLock { tasks in
            defer { tasks = [] }
            return tasks
        }
        for task in tasks { task.cancel() }
        for task in tasks { await task.value }
        await stopMoves()
        await fetchers.stop()
        for volume in volumes where volume.failure == nil { await volume.writer.run { self.close(volume) } }
    }

    private func startMaintenance() {
        maintenance.withLock { tasks in tasks = [Task { await self.maintain() }] }
    }
}

extension LogError {
    init(_ error: SegmentError, in directory: String) {
        switch error {
        case .disk(let disk) where disk.code == .noSpace:
            self.init(.diskFull, "log directory '\(directory)': the volume is full", cause: disk)
        case .disk(let disk): self.init(.storageFailure, "log directory '\(directory)': \(disk)", cause: disk)
        case .corrupt(let message), .unsupported(let message): self.init(.corruptLog, message)
        case .closed: self.init(.storageFailure, "log directory '\(directory)': closed")
        }
    }
}
