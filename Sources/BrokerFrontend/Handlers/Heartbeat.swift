//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import KafkaProtocol

/// Heartbeat (12): a member lives, and learns of rebalances.
enum HeartbeatHandler: Handler {
    static let versions: ClosedRange<Int16> = 0...4

    static func handle(_ request: HeartbeatRequest, _ context: RequestContext) -> Handling<HeartbeatResponse> {
        let error =
            switch context.group(request.groupId) {
            case .failure(let why): why.error
            case .success(let partition):
                partition.heartbeat(
                    request.groupId, memberID: request.memberId, instanceID: request.groupInstanceId,
                    generation: request.generationId)
            }
        return .respond(HeartbeatResponse(errorCode: error))
    }
}
