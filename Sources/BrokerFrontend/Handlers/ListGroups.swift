//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import KafkaProtocol

/// ListGroups (16): the groups that this broker coordinates; since version 4 those in certain states.
enum ListGroupsHandler: Handler {
    static let versions: ClosedRange<Int16> = 0...4

    static func handle(_ request: ListGroupsRequest, _ context: RequestContext) -> Handling<ListGroupsResponse> {
        var response = ListGroupsResponse()
        let wanted = Set(request.statesFilter.map { $0.lowercased() })
        for partition in context.frontend.groups.led {
            switch partition.allGroups() {
            // What is being loaded is missing from the list; the client is told.
            case .failure(let why): if why.error == .coordinatorLoadInProgress { response.errorCode = why.error }
            case .success(let groups):
                for group in groups where wanted.isEmpty || wanted.contains(group.phase.rawValue.lowercased()) {
                    response.groups.append(
                        ListGroupsResponse.ListedGroup(
                            groupId: group.id, protocolType: group.protocolType ?? "",
                            groupState: context.version >= 4 ? group.phase.rawValue : ""))
                }
            }
        }
        response.groups.sort { $0.groupId < $1.groupId }
        return .respond(response)
    }
}
