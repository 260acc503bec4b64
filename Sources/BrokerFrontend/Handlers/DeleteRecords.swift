//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import KafkaProtocol
internal import LogEngine
internal import LogModel
internal import RuntimeEnvironment

/// DeleteRecords (21): raises the log start, at most to the high watermark (KIP-107), and answers when all live replicas have followed:
/// what is deleted cannot come back with another leader.
enum DeleteRecordsHandler: Handler {
    static let versions: ClosedRange<Int16> = 0...2

    /// Stands for the high watermark.
    private static let everything: Int64 = -1

    private typealias PartitionResult = DeleteRecordsResponse.DeleteRecordsPartitionResult

    static func handle(_ request: DeleteRecordsRequest, _ context: RequestContext) -> Handling<DeleteRecordsResponse> {
        .later {
            let deadline = context.frontend.environment.clock.now() + .milliseconds(max(0, request.timeoutMs))
            let image = context.frontend.metadata.current
            var results: [[PartitionResult]] = []
            let wait = LowWatermarkWait(frontend: context.frontend)
            for topic in request.topics {
                var ofTopic: [PartitionResult] = []
                for asked in topic.partitions {
                    var result = PartitionResult(partitionIndex: asked.partitionIndex, lowWatermark: -1)
                    do throws(LogError) {
                        if topic.name == GroupCoordinator.topic {
                            // Groups would forget what they committed.
                            result.errorCode = .invalidTopicException
                        } else if let (partition, offset) = try await delete(asked, of: topic.name, image, context) {
                            wait.add(partition, target: offset, place: (results.count, ofTopic.count))
                        } else {
                            result.errorCode = .unknownTopicOrPartition
                        }
                    } catch {
                        result.errorCode = ErrorCode(error)
                    }
                    ofTopic.append(result)
                }
                results.append(ofTopic)
            }
            for (place, outcome) in await wait.run(until: deadline) {
                results[place.topic][place.partition].errorCode = outcome.error
                results[place.topic][place.partition].lowWatermark = outcome.lowWatermark.rawValue
            }
            return DeleteRecordsResponse(
                topics: zip(request.topics, results).map { topic, results in
                    DeleteRecordsResponse.DeleteRecordsTopicResult(name: topic.name, partitions: results)
                })
        }
    }

    /// - Returns: Below which the leader has no records any more; nil if there is no such partition.
    private static func delete(
        _ asked: DeleteRecordsRequest.DeleteRecordsPartition, of topic: String, _ image: MetadataImage, _ context: RequestContext
    ) async throws(LogError) -> (PartitionID, Offset)? {
        guard let log = try context.frontend.leading(topic: topic, partition: asked.partitionIndex, clientEpoch: -1, image) else {
            return nil
        }
        let highWatermark = log.offsets.highWatermark
        let offset = asked.offset == everything ? highWatermark : Offset(asked.offset)
        guard offset >= .zero, offset <= highWatermark else {
            throw LogError(.offsetOutOfRange, "\(log.partition) ends at offset \(highWatermark) for readers; \(offset) is beyond")
        }
        _ = try await log.deleteRecords(before: offset)
        return (log.partition, offset)
    }
}
