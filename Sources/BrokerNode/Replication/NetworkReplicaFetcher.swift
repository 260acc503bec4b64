//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import KafkaProtocol
internal import LogEngine
internal import LogModel
internal import NIOCore
internal import ReplicatedLog
internal import RuntimeEnvironment
internal import Synchronization

/// Followers' questions to leaders as Kafka's own requests: Fetch 16 with topic ids and the replica's state (KIP-903), ListOffsets,
/// OffsetForLeaderEpoch.
struct NetworkReplicaFetcher: ReplicaFetcher {
    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    private static let fetchVersion: Int16 = 16
    private static let listOffsetsVersion: Int16 = 9
    private static let endOffsetVersion: Int16 = 4
    private static let correlation = Atomic<Int32>(0)

    let brokerID: BrokerID
    let brokerEpoch: BrokerEpoch
    let cache: MetadataCache
    let transport: any PeerTransport
    private let sessions = FollowerFetchSessions()

    init(brokerID: BrokerID, brokerEpoch: BrokerEpoch, cache: MetadataCache, transport: any PeerTransport) {
        self.brokerID = brokerID
        self.brokerEpoch = brokerEpoch
        self.cache = cache
        self.transport = transport
    }

    func fetch(
        from leader: BrokerID, lane: Int, requests: [ReplicaFetchRequest], maxWait: Duration, minBytes: Int, maxBytes: Int
    ) async throws -> [PartitionID: ReplicaFetchResponse] {
        let key = FollowerFetchSessions.Lane(leader: leader, number: lane)
        guard var session = sessions.take(key) else {
            var passing = FollowerFetchSession()
            let request = request(maxWait, minBytes, maxBytes)
            return try await fetch(request, requests, &passing, leader, lane, maxWait, endsWithIt: true).responses
        }
        defer { sessions.giveBack(session, key) }
        let request = request(maxWait, minBytes, maxBytes)
        do {
            let first = try await fetch(request, requests, &session, leader, lane, maxWait)
            if first.isAnswered { return first.responses }
            return try await fetch(request, requests, &session, leader, lane, maxWait).responses
        } catch {
            session.failed()
            throw error
        }
    }

    private func request(_ maxWait: Duration, _ minBytes: Int, _ maxBytes: Int) -> FetchRequest {
        FetchRequest(
            replicaState: .init(replicaId: brokerID.rawValue, replicaEpoch: brokerEpoch.rawValue),
            maxWaitMs: Int32(clamping: maxWait.inMilliseconds), minBytes: Int32(clamping: minBytes),
            maxBytes: Int32(clamping: maxBytes))
    }

    /// - Parameter endsWithIt: Ask for no session.
    /// - Returns: `isAnswered` is false if the leader does not know the session any more.
    private func fetch(
        _ request: FetchRequest, _ requests: [ReplicaFetchRequest], _ session: inout FollowerFetchSession, _ leader: BrokerID,
        _ lane: Int, _ maxWait: Duration, endsWithIt: Bool = false
    ) async throws -> (responses: [PartitionID: ReplicaFetchResponse], isAnswered: Bool) {
        var request = request
        session.prepare(&request, for: requests)
        if endsWithIt { request.sessionEpoch = -1 }
        let answer = try await call(
            request, version: Self.fetchVersion, leader: leader, channel: Self.channel(lane, leader), wait: maxWait)
        guard session.answered(answer) else { return ([:], false) }
        guard answer.errorCode == .none else {
            throw Failure(description: "broker \(leader) refused the fetch: \(answer.errorCode.name)")
        }
        var responses: [PartitionID: ReplicaFetchResponse] = [:]
        for topic in answer.responses {
            for data in topic.partitions {
                guard let partition = session.partition(topic.topicId, data.partitionIndex) else { continue }
                let diverges = data.divergingEpoch.epoch >= 0
                responses[partition] = ReplicaFetchResponse(
                    failure: Self.failure(data.errorCode), records: try data.records?.contiguous() ?? ByteBuffer(),
                    highWatermark: Offset(data.highWatermark), logStart: Offset(data.logStartOffset),
                    divergingEpoch: diverges
                        ? EpochEndOffset(
                            epoch: LeaderEpoch(data.divergingEpoch.epoch), endOffset: Offset(data.divergingEpoch.endOffset))
                        : nil)
            }
        }
        return (responses, true)
    }

    func executor(ofLane lane: Int, to leader: BrokerID) -> (any TaskExecutor)? {
        transport.executor(of: Self.channel(lane, leader))
    }

    private static func channel(_ lane: Int, _ leader: BrokerID) -> String { "fetch-\(leader)-\(lane)" }

