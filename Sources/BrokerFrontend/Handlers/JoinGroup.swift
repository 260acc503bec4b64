//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import KafkaProtocol
internal import NIOCore
internal import RuntimeEnvironment

/// JoinGroup (11): answered when the rebalance it takes part in is over.
enum JoinGroupHandler: Handler {
    static let versions: ClosedRange<Int16> = 0...9

    static func handle(_ request: JoinGroupRequest, _ context: RequestContext) -> Handling<JoinGroupResponse> {
        switch context.group(request.groupId) {
        case .failure(let why):
            return .respond(response(JoinGroupAnswer(error: why.error, memberID: request.memberId), context))
        case .success(let partition):
            let call = call(request, context)
            return .later { response(await partition.join(request.groupId, call), context) }
        }
    }

    private static func call(_ request: JoinGroupRequest, _ context: RequestContext) -> JoinGroupCall {
        let clientID = context.clientID ?? ""
        let session = Duration.milliseconds(request.sessionTimeoutMs)
        return JoinGroupCall(
            memberID: request.memberId, instanceID: request.groupInstanceId,
            candidateID: "\(request.groupInstanceId ?? clientID)-\(uuid(context))",
            requiresKnownMemberID: context.version >= 4 && request.groupInstanceId == nil,
            supportsSkippingAssignment: context.version >= 9, clientID: clientID, clientHost: context.clientHost,
            // Version 0 has one time-out for both.
            rebalanceTimeout: request.rebalanceTimeoutMs < 0 ? session : .milliseconds(request.rebalanceTimeoutMs),
            sessionTimeout: session, protocolType: request.protocolType,
            protocols: request.protocols.map {
                // Copied: a slice would keep the request's whole buffer for as long as the member lives.
                GroupProtocol(name: $0.name, metadata: ByteBuffer(bytes: $0.metadata.readableBytesView))
            })
    }

    /// 128 random bits in the usual text form.
    private static func uuid(_ context: RequestContext) -> String {
        let randomness = context.frontend.environment.randomness
        let digits = [randomness.next(), randomness.next()].map { word in
            let text = String(word, radix: 16)
            return String(repeating: "0", count: 16 - text.count) + text
        }.joined()
        var uuid = ""
        for (index, digit) in digits.enumerated() {
            if [8, 12, 16, 20].contains(index) { uuid.append("-") }
            uuid.append(digit)
        }
        return uuid
    }

    private static func response(_ answer: JoinGroupAnswer, _ context: RequestContext) -> JoinGroupResponse {
        JoinGroupResponse(
            errorCode: answer.error, generationId: answer.generation,
            protocolType: context.version >= 7 ? answer.protocolType : nil,
            // Null only since version 7.
            protocolName: answer.protocolName ?? (context.version >= 7 ? nil : ""), leader: answer.leader,
            skipAssignment: answer.skipsAssignment, memberId: answer.memberID,
            members: answer.members.map {
                JoinGroupResponse.JoinGroupResponseMember(
                    memberId: $0.id, groupInstanceId: context.version >= 5 ? $0.instanceID : nil, metadata: $0.metadata)
            })
    }
}
