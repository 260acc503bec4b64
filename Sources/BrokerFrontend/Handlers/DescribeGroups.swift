//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import KafkaProtocol
internal import NIOCore

/// DescribeGroups (15). A group nobody knows is described as dead, without an error.
enum DescribeGroupsHandler: Handler {
    static let versions: ClosedRange<Int16> = 0...5

    static func handle(_ request: DescribeGroupsRequest, _ context: RequestContext) -> Handling<DescribeGroupsResponse> {
        .respond(DescribeGroupsResponse(groups: request.groups.map { describe($0, request, context) }))
    }

    private static func describe(
        _ id: String, _ request: DescribeGroupsRequest, _ context: RequestContext
    ) -> DescribeGroupsResponse.DescribedGroup {
        var answer = DescribeGroupsResponse.DescribedGroup(groupId: id)
        if request.includeAuthorizedOperations { answer.authorizedOperations = AuthorizedOperations.group }
        let found: OffsetsPartition.Group?
        switch context.group(id, allowsEmpty: true).flatMap({ $0.group(id) }) {
        case .failure(let why):
            answer.errorCode = why.error
            return answer
        case .success(let group): found = group
        }
        guard let group = found?.state else {
            answer.groupState = GroupState.Phase.dead.rawValue
            return answer
        }
        let isStable = group.phase == .stable
        answer.groupState = group.phase.rawValue
        answer.protocolType = group.protocolType ?? ""
        answer.protocolData = isStable ? group.protocolName ?? "" : ""
        answer.members = group.orderedMembers.map {
            DescribeGroupsResponse.DescribedGroupMember(
                memberId: $0.id, groupInstanceId: context.version >= 4 ? $0.instanceID : nil, clientId: $0.clientID,
                clientHost: $0.clientHost,
                memberMetadata: isStable ? $0.metadata(for: group.protocolName) : .init(),
                memberAssignment: isStable ? $0.assignment : .init())
        }
        return answer
    }
}
