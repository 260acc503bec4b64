//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import LogEngine
public import LogModel
internal import LogSegments
internal import Logging
internal import RuntimeEnvironment

/// A replica that is being moved to another log directory, as DescribeLogDirs tells of it.
public struct ReplicaMove: Sendable, Hashable {
    public var partition: PartitionID
    /// Of the directory it goes to.
    public var volumeNumber: Int
    /// What has been copied.
    public var sizeInBytes: Int64
    /// Records that are not copied yet.
    public var offsetLag: Int64
}

/// Moves between log directories (KIP-113).
extension ReplicatedLogEngine {
    public var moves: [ReplicaMove] {
        context.registry.allFutures.map {
            ReplicaMove(
                partition: $0.partition.partition, volumeNumber: $0.volume.number, sizeInBytes: $0.log.sizeInBytes,
                offsetLag: $0.lag)
        }
    }

    /// Has a partition that is not here yet made in that directory, once it is assigned.
    public func prefer(_ number: Int, for partition: PartitionID) { context.registry.prefer(number, for: partition) }

    /// Begins to move the partition's replica to another log directory; to where it lies already calls off a move under way.
    ///
    /// - Throws: ``LogError/Code/notLeader`` if there is no replica here, ``LogError/Code/storageFailure`` if one of the directories failed.
    public func move(_ id: PartitionID, toVolume number: Int) async throws(LogError) {
        guard let partition = context.registry.findApplied(id) else {
            throw LogError(.notLeader, "\(id): there is no replica on this broker")
        }
        let target = volumes[number]
        guard target.failure == nil, partition.volume.failure == nil else {
            throw LogError(.storageFailure, "\(id): a failed log directory is out of use until the broker is restarted")
        }
        if let former = context.registry.future(of: id) {
            guard former.volume !== target else { return }
            await callOff(former)
        }
        guard partition.volume !== target else { return }
        let token = (context.environment.randomness.next(), context.environment.randomness.next())
        let future: FutureReplica
        do throws(SegmentError) {
            future = try await target.writer.run { () throws(SegmentError) in
                let name = try target.directory.createFuture(id, token: token)
                return try self.openFuture(partition, on: target, name)
            }
        } catch {
            context.failed(target, error, isWriting: true)
            throw LogError(error, id)
        }
        guard context.registry.add(future) else { return await discard(future) }
        context.logger.notice(
            "replica is being moved to another log directory",
            metadata: ["partition": "\(id)", "from": "\(partition.volume.specification)", "to": "\(target.specification)"])
        begin(future)
    }

    /// On the volume's writer.
    private func openFuture(
        _ partition: ReplicatedPartition, on volume: LogVolume, _ directoryName: String
    ) throws(SegmentError) -> FutureReplica {
        var opening = LogOpening(startMayBeRemote: context.settings.startMayBeRemote)
        opening.identityNeedsSync = true
        let (log, _) = try SegmentedLog.open(
            disk: volume.disk, directory: volume.directory.path(directoryName), settings: partition.log.settings, opening: opening)
        return FutureReplica(partition: partition, volume: volume, directoryName: directoryName, log: log)
    }

    private func begin(_ future: FutureReplica) {
        future.start { [weak self] outcome in await self?.ended(future, outcome) }
    }

    private func ended(_ future: FutureReplica, _ outcome: FutureReplica.Outcome) async {
        guard context.registry.remove(future) else { return }
        let partition = future.partition
        switch outcome {
        case .isBehind, .isClose: break
        case .moved:
            context.logger.notice(
                "replica moved to another log directory",
                metadata: ["partition": "\(partition.partition)", "to": "\(future.volume.specification)"])
            do {
                try await future.volume.synchronizer.run { () throws(SegmentError) in
                    try self.context.registry.storeRecoveryPoints(future.volume)
                }
            } catch { context.failed(future.volume, error, isWriting: true) }
            partition.tellProgress()
        case .failed(let error, let volume):
            context.logger.error(
                "move to another log directory failed",
                metadata: ["partition": "\(partition.partition)", "to": "\(future.volume.specification)", "error": "\(error)"])
            await discard(future)
            context.failed(volume, error, isWriting: volume === future.volume)
        }
    }

    /// Ends a move and removes what it has copied.
    func callOff(_ future: FutureReplica) async {
        await future.cancel()
        if context.registry.remove(future) { await discard(future) }
    }

    private func discard(_ future: FutureReplica) async {
        future.log.letGo()
        guard future.volume.failure == nil else { return }
        do throws(SegmentError) {
            try await future.volume.writer.run { () throws(SegmentError) in
                // It may have got its name just before it failed.
                guard try future.volume.directory.holds(future.directoryName) else { return }
                try future.volume.retire(future.directoryName, delay: .zero)
            }
        } catch {
            context.logger.error(
                "what a move had copied is not removed", metadata: ["directory": "\(future.directoryName)", "error": "\(error)"])
        }
    }

    /// Goes on with the moves that the last run of the broker left, once all directories are open.
    func resumeMoves() async {
        for volume in volumes where volume.failure == nil {
            do throws(SegmentError) {
                for found in try await volume.writer.run({ () throws(SegmentError) in try volume.directory.futures() }) {
                    try await resume(found, on: volume)
                }
            } catch { context.failed(volume, error, isWriting: true) }
        }
    }

    private func resume(_ found: LogDirectory.Found, on volume: LogVolume) async throws(SegmentError) {
        // What it is a copy of may lie in a directory that cannot be read now.
        let partition = context.registry.find(found.partition)
        if partition == nil, !failedVolumes.isEmpty { return }
        if partition?.volume.failure != nil { return }
        let future = try await volume.writer.run { () throws(SegmentError) -> FutureReplica? in
            guard let partition, partition.volume !== volume else {
                try volume.retire(found.directoryName, delay: .zero)
                return nil
            }
            return try self.openFuture(partition, on: volume, found.directoryName)
        }
        guard let future else { return }
        guard context.registry.add(future) else { return await discard(future) }
        begin(future)
    }

    /// Stops copying; the copies stay for the next start.
    func stopMoves() async {
        for future in context.registry.allFutures {
            await future.cancel()
            if context.registry.remove(future) { future.log.letGo() }
        }
    }
}