    func offsets(of partition: PartitionID, from leader: BrokerID, leaderEpoch: LeaderEpoch) async throws -> LeaderOffsets {
        let start = try await offset(-2, of: partition, from: leader, leaderEpoch: leaderEpoch).offset
        let local = try await offset(-4, of: partition, from: leader, leaderEpoch: leaderEpoch)
        let end = try await offset(-1, of: partition, from: leader, leaderEpoch: leaderEpoch).offset
        var offsets = LeaderOffsets(logStart: start, localStart: local.offset, logEnd: end)
        guard local.offset > start, local.leaderEpoch > .none else { return offsets }
        // As Kafka finds it: the record before the local start is of the epoch there, unless that one begins there.
        let before = LeaderEpoch(local.leaderEpoch.rawValue - 1)
        let earlier = try await endOffset(forEpoch: before, of: partition, from: leader, leaderEpoch: leaderEpoch)
        if let earlier, earlier.endOffset >= local.offset {
            offsets.epochBeforeLocalStart = earlier.epoch
        } else {
            offsets.epochBeforeLocalStart = local.leaderEpoch
        }
        return offsets
    }

    /// The last record that the leader knows to be in the object store (KIP-1005); nil if there is nothing.
    func lastTiered(of partition: PartitionID, from leader: BrokerID, leaderEpoch: LeaderEpoch) async throws -> TimestampedOffset? {
        let last = try await offset(-5, of: partition, from: leader, leaderEpoch: leaderEpoch)
        return last.offset >= .zero ? last : nil
    }

    func endOffset(
        forEpoch epoch: LeaderEpoch, of partition: PartitionID, from leader: BrokerID, leaderEpoch: LeaderEpoch
    ) async throws -> EpochEndOffset? {
        guard epoch >= LeaderEpoch(0) else { return nil }
        let request = OffsetForLeaderEpochRequest(
            replicaId: brokerID.rawValue,
            topics: [
                .init(
                    topic: partition.topic,
                    partitions: [
                        .init(
                            partition: partition.partition, currentLeaderEpoch: leaderEpoch.rawValue, leaderEpoch: epoch.rawValue)
                    ])
            ])
        let answer = try await call(request, version: Self.endOffsetVersion, leader: leader, channel: "offsets", wait: .zero)
        guard let data = answer.topics.first?.partitions.first, data.errorCode == .none else {
            let code = answer.topics.first?.partitions.first?.errorCode.name ?? "no answer"
            throw Failure(description: "broker \(leader) does not tell where epoch \(epoch) of \(partition) ended: \(code)")
        }
        guard data.leaderEpoch >= 0, data.endOffset >= 0 else { return nil }
        return EpochEndOffset(epoch: LeaderEpoch(data.leaderEpoch), endOffset: Offset(data.endOffset))
    }

    /// - Parameter timestamp: ListOffsets' own: -1 latest, -2 earliest, -4 earliest on the leader's volume, -5 last in the tier.
    func offset(
        _ timestamp: Int64, of partition: PartitionID, from leader: BrokerID, leaderEpoch: LeaderEpoch
    ) async throws -> TimestampedOffset {
        let request = ListOffsetsRequest(
            replicaId: brokerID.rawValue,
            topics: [
                .init(
                    name: partition.topic,
                    partitions: [
                        .init(partitionIndex: partition.partition, currentLeaderEpoch: leaderEpoch.rawValue, timestamp: timestamp)
                    ])
            ])
        let answer = try await call(request, version: Self.listOffsetsVersion, leader: leader, channel: "offsets", wait: .zero)
        guard let data = answer.topics.first?.partitions.first, data.errorCode == .none else {
            let code = answer.topics.first?.partitions.first?.errorCode.name ?? "no answer"
            throw Failure(description: "broker \(leader) does not tell the offsets of \(partition): \(code)")
        }
        return TimestampedOffset(
            offset: Offset(data.offset), timestamp: Timestamp(data.timestamp), leaderEpoch: LeaderEpoch(data.leaderEpoch))
    }

    private func call<Request: KafkaRequest>(
        _ request: Request, version: Int16, leader: BrokerID, channel: String, wait: Duration
    ) async throws -> Request.Response {
        guard let address = cache.current.broker(leader) else { throw Failure(description: "broker \(leader) is not registered") }
        let id = Self.correlation.wrappingAdd(1, ordering: .relaxed).newValue & Int32.max
        let slices = try encodeRequest(request, version: version, correlationID: id, clientID: "broker-\(brokerID)-\(channel)")
        let buffers = slices.compactMap { slice -> ByteBuffer? in
            guard case .bytes(let buffer) = slice else { return nil }
            return buffer
        }
        let frame = try await transport.call(
            host: address.host, port: address.port, channel: channel, frame: buffers, timeout: wait + .seconds(15))
        return try decodeResponse(to: Request.self, version: version, frame: frame).response
    }

    /// What the leader's frontend made of its log's error, back again.
    private static func failure(_ code: ErrorCode) -> LogError.Code? {
        switch code {
        case .none: nil
        case .notLeaderOrFollower, .unknownTopicOrPartition, .unknownTopicId, .inconsistentTopicId: .notLeader
        case .fencedLeaderEpoch: .fencedLeaderEpoch
        case .unknownLeaderEpoch: .unknownLeaderEpoch
        case .offsetNotAvailable: .notAvailable
        case .offsetOutOfRange: .offsetOutOfRange
        case .offsetMovedToTieredStorage: .offsetMovedToTier
        case .corruptMessage: .corruptBatch
        default: .storageFailure
        }
    }
}
