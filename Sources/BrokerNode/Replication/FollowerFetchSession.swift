//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import KafkaProtocol
package import LogModel
package import ReplicatedLog
internal import Synchronization

/// A follower's side of a fetch session (KIP-227): what the leader has been asked for already, so that a fetch names only what is different.
package struct FollowerFetchSession: Sendable {
    private struct Known: Sendable {
        var request: ReplicaFetchRequest
        /// The last fetch that asked for it.
        var round: UInt64
    }

    /// Given by the leader; 0 for none.
    private var id: Int32 = 0
    /// Of the next fetch; 0 makes it a full one.
    private var epoch: Int32 = 0
    private var known: [PartitionID: Known] = [:]
    private var round: UInt64 = 0

    package init() {}

    /// Fills in what the leader must be told so that it answers for exactly `requests`.
    package mutating func prepare(_ fetch: inout FetchRequest, for requests: [ReplicaFetchRequest]) {
        fetch.sessionId = id
        fetch.sessionEpoch = epoch
        round += 1
        if epoch == 0 { known.removeAll(keepingCapacity: true) }
        var topics: [TopicID: Int] = [:]
        for request in requests {
            let isDifferent = known[request.partition]?.request != request
            known[request.partition] = Known(request: request, round: round)
            if isDifferent { Self.add(request, to: &fetch, &topics) }
        }
        guard known.count > requests.count else { return }
        var forgotten: [TopicID: [Int32]] = [:]
        for (partition, entry) in known where entry.round != round {
            forgotten[partition.topicID, default: []].append(partition.partition)
        }
        for (topic, partitions) in forgotten {
            for partition in partitions { known[PartitionID(topicID: topic, topic: "", partition: partition)] = nil }
            fetch.forgottenTopicsData.append(FetchRequest.ForgottenTopic(topicId: topic, partitions: partitions))
        }
    }

    private static func add(_ request: ReplicaFetchRequest, to fetch: inout FetchRequest, _ topics: inout [TopicID: Int]) {
        let topic = request.partition.topicID
        let index = topics[topic] ?? fetch.topics.count
        if index == fetch.topics.count {
            fetch.topics.append(FetchRequest.FetchTopic(topicId: topic))
            topics[topic] = index
        }
        fetch.topics[index].partitions.append(
            FetchRequest.FetchPartition(
                partition: request.partition.partition, currentLeaderEpoch: request.currentLeaderEpoch.rawValue,
                fetchOffset: request.fetchOffset.rawValue, lastFetchedEpoch: request.lastFetchedEpoch.rawValue,
                logStartOffset: request.logStart.rawValue, partitionMaxBytes: Int32(clamping: request.maxBytes)))
    }

    /// The partition that an answer is about; nil if it was not asked for.
    package func partition(_ topic: TopicID, _ number: Int32) -> PartitionID? {
        known[PartitionID(topicID: topic, topic: "", partition: number)]?.request.partition
    }

    /// The leader has answered.
    ///
    /// - Returns: False if it does not know the session: the same is to be asked again, as a full fetch.
    package mutating func answered(_ answer: FetchResponse) -> Bool {
        guard answer.errorCode == .none else {
            let wasIncremental = epoch > 0
            if answer.errorCode == .fetchSessionIdNotFound { id = 0 }
            epoch = 0
            return !wasIncremental
        }
        id = answer.sessionId
        epoch = id == 0 ? 0 : epoch == .max ? 1 : epoch + 1
        return true
    }

    /// Nobody knows what the leader has heard: the next fetch closes the session and begins anew.
    package mutating func failed() { epoch = 0 }
}

/// The sessions of a broker's fetches, one per leader and lane.
final class FollowerFetchSessions: Sendable {
    struct Lane: Hashable {
        var leader: BrokerID
        var number: Int
    }

    /// Nil while a fetch of the lane is under way.
    private let sessions = Mutex<[Lane: FollowerFetchSession?]>([:])

    /// - Returns: nil if a fetch of the lane is under way: another at the same time goes without a session.
    func take(_ lane: Lane) -> FollowerFetchSession? {
        sessions.withLock { sessions in
            guard let entry = sessions.updateValue(nil, forKey: lane) else { return FollowerFetchSession() }
            return entry
        }
    }

    func giveBack(_ session: FollowerFetchSession, _ lane: Lane) {
        sessions.withLock { _ = $0.updateValue(session, forKey: lane) }
    }
}
