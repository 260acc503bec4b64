//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import KafkaProtocol
internal import LogEngine
internal import LogModel

/// DeleteRecords (21): raises the log start, at most to the high watermark (KIP-107).
enum DeleteRecordsHandler: Handler {
    static let versions: ClosedRange<Int16> = 0...2

    /// Stands for the high watermark.
    private static let everything: Int64 = -1

    static func handle(_ request: DeleteRecordsRequest, _ context: RequestContext) -> Handling<DeleteRecordsResponse> {
        .later {
            let image = context.frontend.metadata.current
            var response = DeleteRecordsResponse()
            for topic in request.topics {
                var answer = DeleteRecordsResponse.DeleteRecordsTopicResult(name: topic.name)
                for asked in topic.partitions {
                    answer.partitions.append(await delete(asked, of: topic.name, image, context))
                }
                response.topics.append(answer)
            }
            return response
        }
    }

    private static func delete(
        _ asked: DeleteRecordsRequest.DeleteRecordsPartition, of topic: String, _ image: MetadataImage, _ context: RequestContext
    ) async -> DeleteRecordsResponse.DeleteRecordsPartitionResult {
        var result = DeleteRecordsResponse.DeleteRecordsPartitionResult(partitionIndex: asked.partitionIndex, lowWatermark: -1)
        // Groups would forget what they committed.
        if topic == GroupCoordinator.topic {
            result.errorCode = .invalidTopicException
            return result
        }
        do throws(LogError) {
            guard
                let log = try context.frontend.leading(topic: topic, partition: asked.partitionIndex, clientEpoch: -1, image)
            else {
                result.errorCode = .unknownTopicOrPartition
                return result
            }
            let highWatermark = log.offsets.highWatermark
            let offset = asked.offset == everything ? highWatermark : Offset(asked.offset)
            guard offset >= .zero, offset <= highWatermark else {
                throw LogError(
                    .offsetOutOfRange, "\(log.partition) ends at offset \(highWatermark) for readers; \(offset) is beyond")
            }
            result.lowWatermark = try await log.deleteRecords(before: offset).rawValue
        } catch {
            result.errorCode = ErrorCode(error)
        }
        return result
    }
}
