//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import LogModel
internal import LogSegments
internal import Logging
public import RuntimeEnvironment
internal import Synchronization

extension ReplicatedLogEngine {
    /// Told of each partition whose log directory has failed, once: others are to lead it.
    public func setOfflineListener(_ listener: (@Sendable (PartitionID) -> Void)?) {
        context.offlineListener.withLock { $0 = listener }
        guard let listener else { return }
        // What failed before anybody listened.
        for partition in context.registry.applied where partition.volume.failure != nil { listener(partition.partition) }
    }

    /// Told of each log directory that fails, by its place among those the engine was given. It may call the engine.
    public func setVolumeFailureListener(_ listener: (@Sendable (Int, DiskError) -> Void)?) {
        context.volumeFailureListener.withLock { $0 = listener }
    }

    /// Somebody else has found that the directory's disk fails, before or after the start.
    public func failVolume(_ number: Int, _ failure: DiskError) {
        let volume = volumes[number]
        if volume.fail(.disk(failure)) { takeOffline(volume, failure) }
    }

    func failed(_ volume: LogVolume, _ failure: DiskError) {
        context.logger.critical(
            "A log directory failed and is out of use until the broker is restarted",
            metadata: [
                "directory": "\(volume.specification)", "error": "\(failure)",
                "partitions": "\(context.registry.all.count { $0.volume === volume })",
            ])
        takeOffline(volume, failure)
    }

    private func takeOffline(_ volume: LogVolume, _ failure: DiskError) {
        let partitions = context.registry.all.filter { $0.volume === volume }
        let listener = context.offlineListener.withLock { $0 }
        for future in context.registry.allFutures where future.volume === volume || future.partition.volume === volume {
            Task { await callOff(future) }
        }
        for partition in partitions {
            fetchers.follow(partition, nil)
            partition.goOffline(.disk(failure))
            listener?(partition.partition)
        }
        context.volumeFailureListener.withLock { $0 }?(volume.number, failure)
    }

    /// The place of the partition's log directory among those the engine was given; nil if it holds none of it.
    public func volumeNumber(of partition: PartitionID) -> Int? {
        context.registry.find(partition)?.volume.number
    }

    public var volumeCount: Int { volumes.count }

    /// Log directories that failed, by their place.
    /// `directory.id` of each log directory that has been opened.
    public var directoryIDs: Set<String> { Set(volumes.compactMap(\.id)) }

    /// Logs that ended, when they were opened, before what had been synced of them.
    public var openedShort: Set<PartitionID> { context.registry.short }

    public var failedVolumes: Set<Int> { Set(volumes.filter { $0.failure != nil }.map(\.number)) }
}
