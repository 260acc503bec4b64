//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// A topic's settings as a log needs them. Kafka's names and defaults (Kafka 3.9's `LogConfig`).
public struct LogConfiguration: Sendable, Hashable {
    /// `segment.bytes`
    public var segmentBytes: Int64 = 1 << 30
    /// `segment.ms`
    public var segmentAge: Duration = .seconds(7 * 86_400)
    /// `index.interval.bytes`
    public var indexIntervalBytes: Int64 = 4096
    /// `segment.index.bytes`
    public var segmentIndexBytes: Int64 = 10 << 20
    /// `retention.ms`; nil keeps for ever (-1).
    public var retentionTime: Duration? = .seconds(7 * 86_400)
    /// `retention.bytes`; nil for no bound (-1).
    public var retentionBytes: Int64?
    /// `local.retention.ms`; nil as total (-2).
    public var localRetentionTime: Duration?
    /// `local.retention.bytes`; nil as total (-2).
    public var localRetentionBytes: Int64?
    /// `file.delete.delay.ms`
    public var fileDeleteDelay: Duration = .seconds(60)
    /// `max.message.bytes`: a batch's bytes, header included.
    public var maxMessageBytes: Int = 1_048_588
    /// `min.insync.replicas`
    public var minInSyncReplicas: Int = 1
    /// `message.timestamp.type` = LogAppendTime
    public var stampsLogAppendTime = false
    /// `flush.messages`; nil never (Kafka's default).
    public var flushMessages: Int64?
    /// `flush.ms`; nil never (Kafka's default).
    public var flushInterval: Duration?
    /// `unclean.leader.election.enable`
    public var uncleanLeaderElection = false
    /// `leader.replication.throttled.replicas`: by the broker that leads.
    public var leaderThrottledReplicas = ThrottledReplicas.none
    /// `follower.replication.throttled.replicas`: by the broker that follows.
    public var followerThrottledReplicas = ThrottledReplicas.none

    public init() {}
}
