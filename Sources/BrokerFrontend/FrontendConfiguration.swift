//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import ClusterMetadata
internal import RuntimeEnvironment

/// The frontend's part of a broker's settings.
package struct FrontendConfiguration: Sendable {
    /// `storage.mode` of topics that do not say.
    package var storageMode: String
    package var partitionCount: Int32
    package var replicationFactor: Int16
    package var createsTopics: Bool
    package var deletesTopics: Bool
    package var fetchMaxBytes: Int
    /// `remote.fetch.max.wait.ms`: how long a fetch waits for what has to come from an object store.
    package var remoteFetchWaitMax: Duration
    /// `remote.log.reader.max.pending.tasks`
    package var remoteReadsMax: Int
    /// `max.incremental.fetch.session.cache.slots`
    package var fetchSessionSlots: Int
    /// Within which a session's resting partitions are each looked at: an eighth of `replica.lag.time.max.ms`, so that a leader knows a
    /// follower's idle partitions to be in sync.
    package var fetchSessionRefreshInterval: Duration
    /// How leadership goes back to preferred leaders; nil leaves it where it is.
    package var leaderRebalance: LeaderRebalance?
    package var allowsUncleanElection: Bool
    package var groupLimits: GroupState.Limits
    package var offsetsTopicPartitionCount: Int32
    package var offsetsTopicReplicationFactor: Int16
    package var offsetsTopicSegmentBytes: Int64
    package var offsetsCommitTimeout: Duration
    package var offsetsRetention: Duration
    package var offsetsRetentionCheckInterval: Duration
    package var offsetsLoadBufferBytes: Int
    package var offsetMetadataMaxBytes: Int
    /// The broker's file as given, for DescribeConfigs and for the defaults of topics.
    package var file: [String: String]

    /// Keys that are read here, or that give topics their defaults.
    package static let knownKeys: [String] =
        BrokerConfigs.frontend.map(\.name) + TopicConfigs.definitions.flatMap { $0.synonyms.map(\.name) } + ["process.roles"]

    /// - Parameter file: The broker's settings as text; what the frontend does not know is left alone.
    package init(file: [String: String] = [:]) throws(ConfigProblem) {
        for name in Self.knownKeys {
            if let value = file[name] { try BrokerConfigs.definition(name)?.check(value) }
        }
        func number(_ name: String) -> Int64 {
            guard let value = (file[name] ?? BrokerConfigs.definition(name)?.defaultValue).flatMap({ Int64($0) }) else {
                preconditionFailure("\(name) has been checked and has a default")
            }
            return value
        }
        func flag(_ name: String) -> Bool { (file[name] ?? BrokerConfigs.definition(name)?.defaultValue)?.lowercased() == "true" }
        self.file = file
        storageMode = file[TopicConfigs.storageMode] ?? "isr"
        partitionCount = Int32(number("num.partitions"))
        replicationFactor = Int16(clamping: number("default.replication.factor"))
        createsTopics = flag("auto.create.topics.enable")
        deletesTopics = flag("delete.topic.enable")
        fetchMaxBytes = Int(number("fetch.max.bytes"))
        remoteFetchWaitMax = .milliseconds(number("remote.fetch.max.wait.ms"))
        remoteReadsMax = Int(number("remote.log.reader.max.pending.tasks"))
        fetchSessionSlots = Int(number("max.incremental.fetch.session.cache.slots"))
        fetchSessionRefreshInterval = .milliseconds(max(1, number("replica.lag.time.max.ms") / 8))
        leaderRebalance =
            flag("auto.leader.rebalance.enable")
            ? LeaderRebalance(
                percentage: Int(number("leader.imbalance.per.broker.percentage")),
                interval: .seconds(number("leader.imbalance.check.interval.seconds"))) : nil
        allowsUncleanElection = flag("unclean.leader.election.enable")
        let shortest = number("group.min.session.timeout.ms")
        let longest = number("group.max.session.timeout.ms")
        guard shortest <= longest else {
            throw ConfigProblem(
                name: "group.min.session.timeout.ms", value: String(shortest),
                allowed: "at most group.max.session.timeout.ms (\(longest))")
        }
        groupLimits = GroupState.Limits(
            initialRebalanceDelay: .milliseconds(number("group.initial.rebalance.delay.ms")),
            sessionTimeout: Duration.milliseconds(shortest)...Duration.milliseconds(longest), sizeMax: Int(number("group.max.size"))
        )
        offsetsTopicPartitionCount = Int32(number("offsets.topic.num.partitions"))
        offsetsTopicReplicationFactor = Int16(number("offsets.topic.replication.factor"))
        offsetsTopicSegmentBytes = number("offsets.topic.segment.bytes")
        offsetsCommitTimeout = .milliseconds(number("offsets.commit.timeout.ms"))
        offsetsRetention = .seconds(number("offsets.retention.minutes") * 60)
        offsetsRetentionCheckInterval = .milliseconds(number("offsets.retention.check.interval.ms"))
        offsetsLoadBufferBytes = Int(number("offsets.load.buffer.size"))
        offsetMetadataMaxBytes = Int(number("offset.metadata.max.bytes"))
    }
}
