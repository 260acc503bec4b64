//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import LogModel

extension Frontend {
    /// How long a change may take to show in this broker's own image.
    static let imageTimeout = Duration.seconds(10)

    /// Makes a topic for whoever asked for it by name (Metadata, FindCoordinator).
    ///
    /// - Returns: An image in which it is; nil if that takes too long.
    func createTopicAutomatically(_ name: String) async throws(MetadataOperationError) -> MetadataImage? {
        var topic: NewTopic
        if name == GroupCoordinator.topic {
            topic = NewTopic(
                name: name,
                layout: .automatic(
                    partitionCount: configuration.offsetsTopicPartitionCount,
                    replicationFactor: configuration.offsetsTopicReplicationFactor),
                storageMode: configuration.storageMode,
                // Nothing may be deleted by age: what groups committed counts until they say otherwise.
                configs: [
                    "retention.ms": "-1", "retention.bytes": "-1", "segment.bytes": String(configuration.offsetsTopicSegmentBytes),
                ],
                isInternal: true)
        } else {
            topic = NewTopic(
                name: name,
                layout: .automatic(
                    partitionCount: configuration.partitionCount, replicationFactor: configuration.replicationFactor),
                storageMode: configuration.storageMode)
        }
        do throws(MetadataOperationError) {
            let created = try await operations.createTopic(topic)
            return await metadata.wait(for: created.revision, timeout: Self.imageTimeout)
        } catch {
            guard error.code == .topicExists else { throw error }
            // Another request, or another broker, was faster.
            return await metadata.waitUntil(timeout: Self.imageTimeout) { $0.topic(named: name) != nil }
        }
    }

    /// The partitions that groups are kept in; nil if there are none yet.
    func offsetsPartitionCount(_ image: MetadataImage) -> Int32? { image.topic(named: GroupCoordinator.topic)?.partitionCount }

    /// The controller as clients are told it; any live broker does what a controller is asked for.
    func controller(_ image: MetadataImage) -> BrokerID? {
        if let controller = image.controller?.record.broker, image.isLive(controller) { return controller }
        return image.liveBrokers.min()
    }
}
