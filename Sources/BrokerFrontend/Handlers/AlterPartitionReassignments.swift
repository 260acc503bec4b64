//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import KafkaProtocol
internal import LogModel
internal import RuntimeEnvironment

/// AlterPartitionReassignments (45): begins or cancels moves (KIP-455). Answered once the move is under way, not once it is over.
enum AlterPartitionReassignmentsHandler: Handler {
    static let versions: ClosedRange<Int16> = 0...0

    static func handle(
        _ request: AlterPartitionReassignmentsRequest, _ context: RequestContext
    ) -> Handling<AlterPartitionReassignmentsResponse> {
        .later {
            var response = AlterPartitionReassignmentsResponse(errorMessage: nil)
            var revision: Int64 = 0
            for topic in request.topics {
                var answer = AlterPartitionReassignmentsResponse.ReassignableTopicResponse(name: topic.name)
                for asked in topic.partitions {
                    var result = AlterPartitionReassignmentsResponse.ReassignablePartitionResponse(
                        partitionIndex: asked.partitionIndex, errorMessage: nil)
                    do throws(MetadataOperationError) {
                        let changed = try await context.frontend.operations.reassign(
                            topic: topic.name, partition: asked.partitionIndex, to: asked.replicas?.map(BrokerID.init(_:)),
                            allowReplicationFactorChange: request.allowReplicationFactorChange)
                        revision = max(revision, changed.revision)
                    } catch {
                        result.errorCode = ErrorCode(error)
                        result.errorMessage = error.message
                    }
                    answer.partitions.append(result)
                }
                response.responses.append(answer)
            }
            if revision > 0 { _ = await context.frontend.metadata.wait(for: revision, timeout: Frontend.imageTimeout) }
            return response
        }
    }
}
