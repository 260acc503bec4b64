//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// Limits and intervals of the `tiered` engine. Kafka's names where Kafka has the thing.
public struct TieredSettings: Sendable, Hashable {
    /// `remote.log.manager.task.interval.ms`. A roll is noticed at once; this is for what time alone brings (retention, retries).
    public var taskInterval: Duration = .seconds(30)
    /// Segments being uploaded at one time, over all partitions of the broker (`remote.log.manager.copier.thread.pool.size`).
    public var copyConcurrency = 2
    /// A segment up to this size is one put; a larger one goes up in parts of this size. Bounds an upload's memory.
    public var partBytes = 16 << 20
    /// Bytes of a `.log` object that are fetched and cached together.
    public var chunkBytes = 1 << 20
    /// Bytes that one get brings to a reader that goes on in order.
    public var readAheadBytes = 4 << 20
    /// Bytes of chunks kept.
    public var chunkCacheBytes = 64 << 20
    /// Bytes of segments' indexes kept.
    public var indexCacheBytes = 16 << 20
    /// `remote.log.manager.copy.max.bytes.per.second`: segments that go up. Beyond it they wait on their volume.
    public var copyLimit = TransferLimit()
    /// `remote.log.manager.fetch.max.bytes.per.second`: what consumers read from the tier. Beyond it they are answered without records.
    public var fetchLimit = TransferLimit()
    /// `remote.log.chunk.compression.type`: how chunks of new segments are kept; nil for as they are.
    public var chunkCompression: ChunkCompression.Codec?
    /// How long the objects of an attempt that another broker began and did not finish are left alone: it may still be putting them.
    public var orphanGrace: Duration = .seconds(60)
    /// How long ``TieredEngine/settle()`` on a follower waits for the leader's next upload.
    public var settlePatience: Duration = .seconds(2)

    public init() {}

    /// What contradicts what, for the start-up check; nil if nothing does.
    public var problem: String? {
        if copyConcurrency <= 0 { return "the copy concurrency must be positive" }
        if partBytes < 5 << 20 { return "an upload's part has \(partBytes) bytes; object stores need 5 MiB" }
        if chunkBytes <= 0 || readAheadBytes < chunkBytes {
            return "the read-ahead (\(readAheadBytes) bytes) must hold at least one chunk (\(chunkBytes) bytes)"
        }
        for limit in [copyLimit, fetchLimit]
        where limit.bytesPerSecond ?? 1 <= 0 || limit.windows < 2 || limit.windowLength <= .zero {
            return "a transfer limit needs bytes, at least two windows, and windows of some length"
        }
        if taskInterval <= .zero { return "the task interval must be positive" }
        return nil
    }
}
