//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
package import KafkaProtocol
package import LogEngine
package import LogModel

// The one place where our errors become Kafka's.

extension ErrorCode {
    package init(_ error: LogError) {
        self =
            switch error.code {
            case .notLeader: .notLeaderOrFollower
            case .fencedLeaderEpoch: .fencedLeaderEpoch
            case .unknownLeaderEpoch: .unknownLeaderEpoch
            case .notAvailable: .offsetNotAvailable
            case .notEnoughReplicas: .notEnoughReplicas
            case .notEnoughReplicasAfterAppend: .notEnoughReplicasAfterAppend
            case .timedOut: .requestTimedOut
            // Retriable, and asks for no new metadata: the producer comes back after its pause.
            case .overloaded: .requestTimedOut
            case .offsetOutOfRange: .offsetOutOfRange
            case .offsetMovedToTier: .offsetMovedToTieredStorage
            case .recordTooLarge: .messageTooLarge
            case .batchListTooLarge: .recordListTooLarge
            case .corruptBatch: .corruptMessage
            case .invalidRecord: .invalidRecord
            case .invalidTimestamp: .invalidTimestamp
            case .outOfOrderSequence: .outOfOrderSequenceNumber
            case .invalidProducerEpoch: .invalidProducerEpoch
            case .duplicateSequence: .duplicateSequenceNumber
            case .policyViolation: .policyViolation
            case .unsupported: .unsupportedVersion
            case .storageFailure, .diskFull, .corruptLog: .kafkaStorageError
            // Another broker has the partition now.
            case .fenced: .notLeaderOrFollower
            }
    }

    package init(_ error: RecordBatchError) {
        self =
            switch error {
            case .truncated, .invalidLength, .crcMismatch, .malformed: .corruptMessage
            case .unsupportedMagic: .unsupportedForMessageFormat
            case .unknownCompression: .unsupportedCompressionType
            }
    }

    init(_ error: MetadataOperationError) {
        self =
            switch error.code {
            case .invalidTopic: .invalidTopicException
            case .topicExists: .topicAlreadyExists
            case .unknownTopic, .unknownPartition: .unknownTopicOrPartition
            case .invalidPartitions: .invalidPartitions
            case .invalidReplicationFactor: .invalidReplicationFactor
            case .invalidReplicaAssignment: .invalidReplicaAssignment
            case .invalidRequest: .invalidRequest
            case .noReassignmentInProgress: .noReassignmentInProgress
            case .electionNotNeeded: .electionNotNeeded
            case .preferredLeaderNotAvailable: .preferredLeaderNotAvailable
            case .eligibleLeadersNotAvailable: .eligibleLeadersNotAvailable
            case .nodeIDInUse: .duplicateBrokerRegistration
            // Both pass: the caller tries again.
            case .conflict, .storeFailure: .requestTimedOut
            case .unsupportedFormat: .unknownServerError
            }
    }

    /// Why a group could not be written, as its members are told (Kafka's GroupCoordinator has the same table).
    init(storingGroup error: LogError) {
        self =
            switch ErrorCode(error) {
            case .notEnoughReplicas, .notEnoughReplicasAfterAppend, .offsetNotAvailable: .coordinatorNotAvailable
            case .notLeaderOrFollower, .fencedLeaderEpoch, .unknownLeaderEpoch, .kafkaStorageError: .notCoordinator
            case .requestTimedOut: .rebalanceInProgress
            default: .unknownServerError
            }
    }

    /// Why offsets could not be written.
    init(committingOffsets error: LogError) {
        self =
            switch ErrorCode(error) {
            case .notEnoughReplicas, .notEnoughReplicasAfterAppend, .offsetNotAvailable, .requestTimedOut: .coordinatorNotAvailable
            case .notLeaderOrFollower, .fencedLeaderEpoch, .unknownLeaderEpoch, .kafkaStorageError: .notCoordinator
            case .messageTooLarge, .recordListTooLarge, .invalidRecord: .invalidCommitOffsetSize
            default: .unknownServerError
            }
    }
}
