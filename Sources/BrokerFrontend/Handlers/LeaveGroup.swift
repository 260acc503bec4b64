//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import KafkaProtocol

/// LeaveGroup (13): one member leaves, or, since version 3, several are taken out.
enum LeaveGroupHandler: Handler {
    static let versions: ClosedRange<Int16> = 0...5

    static func handle(_ request: LeaveGroupRequest, _ context: RequestContext) -> Handling<LeaveGroupResponse> {
        switch context.group(request.groupId) {
        case .failure(let why): return .respond(LeaveGroupResponse(errorCode: why.error))
        case .success(let partition):
            guard context.version >= 3 else {
                return .respond(
                    LeaveGroupResponse(errorCode: partition.leave(request.groupId, memberID: request.memberId, instanceID: nil)))
            }
            return .respond(
                LeaveGroupResponse(
                    members: request.members.map { member in
                        LeaveGroupResponse.MemberResponse(
                            memberId: member.memberId, groupInstanceId: member.groupInstanceId,
                            errorCode: partition.leave(
                                request.groupId, memberID: member.memberId, instanceID: member.groupInstanceId))
                    }))
        }
    }
}
