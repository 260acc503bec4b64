//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import KafkaProtocol
internal import NIOCore

/// SyncGroup (14): answered once the leader's assignment is stored.
enum SyncGroupHandler: Handler {
    static let versions: ClosedRange<Int16> = 0...5

    static func handle(_ request: SyncGroupRequest, _ context: RequestContext) -> Handling<SyncGroupResponse> {
        switch context.group(request.groupId) {
        case .failure(let why): return .respond(response(SyncGroupAnswer(error: why.error), context))
        case .success(let partition):
            // Since version 5 the member must say what it believes the group's protocol to be.
            guard context.version < 5 || (request.protocolType != nil && request.protocolName != nil) else {
                return .respond(response(SyncGroupAnswer(error: .inconsistentGroupProtocol), context))
            }
            let call = SyncGroupCall(
                memberID: request.memberId, instanceID: request.groupInstanceId, generation: request.generationId,
                protocolType: request.protocolType, protocolName: request.protocolName,
                assignments: Dictionary(
                    request.assignments.map { ($0.memberId, ByteBuffer(bytes: $0.assignment.readableBytesView)) },
                    uniquingKeysWith: { $1 }))
            return .later { response(await partition.sync(request.groupId, call), context) }
        }
    }

    private static func response(_ answer: SyncGroupAnswer, _ context: RequestContext) -> SyncGroupResponse {
        SyncGroupResponse(
            errorCode: answer.error, protocolType: context.version >= 5 ? answer.protocolType : nil,
            protocolName: context.version >= 5 ? answer.protocolName : nil, assignment: answer.assignment)
    }
}
