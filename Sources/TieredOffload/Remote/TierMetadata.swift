//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import Foundation
internal import LogEngine
internal import LogModel

/// Who may change a partition's segments in the metadata: the value of its `leader` key, raised by each new leader.
///
/// Every transaction of a leader holds on to its own claim, so that a deposed one, however late it wakes, changes nothing.
struct TierClaim: Codable, Hashable, Sendable {
    var broker: BrokerID
    var leaderEpoch: LeaderEpoch
    /// The partition is being deleted, or is deleted: nobody may claim it again.
    var isDeleted = false
    /// Of a deleted partition: its topic's name, which is in its objects' keys.
    var topic: String?
    /// Of a deleted partition: when, by the deleter's wall clock.
    var deletedAt: Timestamp?
}

/// Reads and writes the engine's records in the metadata store. Holds no state.
struct TierMetadata: Sendable {
    /// A race lost this often is given up; each loss means that somebody else went on.
    private static let attemptsMax = 50

    let store: any MetadataStore

    /// Makes `broker` the one that writes, unless a later leader has been here.
    ///
    /// - Returns: The condition that holds as long as nobody claims after it.
    /// - Throws: ``LogError/Code/fencedLeaderEpoch``.
    func claim(_ partition: PartitionID, by broker: BrokerID, at leaderEpoch: LeaderEpoch) async throws(LogError)
        -> Transaction.Condition
    {
        let key = TierKey.claim(partition)
        let mine = Self.encode(TierClaim(broker: broker, leaderEpoch: leaderEpoch))
        for _ in 0..<Self.attemptsMax {
            let stored = try await attempt { () throws(MetadataStoreError) in try await store.get(key) }
            if let stored {
                if stored.value == mine { return .value(key, mine) }
                let current = try Self.decode(stored, as: TierClaim.self)
                guard !current.isDeleted,
                    current.leaderEpoch < leaderEpoch || current.leaderEpoch == leaderEpoch && current.broker == broker
                else {
                    throw LogError(
                        .fencedLeaderEpoch,
                        "\(partition): broker \(current.broker) manages its tier at leader epoch \(current.leaderEpoch), not \(broker) at \(leaderEpoch)"
                    )
                }
            }
            let condition = stored.map { Transaction.Condition.revision(key, $0.modRevision) } ?? .absent(key)
            if try await commit([condition], [.put(key, mine)]) != nil { return .value(key, mine) }
        }
        throw LogError(.notAvailable, "\(partition): the claim to its tier lost \(Self.attemptsMax) races; it is tried again later")
    }

    /// Ends all claims to a partition that is being deleted. The record outlives the deletion: by it an object that is put late is known for
    /// one of this cluster's, until ``forget(_:)``.
    func retire(_ partition: PartitionID, by broker: BrokerID, at now: Timestamp) async throws(LogError) {
        let claim = TierClaim(
            broker: broker, leaderEpoch: LeaderEpoch(.max), isDeleted: true, topic: partition.topic, deletedAt: now)
        _ = try await commit([], [.put(TierKey.claim(partition), Self.encode(claim))])
    }

    /// Deletes the record of a deletion, unless it has been repeated since.
    func forget(_ deletion: TierDeletion) async throws(LogError) {
        _ = try await commit([.revision(deletion.key, deletion.revision)], [.delete(deletion.key)])
    }

    /// The partition's segments in all states, each with the revision of its record, and the store's revision.
    func segments(of partition: PartitionID) async throws(LogError) -> (segments: [VersionedSegment], revision: Int64) {
        try await segments(below: TierKey.segments(of: partition))
    }

    func allSegments() async throws(LogError) -> [VersionedSegment] { try await segments(below: TierKey.metadata).segments }

    private func segments(below prefix: String) async throws(LogError) -> (segments: [VersionedSegment], revision: Int64) {
        let listed = try await attempt { () throws(MetadataStoreError) in try await store.list(prefix: prefix) }
        return (try Self.segments(listed.values), listed.revision)
    }

    /// Every partition's segments, and the deletions that are remembered, of one moment.
    func all() async throws(LogError) -> (segments: [VersionedSegment], deletions: [TierDeletion]) {
        let listed = try await attempt { () throws(MetadataStoreError) in try await store.list(prefix: TierKey.metadata) }
        var deletions: [TierDeletion] = []
        for value in listed.values where value.key.hasSuffix(TierKey.claimSuffix) {
            let claim = try Self.decode(value, as: TierClaim.self)
            guard claim.isDeleted, let topic = claim.topic, let deletedAt = claim.deletedAt,
                let place = TierKey.partition(of: value.key)
            else { continue }
            deletions.append(
                TierDeletion(
                    key: value.key, revision: value.modRevision,
                    partition: PartitionID(topicID: place.topicID, topic: topic, partition: place.partition),
                    deletedAt: deletedAt))
        }
        return (try Self.segments(listed.values), deletions)
    }

    private static func segments(_ values: [StoredValue]) throws(LogError) -> [VersionedSegment] {
        var segments: [VersionedSegment] = []
        for value in values where !value.key.hasSuffix(TierKey.claimSuffix) {
            segments.append(
                VersionedSegment(key: value.key, segment: try decode(value, as: RemoteSegment.self), revision: value.modRevision))
        }
        return segments
    }

    /// - Returns: The revision at which it was done; nil if a condition did not hold.
    func commit(_ conditions: [Transaction.Condition], _ operations: [Transaction.Operation]) async throws(LogError) -> Int64? {
        let transaction = Transaction(conditions: conditions, operations: operations)
        let result = try await attempt { () throws(MetadataStoreError) in try await store.commit(transaction) }
        return result.succeeded ? result.revision : nil
    }

    static func decode<Value: Decodable>(_ stored: StoredValue, as type: Value.Type) throws(LogError) -> Value {
        do {
            return try JSONDecoder().decode(Value.self, from: Data(stored.value))
        } catch {
            throw LogError(
                .corruptLog, "the metadata record \(stored.key) cannot be read; it is damaged or from a newer version", cause: error
            )
        }
    }

    static func encode(_ value: some Encodable) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return Array(try encoder.encode(value))
        } catch { preconditionFailure("the engine's records encode: \(error)") }
    }

    /// Turns the store's errors into the log's. An unavailable store leaves a transaction's outcome open: callers read again.
    private func attempt<Value>(_ body: () async throws(MetadataStoreError) -> Value) async throws(LogError) -> Value {
        do throws(MetadataStoreError) {
            return try await body()
        } catch {
            throw LogError(
                error.code == .corrupt ? .corruptLog : .notAvailable, "the metadata store did not answer for the tier", cause: error
            )
        }
    }
}

/// A record of the metadata store with what is needed to change it by compare-and-set.
struct VersionedSegment: Sendable {
    var key: String
    var segment: RemoteSegment
    var revision: Int64
}

/// A partition that was deleted, as its last claim remembers it.
struct TierDeletion: Sendable {
    var key: String
    var revision: Int64
    var partition: PartitionID
    var deletedAt: Timestamp
}
