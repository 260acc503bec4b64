//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import LogModel

/// A way of storing logs: one instance per broker and `storage.mode`.
///
/// An engine follows the metadata: ``apply(_:configuration:)`` is called for each change of a partition that names this
/// broker, in order of ``PartitionAssignment/partitionEpoch``, and the engine makes it so: opens as leader or follower, hands
/// over, lets go.
public protocol LogEngine: Sendable {
    /// The value of `storage.mode` that chooses it.
    var name: String { get }

    /// Recovers what the broker's volume and stores hold, before any partition is opened.
    ///
    /// - Throws: ``LogError/Code/corruptLog``, ``LogError/Code/storageFailure``: the broker must not start.
    func start() async throws(LogError)

    /// Brings the partition to `assignment`. On return the log accepts what its role allows: a leader serves appends and
    /// reads at `assignment.leaderEpoch`; a follower has begun to follow. Older or repeated assignments change nothing.
    ///
    /// - Returns: The log; nil if this broker holds no part of the partition now.
    @discardableResult
    func apply(_ assignment: PartitionAssignment, configuration: LogConfiguration) async throws(LogError) -> (any PartitionLog)?

    /// The log as last applied; nil if not held.
    func log(for partition: PartitionID) -> (any PartitionLog)?

    /// All logs held.
    var logs: [any PartitionLog] { get }

    /// Deletes all that the engine keeps of a deleted topic's partition, on this broker's volume and (if `ownsSharedData`, told to
    /// exactly one broker) in shared stores.
    func delete(_ partition: PartitionID, ownsSharedData: Bool) async throws(LogError)

    /// Another broker is gone for good as far as the metadata knows (its lease expired). The engine does what its model asks of
    /// a survivor; `assigned` is true for exactly one broker (for `shared`: fence the dead one and replay its WAL).
    /// Must be idempotent.
    func brokerDied(_ broker: BrokerID, epoch: BrokerEpoch, assigned: Bool) async throws(LogError)

    /// Bytes held on this broker's volume, by medium. What lies in a store that brokers share belongs to no single one of them: an
    /// engine that has such a store offers `objectFootprint()`, which one broker is asked for all.
    func footprint() async throws(LogError) -> Footprint

    /// Waits until everything that the engine does behind the writer's back (uploads, compaction, deletion of garbage) is up to
    /// date with what was written before the call.
    func settle() async throws(LogError)

    /// Flushes, hands over what can be handed over and closes every log. Everything acknowledged is durable on return.
    func shutdown() async
}

extension LogEngine {
    public func brokerDied(_ broker: BrokerID, epoch: BrokerEpoch, assigned: Bool) async throws(LogError) {}
    public func settle() async throws(LogError) {}
}

/// Where bytes lie. The words of the report.
public enum Medium: String, Sendable, Hashable, CaseIterable, Codable {
    case hotLog
    case wal
    case object
    case garbage
    case index
    case metadata
    case reserved
}

/// Bytes by medium.
public struct Footprint: Sendable, Hashable {
    public struct Entry: Sendable, Hashable {
        /// Bytes allocated on media, all countable copies included.
        public var physicalBytes: Int64
        /// Of these, bytes of record batches, all copies included.
        public var recordBytes: Int64
        /// Files or objects.
        public var count: Int64

        public init(physicalBytes: Int64 = 0, recordBytes: Int64 = 0, count: Int64 = 0) {
            self.physicalBytes = physicalBytes
            self.recordBytes = recordBytes
            self.count = count
        }
    }

    public var entries: [Medium: Entry]

    public init(_ entries: [Medium: Entry] = [:]) { self.entries = entries }

    public mutating func add(_ medium: Medium, physicalBytes: Int64, recordBytes: Int64 = 0, count: Int64 = 1) {
        entries[medium, default: Entry()].physicalBytes += physicalBytes
        entries[medium, default: Entry()].recordBytes += recordBytes
        entries[medium, default: Entry()].count += count
    }
    public mutating func add(_ other: Footprint) {
        for (medium, entry) in other.entries {
            add(medium, physicalBytes: entry.physicalBytes, recordBytes: entry.recordBytes, count: entry.count)
        }
    }
}
