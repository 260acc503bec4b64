//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import LogModel
internal import LogSegments
internal import Logging
internal import Synchronization

extension ReplicatedLogEngine {
    /// Told of each partition whose log directory has failed, once: others are to lead it.
    public func setOfflineListener(_ listener: (@Sendable (PartitionID) -> Void)?) {
        context.offlineListener.withLock { $0 = listener }
        guard let listener else { return }
        // What failed before anybody listened.
        for partition in context.registry.applied where partition.volume.failure != nil { listener(partition.partition) }
    }

    func takeOffline(_ volume: LogVolume, _ error: SegmentError) {
        let partitions = context.registry.all.filter { $0.volume === volume }
        context.logger.critical(
            "A log directory failed and is out of use until the broker is restarted",
            metadata: ["directory": "\(volume.number)", "partitions": "\(partitions.count)", "error": "\(error)"])
        let listener = context.offlineListener.withLock { $0 }
        for partition in partitions {
            fetchers.follow(partition, nil)
            partition.goOffline(error)
            listener?(partition.partition)
        }
    }

    /// The place of the partition's log directory among those the engine was given; nil if it holds none of it.
    public func volumeNumber(of partition: PartitionID) -> Int? {
        context.registry.find(partition)?.volume.number
    }

    /// Log directories that failed, by their place.
    public var failedVolumes: Set<Int> { Set(volumes.filter { $0.failure != nil }.map(\.number)) }
}
