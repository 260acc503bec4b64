//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// Limits and intervals of the `shared` engine. The defaults are AutoMQ's where it has the thing, scaled where a broker here is smaller.
public struct SharedStorageSettings: Sendable, Hashable {
    /// Bytes of the WAL ring, without its two header pages. A multiple of 4096; the file never grows.
    public var walCapacityBytes: Int64 = 256 << 20
    /// A group (one `pwritev` per stretch of the ring, one `fdatasync`) takes what is queued up to this.
    public var walGroupBytesMax = 8 << 20
    /// Appends queued for the WAL or waiting for their acknowledgement; beyond it appends are refused as overloaded.
    public var walQueueBytesMax = 64 << 20
    /// Share of the ring in use from which uploads are forced.
    public var walPressureShare = 0.5
    /// An object WAL's object is put once it holds this much,
    public var walObjectBatchBytes = 8 << 20
    /// or once this much time has passed since the last one began.
    public var walObjectLinger: Duration = .milliseconds(250)
    /// Bytes appended since the last upload that start the next.
    public var uploadThresholdBytes: Int64 = 64 << 20
    /// Longest time an appended batch waits for its upload to begin.
    public var uploadInterval: Duration = .seconds(60)
    /// A stream that brings this much to an upload gets an object of its own; the others share one.
    public var streamObjectSplitBytes = 8 << 20
    /// Streams in one stream-set object, which bounds a commit's transaction.
    public var streamsPerObjectMax = 20_000
    /// Objects being put at one time.
    public var uploadConcurrency = 4
    /// A data block is closed once it holds this many record bytes.
    public var blockBytes = 512 << 10
    /// Bytes of batches kept in memory for tail readers. What is not uploaded yet is always kept: where it comes to this much, appends are
    /// refused as overloaded until uploads have made room.
    public var logCacheBytes: Int64 = 128 << 20
    /// Bytes of data blocks read from objects and kept.
    public var blockCacheBytes = 64 << 20
    /// Bytes of objects' indexes kept.
    public var indexCacheBytes = 16 << 20
    /// One GET of a read in order asks for about this much, several at a time.
    public var readAheadBytes = 1 << 20
    /// What is on its way to a reader, or lies ready, beyond what it has asked for: doubles to this while it reads in order.
    public var readAheadBytesMax = 16 << 20
    /// Time between looks at what to compact, to retain, to delete.
    public var maintenanceInterval: Duration = .seconds(60)
    /// Adjacent objects of a stream are merged up to this.
    public var mergedObjectBytesMax: Int64 = 64 << 20
    /// This many objects of one size class, side by side, are merged: bounds what compaction writes to a logarithm of the bytes.
    public var mergeFanIn = 8
    /// How long a destroyed object stays for readers that are on their way to it.
    public var destroyedObjectGrace: Duration = .seconds(600)
    /// A prepared object that is not committed by then is garbage.
    public var preparedObjectTTL: Duration = .seconds(3_600)
    /// An idempotent producer that has written nothing to a partition for so long is forgotten there (`producer.id.expiration.ms`).
    public var producerIDExpiration: Duration = .seconds(86_400)
    /// A move uploads the stream's batches before it closes the stream, so that nothing is left to bring behind; else the stream is
    /// closed at its logical end at once and the tail follows behind.
    public var closesByUploading = false
    /// How long opening a partition waits for its former owner, or the one that recovers it, to close the stream. The caller looks at
    /// the metadata again and tries again.
    public var openTimeout: Duration = .seconds(5)
    /// How long a read waits for a tail that its former owner is still uploading.
    public var tailTimeout: Duration = .seconds(30)

    public init() {}

    /// Bytes appended since the last upload that start the next: ``uploadThresholdBytes``, or less where memory is short, since what is
    /// not uploaded cannot leave the log cache.
    var appendedBytesMax: Int64 { min(uploadThresholdBytes, max(logCacheBytes / 2, Int64(blockBytes))) }

    /// Of what is not uploaded, in memory at one time: two uploads' worth, so that appends go on while one runs.
    var pinnedBytesMax: Int64 { max(logCacheBytes, 2 * appendedBytesMax, 1 << 20) }

    /// What contradicts what, for the start-up check; nil if nothing does.
    public var problem: String? {
        if walCapacityBytes < 64 << 10 || walCapacityBytes % 4096 != 0 {
            return "the WAL's capacity is \(walCapacityBytes) bytes; it must be a multiple of 4096 and at least 65536"
        }
        if walGroupBytesMax <= 0 || walQueueBytesMax < walGroupBytesMax {
            return "the WAL's queue (\(walQueueBytesMax) bytes) must hold at least one group (\(walGroupBytesMax) bytes)"
        }
        if walObjectBatchBytes <= 0 || walObjectLinger < .zero {
            return "an object of the WAL must hold at least a byte, and wait no negative time"
        }
        if blockBytes <= 0 || streamObjectSplitBytes <= 0 || streamsPerObjectMax <= 0 || uploadConcurrency <= 0 || mergeFanIn < 2 {
            return "block size, split size, streams per object and upload concurrency must be positive, the merge fan-in at least 2"
        }
        return nil
    }
}
