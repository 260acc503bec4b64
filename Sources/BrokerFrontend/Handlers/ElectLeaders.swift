//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import KafkaProtocol
internal import LogModel
internal import RuntimeEnvironment

/// ElectLeaders (43): gives leadership back to the preferred replica; or, since version 1, to any live one where none leads (KIP-460).
enum ElectLeadersHandler: Handler {
    static let versions: ClosedRange<Int16> = 0...2

    private enum ElectionType {
        static let preferred: Int8 = 0
        static let unclean: Int8 = 1
    }

    static func handle(_ request: ElectLeadersRequest, _ context: RequestContext) -> Handling<ElectLeadersResponse> {
        guard [ElectionType.preferred, ElectionType.unclean].contains(request.electionType) else {
            return .respond(ElectLeadersResponse(errorCode: context.version >= 1 ? .invalidRequest : .none))
        }
        let image = context.frontend.metadata.current
        let asked =
            request.topicPartitions?.map { ($0.topic, $0.partitions) }
            ?? image.topics.sorted { $0.name < $1.name }.map { topic in
                (topic.name, image.partitions(of: topic.id).map(\.partition))
            }
        return .later {
            var response = ElectLeadersResponse()
            var revision: Int64 = 0
            for (topic, partitions) in asked {
                var answer = ElectLeadersResponse.ReplicaElectionResult(topic: topic)
                for partition in partitions {
                    var result = ElectLeadersResponse.PartitionResult(partitionId: partition, errorMessage: nil)
                    do throws(MetadataOperationError) {
                        let elected = try await context.frontend.operations.electLeader(
                            topic: topic, partition: partition, unclean: request.electionType == ElectionType.unclean)
                        revision = max(revision, elected.revision)
                    } catch {
                        // Whoever asks for all wants to hear of those where something happened or failed.
                        if error.code == .electionNotNeeded, request.topicPartitions == nil { continue }
                        result.errorCode = ErrorCode(error)
                        result.errorMessage = error.message
                    }
                    answer.partitionResult.append(result)
                }
                if !answer.partitionResult.isEmpty { response.replicaElectionResults.append(answer) }
            }
            if revision > 0 { _ = await context.frontend.metadata.wait(for: revision, timeout: Frontend.imageTimeout) }
            return response
        }
    }
}
