//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import LogEngine
internal import LogModel

/// Where a partition is, as this broker sees it.
enum PartitionLocation {
    case here(any PartitionLog)
    /// The cluster knows it, but this broker has no log of it (now, or yet).
    case elsewhere(PartitionRecord)
    case unknown
}

extension Frontend {
    func locate(topic: String, partition: Int32, _ image: MetadataImage) -> PartitionLocation {
        guard let record = image.topic(named: topic) else { return .unknown }
        return locate(PartitionID(topicID: record.id, topic: topic, partition: partition), image)
    }

    func locate(_ partition: PartitionID, _ image: MetadataImage) -> PartitionLocation {
        guard let record = image.partition(partition.topicID, partition.partition) else { return .unknown }
        return logs.log(for: partition).map { .here($0) } ?? .elsewhere(record)
    }

    /// The log, if this broker leads it at the epoch that the client knows (KIP-320; -1 for a client that knows none).
    func leading(
        topic: String, partition: Int32, clientEpoch: Int32, _ image: MetadataImage
    ) throws(LogError) -> (any PartitionLog)? {
        switch locate(topic: topic, partition: partition, image) {
        case .unknown: return nil
        case .elsewhere: throw LogError(.notLeader, "this broker does not lead \(topic)-\(partition)")
        case .here(let log):
            let assignment = log.assignment
            guard assignment.leader == brokerID else {
                throw LogError(.notLeader, "this broker does not lead \(topic)-\(partition)")
            }
            if clientEpoch >= 0, clientEpoch < assignment.leaderEpoch.rawValue {
                throw LogError(
                    .fencedLeaderEpoch, "\(topic)-\(partition) is at leader epoch \(assignment.leaderEpoch), not \(clientEpoch)")
            }
            if clientEpoch > assignment.leaderEpoch.rawValue {
                throw LogError(
                    .unknownLeaderEpoch,
                    "\(topic)-\(partition) is at leader epoch \(assignment.leaderEpoch), not yet \(clientEpoch)")
            }
            return log
        }
    }
}
