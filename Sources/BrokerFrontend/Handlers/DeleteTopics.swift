//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import KafkaProtocol
internal import LogModel
internal import RuntimeEnvironment

/// DeleteTopics (20). Clients see the topic no longer; the brokers let go of its data behind.
enum DeleteTopicsHandler: Handler {
    static let versions: ClosedRange<Int16> = 1...6

    static func handle(_ request: DeleteTopicsRequest, _ context: RequestContext) -> Handling<DeleteTopicsResponse> {
        let asked =
            context.version >= 6 ? request.topics : request.topicNames.map { DeleteTopicsRequest.DeleteTopicState(name: $0) }
        return .later {
            var response = DeleteTopicsResponse()
            var revision: Int64 = 0
            for topic in asked {
                let (result, at) = await delete(topic, context)
                revision = max(revision, at)
                response.responses.append(result)
            }
            if revision > 0 { _ = await context.frontend.metadata.wait(for: revision, timeout: Frontend.imageTimeout) }
            return response
        }
    }

    private static func delete(
        _ asked: DeleteTopicsRequest.DeleteTopicState, _ context: RequestContext
    ) async -> (DeleteTopicsResponse.DeletableTopicResult, revision: Int64) {
        let image = context.frontend.metadata.current
        let isByID = asked.name == nil
        let known = isByID ? image.topic(asked.topicId) : nil
        func failed(_ code: ErrorCode, _ message: String) -> (DeleteTopicsResponse.DeletableTopicResult, Int64) {
            (
                DeleteTopicsResponse.DeletableTopicResult(
                    name: asked.name, topicId: asked.topicId, errorCode: code, errorMessage: context.version >= 5 ? message : nil),
                0
            )
        }
        if !isByID, asked.topicId != .zero { return failed(.invalidRequest, "a topic is named by name or by id, not by both") }
        guard context.frontend.configuration.deletesTopics else {
            return failed(.topicDeletionDisabled, "delete.topic.enable is false")
        }
        guard let name = asked.name ?? known?.name else {
            return failed(.unknownTopicId, "there is no topic with id \(asked.topicId)")
        }
        do throws(MetadataOperationError) {
            let deleted = try await context.frontend.operations.deleteTopic(name)
            return (
                DeleteTopicsResponse.DeletableTopicResult(name: name, topicId: context.version >= 6 ? deleted.topic.id : .zero),
                deleted.revision
            )
        } catch {
            return failed(ErrorCode(error), error.message)
        }
    }
}
