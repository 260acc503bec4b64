//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// Why a change of topics, partitions or settings was refused. Nothing was changed.
package struct MetadataOperationError: Error, Sendable, CustomStringConvertible {
    /// Named as Kafka names its error codes, so that the frontend's table is short.
    package enum Code: Sendable, Hashable, CaseIterable {
        // Fix the request.
        case invalidTopic
        case topicExists
        case unknownTopic
        case unknownPartition
        case invalidPartitions
        case invalidReplicationFactor
        case invalidReplicaAssignment
        case invalidRequest
        case noReassignmentInProgress
        case electionNotNeeded
        case preferredLeaderNotAvailable
        case eligibleLeadersNotAvailable
        // Register under another node id, or end the other process.
        case nodeIDInUse
        // Try again.
        case conflict
        case storeFailure
        // Start another version.
        case unsupportedFormat
    }

    package var code: Code
    package var message: String
    /// What the store said, where it is the store's failure.
    package var cause: MetadataStoreError?

    package init(_ code: Code, _ message: String, cause: MetadataStoreError? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    package init(_ cause: MetadataStoreError) {
        self.init(.storeFailure, cause.message, cause: cause)
    }

    package var description: String { message }
}

extension MetadataOperationError {
    static func unknownTopic(_ name: String) -> MetadataOperationError {
        MetadataOperationError(.unknownTopic, "there is no topic '\(name)'")
    }

    static func unknownPartition(_ name: String, _ number: Int32) -> MetadataOperationError {
        MetadataOperationError(.unknownPartition, "topic '\(name)' has no partition \(number)")
    }
}
