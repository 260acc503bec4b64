//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import KafkaProtocol
internal import LogModel
internal import Metering
internal import RuntimeEnvironment

/// Fetch (1): reads for consumers and followers; waits until there is enough to answer, or for the time asked for.
///
/// A client that asks for a session is told, from its second fetch on, only of partitions with something new (KIP-227).
enum FetchHandler: Handler {
    static let versions: ClosedRange<Int16> = 4...16

    static func responseClass(of request: FetchRequest) -> NetworkClass { replica(of: request) == nil ? .consume : .replication }

    /// The follower that fetches; nil for a consumer.
    static func replica(of request: FetchRequest) -> (id: BrokerID, epoch: BrokerEpoch)? {
        if request.replicaState.replicaId >= 0 {
            return (BrokerID(request.replicaState.replicaId), BrokerEpoch(request.replicaState.replicaEpoch))
        }
        return request.replicaId >= 0 ? (BrokerID(request.replicaId), .none) : nil
    }

    static func handle(_ request: FetchRequest, _ context: RequestContext) -> Handling<FetchResponse> {
        switch context.frontend.fetchSessions.begin(request, version: context.version) {
        case .refused(let code): return .respond(FetchResponse(errorCode: code))
        case .full(let mayMakeSession, _): return .later { await full(request, context, mayMakeSession: mayMakeSession) }
        case .incremental(let session): return .later { await incremental(request, context, session) }
        }
    }

    private static func full(_ request: FetchRequest, _ context: RequestContext, mayMakeSession: Bool) async -> FetchResponse {
        let session = FetchSession(wait: context.frontend.purgatory.makeWait())
        await session.takeTurn()
        session.begin(request)
        let fetch = FetchInProgress(request, context, session, isIncremental: false)
        var response = await fetch.run()
        if mayMakeSession {
            context.frontend.fetchSessions.keep(
                session, usesTopicIDs: context.version >= 13, isFollower: replica(of: request) != nil)
        }
        if session.id == 0 { session.close() }
        session.giveTurn()
        response.sessionId = session.id
        return response
    }

    private static func incremental(
        _ request: FetchRequest, _ context: RequestContext, _ session: FetchSession
    ) async -> FetchResponse {
        await session.takeTurn()
        session.update(request, isFollower: replica(of: request) != nil)
        let isOver = context.frontend.fetchSessions.resized(session)
        if isOver { session.close() }
        let fetch = FetchInProgress(request, context, session, isIncremental: true)
        var response = await fetch.run()
        session.giveTurn()
        response.sessionId = isOver ? 0 : session.id
        return response
    }
}
