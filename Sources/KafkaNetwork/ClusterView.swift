//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import KafkaProtocol
package import LogModel

/// What a client knows of a cluster: a Metadata answer, made easy to look things up in.
package struct ClusterView: Sendable, Hashable {
    package struct Partition: Sendable, Hashable {
        /// Nil while there is none.
        package var leader: BrokerID?
        package var leaderEpoch: LeaderEpoch
        package var replicas: [BrokerID]
        package var inSyncReplicas: [BrokerID]
    }

    package struct Topic: Sendable, Hashable {
        package var id: TopicID
        package var partitions: [Int32: Partition]
    }

    package var brokers: [BrokerID: BrokerAddress] = [:]
    package var controller: BrokerID?
    package var topics: [String: Topic] = [:]
    /// Topics asked for that the cluster could not describe, and why.
    package var topicErrors: [String: ErrorCode] = [:]

    package init() {}

    package init(_ answer: MetadataResponse) {
        for broker in answer.brokers {
            brokers[BrokerID(broker.nodeId)] = BrokerAddress(host: broker.host, port: Int(broker.port))
        }
        if answer.controllerId >= 0 { controller = BrokerID(answer.controllerId) }
        for topic in answer.topics {
            guard let name = topic.name else { continue }
            guard topic.errorCode == .none else {
                topicErrors[name] = topic.errorCode
                continue
            }
            var partitions: [Int32: Partition] = [:]
            for partition in topic.partitions {
                partitions[partition.partitionIndex] = Partition(
                    leader: partition.leaderId >= 0 ? BrokerID(partition.leaderId) : nil,
                    leaderEpoch: LeaderEpoch(partition.leaderEpoch), replicas: partition.replicaNodes.map { BrokerID($0) },
                    inSyncReplicas: partition.isrNodes.map { BrokerID($0) })
            }
            topics[name] = Topic(id: topic.topicId, partitions: partitions)
        }
    }

    package func leader(of topic: String, partition: Int32) -> BrokerID? { topics[topic]?.partitions[partition]?.leader }

    /// Takes over what `newer` tells, and keeps what it was not asked about.
    package mutating func merge(_ newer: ClusterView) {
        brokers = newer.brokers
        controller = newer.controller
        for (name, topic) in newer.topics {
            topics[name] = topic
            topicErrors[name] = nil
        }
        for (name, error) in newer.topicErrors {
            topicErrors[name] = error
            topics[name] = nil
        }
    }
}
