//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import KafkaProtocol

/// DeleteGroups (42): groups without members, with their offsets.
enum DeleteGroupsHandler: Handler {
    static let versions: ClosedRange<Int16> = 0...2

    static func handle(_ request: DeleteGroupsRequest, _ context: RequestContext) -> Handling<DeleteGroupsResponse> {
        .later {
            var response = DeleteGroupsResponse()
            for id in request.groupsNames {
                let error: ErrorCode
                switch context.group(id, allowsEmpty: true) {
                case .failure(let why): error = why.error
                case .success(let partition): error = await partition.delete(id)
                }
                response.results.append(DeleteGroupsResponse.DeletableGroupResult(groupId: id, errorCode: error))
            }
            return response
        }
    }
}
