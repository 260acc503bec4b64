//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import KafkaProtocol
internal import LogModel

/// ListPartitionReassignments (46): the moves under way (KIP-455).
enum ListPartitionReassignmentsHandler: Handler {
    static let versions: ClosedRange<Int16> = 0...0

    static func handle(
        _ request: ListPartitionReassignmentsRequest, _ context: RequestContext
    ) -> Handling<ListPartitionReassignmentsResponse> {
        let image = context.frontend.metadata.current
        let wanted = request.topics.map { topics in
            Dictionary(topics.map { ($0.name, Set($0.partitionIndexes)) }, uniquingKeysWith: { $0.union($1) })
        }
        var response = ListPartitionReassignmentsResponse(errorMessage: nil)
        let topics = wanted.map { $0.keys.compactMap { image.topic(named: $0) } } ?? Array(image.topics)
        for topic in topics.sorted(by: { $0.name < $1.name }) {
            let moving = image.partitions(of: topic.id).filter { record in
                record.isMoving && (wanted.map { $0[topic.name]?.contains(record.partition) ?? false } ?? true)
            }
            if moving.isEmpty { continue }
            response.topics.append(
                ListPartitionReassignmentsResponse.OngoingTopicReassignment(
                    name: topic.name,
                    partitions: moving.map {
                        ListPartitionReassignmentsResponse.OngoingPartitionReassignment(
                            partitionIndex: $0.partition, replicas: $0.replicas.map(\.rawValue),
                            addingReplicas: $0.addingReplicas.map(\.rawValue), removingReplicas: $0.removingReplicas.map(\.rawValue)
                        )
                    }))
        }
        return .respond(response)
    }
}
