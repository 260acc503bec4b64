//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import KafkaProtocol
internal import LogModel

/// AlterReplicaLogDirs (34): moves this broker's replicas between its log directories (KIP-113). Answered when the moves have begun.
enum AlterReplicaLogDirsHandler: Handler {
    static let versions: ClosedRange<Int16> = 1...2

    private typealias TopicResult = AlterReplicaLogDirsResponse.AlterReplicaLogDirTopicResult
    private typealias PartitionResult = AlterReplicaLogDirsResponse.AlterReplicaLogDirPartitionResult

    static func handle(
        _ request: AlterReplicaLogDirsRequest, _ context: RequestContext
    ) -> Handling<AlterReplicaLogDirsResponse> {
        .later {
            let image = context.frontend.metadata.current
            var places: [String: Int] = [:]
            var response = AlterReplicaLogDirsResponse()
            for directory in request.dirs {
                for topic in directory.topics {
                    let place = places[topic.name] ?? response.results.count
                    if place == response.results.count {
                        places[topic.name] = place
                        response.results.append(TopicResult(topicName: topic.name))
                    }
                    for number in topic.partitions {
                        var result = PartitionResult(partitionIndex: number, errorCode: .unknownTopicOrPartition)
                        if let partition = image.partitionID(topic: topic.name, number),
                            image.partition(partition.topicID, number) != nil
                        {
                            result.errorCode = await context.frontend.logs.moveReplica(of: partition, to: directory.path)
                        }
                        response.results[place].partitions.append(result)
                    }
                }
            }
            return response
        }
    }
}
