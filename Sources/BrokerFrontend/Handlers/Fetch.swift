//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import KafkaProtocol
internal import LogModel
internal import Metering
internal import RuntimeEnvironment

/// Fetch (1): reads for consumers and followers; waits until there is enough to answer, or for the time asked for.
///
/// Every fetch is a full one: the session id in the answer is always 0, which clients take for "no sessions" (KIP-227).
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
        guard request.sessionId == 0 else { return .respond(FetchResponse(errorCode: .fetchSessionIdNotFound)) }
        guard request.sessionEpoch <= 0 else { return .respond(FetchResponse(errorCode: .invalidFetchSessionEpoch)) }
        return .later {
            let fetch = FetchInProgress(request, context)
            return await fetch.run()
        }
    }
}
