//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import KafkaProtocol
internal import LogEngine
internal import LogModel

/// OffsetForLeaderEpoch (23): where an epoch ended in the leader's log (KIP-101, KIP-320). librdkafka asks in version 2.
enum OffsetForLeaderEpochHandler: Handler {
    static let versions: ClosedRange<Int16> = 2...4

    static func handle(
        _ request: OffsetForLeaderEpochRequest, _ context: RequestContext
    ) -> Handling<OffsetForLeaderEpochResponse> {
        let image = context.frontend.metadata.current
        var response = OffsetForLeaderEpochResponse()
        for topic in request.topics {
            var answer = OffsetForLeaderEpochResponse.OffsetForLeaderTopicResult(topic: topic.topic)
            for asked in topic.partitions {
                var result = OffsetForLeaderEpochResponse.EpochEndOffset(partition: asked.partition)
                do throws(LogError) {
                    if let log = try context.frontend.leading(
                        topic: topic.topic, partition: asked.partition, clientEpoch: asked.currentLeaderEpoch, image)
                    {
                        if let end = try log.endOffset(forEpoch: LeaderEpoch(asked.leaderEpoch)) {
                            result.leaderEpoch = end.epoch.rawValue
                            result.endOffset = end.endOffset.rawValue
                        }
                    } else {
                        result.errorCode = .unknownTopicOrPartition
                    }
                } catch {
                    result.errorCode = ErrorCode(error)
                }
                answer.partitions.append(result)
            }
            response.topics.append(answer)
        }
        return .respond(response)
    }
}
