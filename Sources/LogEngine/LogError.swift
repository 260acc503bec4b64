//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// Why a log refused or failed. The codes are grouped by what the caller does next; the frontend maps each to a Kafka error in
/// one file.
public struct LogError: Error, Sendable, CustomStringConvertible {
    public enum Code: Sendable, Hashable, CaseIterable {
        // Try again, here or after a look at the metadata.
        /// This broker does not lead the partition, or no longer.
        case notLeader
        /// The caller's leader epoch is older than the log's (KIP-320).
        case fencedLeaderEpoch
        /// The caller's leader epoch is newer than the log's.
        case unknownLeaderEpoch
        /// A new leader does not yet know its high watermark, or a log is being opened.
        case notAvailable
        /// Fewer in-sync replicas than `min.insync.replicas`; nothing was written.
        case notEnoughReplicas
        /// Written, but the in-sync set shrank below the minimum before it was replicated: it may survive.
        case notEnoughReplicasAfterAppend
        /// Not durable to the level asked for in time. It may become so.
        case timedOut
        /// The engine's buffers are full: back-pressure.
        case overloaded

        // Fix the request.
        case offsetOutOfRange
        /// The offset lies in the object store; a follower must start from there (KIP-405).
        case offsetMovedToTier
        case recordTooLarge
        case batchListTooLarge
        case corruptBatch
        case invalidRecord
        case invalidTimestamp
        /// A gap in an idempotent producer's sequences (KIP-98).
        case outOfOrderSequence
        case invalidProducerEpoch
        /// A duplicate older than the five batches remembered per producer.
        case duplicateSequence
        case policyViolation
        case unsupported

        // Stop the partition.
        /// The medium failed: disk error, failed sync.
        case storageFailure
        case diskFull
        /// Stored bytes fail their checksum; the message names file and offset.
        case corruptLog
        /// Another owner has taken over; this one must stop at once.
        case fenced
    }

    public var code: Code
    /// One sentence: which partition or object, what, what to do.
    public var message: String
    public var cause: (any Error)?

    public init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    public var description: String { cause.map { "\(message) (\($0))" } ?? message }
}
