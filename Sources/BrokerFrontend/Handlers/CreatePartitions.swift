//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import KafkaProtocol
internal import LogModel
internal import RuntimeEnvironment

/// CreatePartitions (37): more partitions for topics.
enum CreatePartitionsHandler: Handler {
    static let versions: ClosedRange<Int16> = 0...3

    static func handle(_ request: CreatePartitionsRequest, _ context: RequestContext) -> Handling<CreatePartitionsResponse> {
        let counts = Dictionary(request.topics.map { ($0.name, 1) }, uniquingKeysWith: +)
        return .later {
            var response = CreatePartitionsResponse()
            var revision: Int64 = 0
            for (name, count) in counts.sorted(by: { $0.key < $1.key }) {
                var result = CreatePartitionsResponse.CreatePartitionsTopicResult(name: name)
                if count == 1, let topic = request.topics.first(where: { $0.name == name }) {
                    do throws(MetadataOperationError) {
                        let added = try await context.frontend.operations.createPartitions(
                            topic: name, partitionCount: topic.count,
                            assignments: topic.assignments?.map { $0.brokerIds.map(BrokerID.init(_:)) },
                            validateOnly: request.validateOnly)
                        revision = max(revision, added.revision)
                    } catch {
                        result.errorCode = ErrorCode(error)
                        result.errorMessage = error.message
                    }
                } else {
                    result.errorCode = .invalidRequest
                    result.errorMessage = "the request names the topic \(count) times"
                }
                response.results.append(result)
            }
            if revision > 0 { _ = await context.frontend.metadata.wait(for: revision, timeout: Frontend.imageTimeout) }
            return response
        }
    }
}
