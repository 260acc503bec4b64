//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel

/// How a mode places a partition: what the controller needs to know of an engine, and all it knows.
package enum ReplicaPlacement: Sendable, Hashable {
    /// As many replicas as asked for, each with its own copy of the log; one of them leads.
    case replicated
    /// One owner, whose log lies in stores that every broker reaches: any broker may be the next.
    case singleOwner
}

/// Chooses brokers for new partitions, as Kafka does where racks are not told: leaders round robin from a random start, followers
/// each time shifted further, so that the followers of one broker's partitions are spread over all others.
///
/// Kafka: `AdminUtils.assignReplicasToBrokersRackUnaware`.
package enum ReplicaPlacer {
    /// - Parameters:
    ///   - replicationFactor: At most as many as there are brokers.
    ///   - firstPartition: The number of the first new partition; the pattern goes on where that of the earlier ones ended.
    /// - Returns: The replicas of each new partition; the first is its preferred leader.
    package static func place(
        partitionCount: Int, replicationFactor: Int, brokers: [BrokerID], firstPartition: Int = 0,
        using generator: inout some RandomNumberGenerator
    ) -> [[BrokerID]] {
        precondition(replicationFactor >= 1 && replicationFactor <= brokers.count, "a replica needs a broker of its own")
        let brokers = brokers.sorted()
        let count = brokers.count
        let start = Int.random(in: 0..<count, using: &generator)
        var shift = Int.random(in: 0..<count, using: &generator)
        return (firstPartition..<firstPartition + partitionCount).map { partition in
            if partition > 0, partition % count == 0 { shift += 1 }
            let first = (partition + start) % count
            let followers = (0..<replicationFactor - 1).map { number in
                brokers[(first + 1 + (shift + number) % (count - 1)) % count]
            }
            return [brokers[first]] + followers
        }
    }
}
