//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import KafkaProtocol
internal import Logging
internal import LogModel

/// FindCoordinator (10): which broker keeps a group. The topic that groups are kept in is made when first asked for.
enum FindCoordinatorHandler: Handler {
    static let versions: ClosedRange<Int16> = 0...4

    private enum KeyType {
        static let group: Int8 = 0
        static let transaction: Int8 = 1
    }

    static func handle(_ request: FindCoordinatorRequest, _ context: RequestContext) -> Handling<FindCoordinatorResponse> {
        let keys = context.version >= 4 ? request.coordinatorKeys : [request.key]
        @Sendable func respond(_ image: MetadataImage, _ failure: ErrorCode?) -> FindCoordinatorResponse {
            response(keys.map { find($0, request.keyType, image, failure, context) }, context)
        }
        let image = context.frontend.metadata.current
        guard request.keyType == KeyType.group, context.frontend.offsetsPartitionCount(image) == nil else {
            return .respond(respond(image, nil))
        }
        return .later {
            var failure: ErrorCode?
            do throws(MetadataOperationError) {
                _ = try await context.frontend.createTopicAutomatically(GroupCoordinator.topic)
            } catch {
                context.frontend.logger.warning(
                    "The topic that groups are kept in cannot be made", metadata: ["error": "\(error)"])
                failure = .coordinatorNotAvailable
            }
            return respond(context.frontend.metadata.current, failure)
        }
    }

    private static func find(
        _ key: String, _ keyType: Int8, _ image: MetadataImage, _ failure: ErrorCode?, _ context: RequestContext
    ) -> FindCoordinatorResponse.Coordinator {
        var answer = FindCoordinatorResponse.Coordinator(key: key, nodeId: -1, host: "", port: -1)
        func refuse(_ code: ErrorCode, _ message: String) -> FindCoordinatorResponse.Coordinator {
            answer.errorCode = code
            answer.errorMessage = message
            return answer
        }
        switch keyType {
        case KeyType.group: break
        // Of the errors that no client retries, the one about transactions: all of them end at once.
        case KeyType.transaction:
            return refuse(.transactionalIdAuthorizationFailed, "transactions are not there yet")
        default: return refuse(.invalidRequest, "there is no coordinator of kind \(keyType)")
        }
        if let failure { return refuse(failure, "the topic \(GroupCoordinator.topic) could not be made") }
        guard !key.isEmpty else { return refuse(.invalidGroupId, "a group has a name") }
        guard let topic = image.topic(named: GroupCoordinator.topic),
            let leader = image.leader(of: topic.id, GroupCoordinator.partition(of: key, partitionCount: topic.partitionCount))
        else { return refuse(.coordinatorNotAvailable, "the group's partition of \(GroupCoordinator.topic) has no leader now") }
        answer.nodeId = leader.id.rawValue
        answer.host = leader.host
        answer.port = Int32(leader.port)
        answer.errorMessage = nil
        return answer
    }

    private static func response(
        _ found: [FindCoordinatorResponse.Coordinator], _ context: RequestContext
    ) -> FindCoordinatorResponse {
        if context.version >= 4 { return FindCoordinatorResponse(coordinators: found) }
        let only = found[0]
        return FindCoordinatorResponse(
            errorCode: only.errorCode, errorMessage: only.errorMessage, nodeId: only.nodeId, host: only.host, port: only.port)
    }
}
