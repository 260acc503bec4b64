//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Synchronization

/// A count that only grows, bumped from any thread.
public final class Counter: Sendable {
    private let storage = Atomic<Int64>(0)

    public init() {}
    public func add(_ amount: Int64 = 1) { storage.wrappingAdd(amount, ordering: .relaxed) }
    public var value: Int64 { storage.load(ordering: .relaxed) }
}

/// Bytes over wires, by class.
public enum NetworkClass: String, Sendable, Hashable, CaseIterable, Codable {
    /// Produce requests received, whole frames.
    case produce
    /// Fetch answers to consumers, whole frames.
    case consume
    /// Fetch answers to followers, whole frames, counted at the leader.
    case replication
    /// Bytes a replicated volume hands to its copies, each copy counted: what a distributed file system carries for us.
    case volumeCopies
    /// Request bodies to the object store.
    case objectPut
    /// Response bodies from the object store.
    case objectGet
    /// Every other Kafka request and answer.
    case control
}

/// Requests to the object store, counted where they are sent, retries included.
public enum ObjectRequest: String, Sendable, Hashable, CaseIterable, Codable {
    case put
    case get
    case head
    case list
    case delete
    /// Create, upload part, complete and abort.
    case multipart
}

/// What bytes handed to media were for.
public enum WriteClass: String, Sendable, Hashable, CaseIterable, Codable {
    case hotLog
    case wal
    case object
    case index
    case metadata
}

/// Why record bytes went into objects of the `shared` engine.
public enum ObjectWrite: String, Sendable, Hashable, CaseIterable, Codable {
    /// Uploaded, several streams to an object.
    case streamSet
    /// Uploaded into an object of the stream's own.
    case stream
    /// Rewritten, all pieces smaller than they are to be in the end.
    case minorCompaction
    /// Rewritten because they lay among too much that is dead, or because all is to be settled.
    case majorCompaction
}

/// Work behind the writers: no client is told of its failures.
public enum UpkeepTask: String, Sendable, Hashable, CaseIterable, Codable {
    case upload
    case retention
    case compaction
    /// Objects that were announced and never committed are looked for.
    case ledger
    /// Objects that nobody needs are deleted.
    case garbage
    /// What an ended run has left is brought.
    case recovery
}

/// One kind of work with the tier.
public final class RemoteMeter: Sendable {
    public let bytes = Counter()
    /// Begun, failed ones included.
    public let requests = Counter()
    public let errors = Counter()

    public init() {}
}

/// All counters of one broker. One instance is made at assembly and handed to whoever counts.
public final class Meters: Sendable {
    public let network: [NetworkClass: Counter]
    public let objectRequests: [ObjectRequest: Counter]
    /// Bytes handed to media for writing, each copy counted, object copies included where they are ours.
    public let bytesWritten: [WriteClass: Counter]
    /// `fdatasync` and the like.
    public let synchronizations = Counter()
    /// Batch bytes acknowledged to producers, as sent.
    public let logicalBytes = Counter()
    public let logicalRecords = Counter()
    /// Batch bytes copied to another broker or store because a partition moved.
    public let reassignmentBytesOut = Counter()
    public let reassignmentBytesIn = Counter()
    public let objectRequestErrors = Counter()
    /// Record bytes put, once each whatever the store's copies.
    public let objectRecordBytes: [ObjectWrite: Counter]
    public let upkeepFailures: [UpkeepTask: Counter]
    /// Bytes of segments copied to the tier, of records read from it, and what was asked for and failed: Kafka's Remote… of its
    /// BrokerTopicMetrics.
    public let remoteCopy = RemoteMeter()
    public let remoteFetch = RemoteMeter()
    public let remoteDelete = RemoteMeter()

    public init() {
        network = Dictionary(uniqueKeysWithValues: NetworkClass.allCases.map { ($0, Counter()) })
        objectRequests = Dictionary(uniqueKeysWithValues: ObjectRequest.allCases.map { ($0, Counter()) })
        objectRecordBytes = Dictionary(uniqueKeysWithValues: ObjectWrite.allCases.map { ($0, Counter()) })
        upkeepFailures = Dictionary(uniqueKeysWithValues: UpkeepTask.allCases.map { ($0, Counter()) })
        bytesWritten = Dictionary(uniqueKeysWithValues: WriteClass.allCases.map { ($0, Counter()) })
    }

    public func count(_ bytes: Int64, as networkClass: NetworkClass) { network[networkClass]!.add(bytes) }
    public func count(_ request: ObjectRequest) { objectRequests[request]!.add() }
    public func countWritten(_ bytes: Int64, as writeClass: WriteClass) { bytesWritten[writeClass]!.add(bytes) }

    /// All values by name, for `/metrics` and the comparison: `network.produce`, `requests.put`, `written.wal`, …
    public var snapshot: [String: Int64] {
        var values: [String: Int64] = [
            "synchronizations": synchronizations.value, "logical.bytes": logicalBytes.value,
            "logical.records": logicalRecords.value,
            "reassignment.bytesOut": reassignmentBytesOut.value, "reassignment.bytesIn": reassignmentBytesIn.value,
            "requests.errors": objectRequestErrors.value,
        ]
        for (name, meter) in [("copy", remoteCopy), ("fetch", remoteFetch), ("delete", remoteDelete)] {
            values["remote.\(name).bytes"] = meter.bytes.value
            values["remote.\(name).requests"] = meter.requests.value
            values["remote.\(name).errors"] = meter.errors.value
        }
        for (key, counter) in network { values["network.\(key.rawValue)"] = counter.value }
        for (key, counter) in objectRequests { values["requests.\(key.rawValue)"] = counter.value }
        for (key, counter) in bytesWritten { values["written.\(key.rawValue)"] = counter.value }
        for (key, counter) in objectRecordBytes { values["objectRecords.\(key.rawValue)"] = counter.value }
        for (key, counter) in upkeepFailures { values["upkeep.failures.\(key.rawValue)"] = counter.value }
        return values
    }
}
