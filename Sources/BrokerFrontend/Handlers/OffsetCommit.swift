//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import KafkaProtocol
internal import LogModel
internal import RuntimeEnvironment

/// OffsetCommit (8): answered once the offsets are durable in the group's log.
enum OffsetCommitHandler: Handler {
    static let versions: ClosedRange<Int16> = 2...9

    static func handle(_ request: OffsetCommitRequest, _ context: RequestContext) -> Handling<OffsetCommitResponse> {
        let partition: OffsetsPartition
        switch context.group(request.groupId, allowsEmpty: true) {
        case .failure(let why): return .respond(response(to: request) { _, _ in why.error })
        case .success(let found): partition = found
        }
        let image = context.frontend.metadata.current
        let now = context.frontend.environment.clock.wallMilliseconds()
        var refused: [OffsetKey: ErrorCode] = [:]
        var accepted: [(OffsetKey, CommittedOffset)] = []
        for topic in request.topics {
            let isKnown = image.topic(named: topic.name) != nil
            for asked in topic.partitions {
                let key = OffsetKey(topic: topic.name, partition: asked.partitionIndex)
                let metadata = asked.committedMetadata ?? ""
                if !isKnown || image.partition(topic: topic.name, asked.partitionIndex) == nil {
                    refused[key] = .unknownTopicOrPartition
                } else if metadata.utf8.count > context.frontend.configuration.offsetMetadataMaxBytes {
                    refused[key] = .offsetMetadataTooLarge
                } else {
                    accepted.append(
                        (
                            key,
                            CommittedOffset(
                                offset: Offset(asked.committedOffset), leaderEpoch: LeaderEpoch(asked.committedLeaderEpoch),
                                metadata: metadata, commitTimestamp: Timestamp(now),
                                expireTimestamp: request.retentionTimeMs < 0 ? nil : Timestamp(now + request.retentionTimeMs))
                        ))
                }
            }
        }
        let committer = OffsetsPartition.Committer(
            memberID: request.memberId, instanceID: request.groupInstanceId, generation: request.generationIdOrMemberEpoch)
        return .later { [refused, accepted] in
            let error = await partition.commit(request.groupId, by: committer, accepted)
            return response(to: request) { topic, number in
                refused[OffsetKey(topic: topic, partition: number)] ?? error
            }
        }
    }

    private static func response(
        to request: OffsetCommitRequest, _ error: (_ topic: String, _ partition: Int32) -> ErrorCode
    ) -> OffsetCommitResponse {
        OffsetCommitResponse(
            topics: request.topics.map { topic in
                OffsetCommitResponse.OffsetCommitResponseTopic(
                    name: topic.name,
                    partitions: topic.partitions.map {
                        OffsetCommitResponse.OffsetCommitResponsePartition(
                            partitionIndex: $0.partitionIndex, errorCode: error(topic.name, $0.partitionIndex))
                    })
            })
    }
}
