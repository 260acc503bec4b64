//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import KafkaProtocol
internal import NIOCore

/// OffsetDelete (47): single offsets of a group, but none of a topic that a member subscribes to (KIP-496).
enum OffsetDeleteHandler: Handler {
    static let versions: ClosedRange<Int16> = 0...0

    static func handle(_ request: OffsetDeleteRequest, _ context: RequestContext) -> Handling<OffsetDeleteResponse> {
        let partition: OffsetsPartition
        let group: GroupState
        switch context.group(request.groupId).flatMap({ partition in partition.group(request.groupId).map { (partition, $0) } }) {
        case .failure(let why): return .respond(OffsetDeleteResponse(errorCode: why.error))
        case .success((_, nil)): return .respond(OffsetDeleteResponse(errorCode: .groupIdNotFound))
        case .success((let found, .some(let state))): (partition, group) = (found, state.state)
        }
        guard group.phase != .dead else { return .respond(OffsetDeleteResponse(errorCode: .groupIdNotFound)) }
        guard let subscribed = subscribedTopics(group) else { return .respond(OffsetDeleteResponse(errorCode: .nonEmptyGroup)) }
        let image = context.frontend.metadata.current
        var keys: [OffsetKey] = []
        var refused: [OffsetKey: ErrorCode] = [:]
        for topic in request.topics {
            for asked in topic.partitions {
                let key = OffsetKey(topic: topic.name, partition: asked.partitionIndex)
                if image.partition(topic: topic.name, asked.partitionIndex) == nil {
                    refused[key] = .unknownTopicOrPartition
                } else if subscribed.contains(topic.name) {
                    refused[key] = .groupSubscribedToTopic
                } else {
                    keys.append(key)
                }
            }
        }
        return .later { [keys, refused] in
            let error = await partition.deleteOffsets(request.groupId, keys)
            return OffsetDeleteResponse(
                topics: request.topics.map { topic in
                    OffsetDeleteResponse.OffsetDeleteResponseTopic(
                        name: topic.name,
                        partitions: topic.partitions.map {
                            OffsetDeleteResponse.OffsetDeleteResponsePartition(
                                partitionIndex: $0.partitionIndex,
                                errorCode: refused[OffsetKey(topic: topic.name, partition: $0.partitionIndex)] ?? error)
                        })
                })
        }
    }

    /// Nil where members do not say in a way we can read: then nothing may be deleted.
    private static func subscribedTopics(_ group: GroupState) -> Set<String>? {
        if group.phase == .empty { return [] }
        guard group.protocolType == "consumer" else { return nil }
        var topics: Set<String> = []
        for member in group.orderedMembers {
            for offered in member.protocols {
                guard let subscription = try? ConsumerProtocolSubscription(decodingWithVersion: offered.metadata) else {
                    return nil
                }
                topics.formUnion(subscription.topics)
            }
        }
        return topics
    }
}
