//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// What one broker's engine is told besides each topic's settings. Kafka's names and defaults.
public struct ReplicatedLogSettings: Sendable {
    /// The value of `storage.mode` that the engine answers to.
    public var name = "isr"
    /// Below each volume's root. "" opens a data directory of Kafka's own.
    public var directory = "isr"
    /// The cluster's id, written into `meta.properties`; nil writes none.
    public var clusterID: String?
    /// The logs' beginnings may lie elsewhere (an owner above offloads them): a log start below the first local segment is kept.
    public var startMayBeRemote = false

    /// `replica.lag.time.max.ms`
    public var replicaLagTimeMax: Duration = .seconds(30)
    /// `replica.fetch.wait.max.ms`
    public var replicaFetchWaitMax: Duration = .milliseconds(500)
    /// `replica.fetch.min.bytes`
    public var replicaFetchMinBytes = 1
    /// `replica.fetch.max.bytes`, per partition.
    public var replicaFetchMaxBytes = 1 << 20
    /// `replica.fetch.response.max.bytes`
    public var replicaFetchResponseMaxBytes = 10 << 20
    /// `replica.fetch.backoff.ms`
    public var replicaFetchBackoff: Duration = .milliseconds(500)
    /// `replica.high.watermark.checkpoint.interval.ms`
    public var highWatermarkCheckpointInterval: Duration = .seconds(5)
    /// `log.flush.offset.checkpoint.interval.ms` and `log.flush.start.offset.checkpoint.interval.ms`
    public var offsetCheckpointInterval: Duration = .seconds(60)
    /// `log.retention.check.interval.ms`
    public var retentionCheckInterval: Duration = .seconds(300)
    /// `producer.id.expiration.ms`: how long an idempotent producer that writes nothing is remembered.
    public var producerIDExpiration: Duration = .seconds(86_400)
    /// `producer.id.expiration.check.interval.ms`
    public var producerIDExpirationCheckInterval: Duration = .seconds(600)
    /// Bytes of appends that wait to be written, per log directory. Beyond, appends are refused as overloaded.
    public var queuedBytesMax = 256 << 20
    /// Memory for the ends of logs as they were received, per log directory, from which followers and consumers that keep up are answered.
    public var tailCacheBytesMax = 64 << 20
    /// How long to wait before asking a metadata store again that did not answer, or refused a broker as a member.
    public var membershipRetryInterval: Duration = .milliseconds(500)
    /// The broker's, shared by its engines.
    public var throttles = ReplicationThrottles()

    public init() {}
}
