//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel
internal import RuntimeEnvironment
package import TieredOffload

/// A node's settings: Kafka's names where Kafka has the thing, ours where it has not. Defaults are Kafka 3.9's.
package struct BrokerConfiguration: Sendable {
    package var nodeID: BrokerID
    package var listener: Listener
    /// Where clients are told to go; nil means the listener's own host and bound port.
    package var advertisedListener: Listener?
    package var rack: String?
    /// Loopback unless told otherwise; nil for none.
    package var metricsListener: Listener?

    /// `log.dirs`: each `DIR` or `replicated:N:DIR`. Replicated logs are spread over all of them.
    package var logDirectories: [String]
    /// The first, where the broker's other files lie too.
    package var logDirectory: String { logDirectories[0] }
    /// Where this broker's WAL lies: a volume specification; nil for a `wal` folder of ``logDirectory``.
    package var walVolume: String?
    /// `wal.path=object:`: the WAL goes to the object store.
    package var walIsInObjects: Bool
    package var walObjectBatchBytes: Int
    package var walObjectLinger: Duration
    package var metadataStoreURL: String
    package var objectStoreURL: String
    /// `storage.mode` of topics that do not say.
    package var storageMode: String
    /// `storage.modes`: the engines this broker runs; a topic may choose among them at its creation.
    package var enabledModes: Set<String>

    package var sessionTimeout: Duration
    package var replicaLagTimeMax: Duration
    package var replicaFetchWaitMax: Duration
    package var replicaFetchMaxBytes: Int
    package var replicaFetchResponseMaxBytes: Int
    package var retentionCheckInterval: Duration
    package var producerIDExpiration: Duration
    package var producerIDExpirationCheckInterval: Duration
    package var socketRequestMaxBytes: Int
    /// `memory.budget.bytes`: what the settings below default to shares of.
    package var memory: MemoryBudget
    package var queuedMaxRequestBytes: Int
    /// `log.tail.cache.bytes`, of all engines with segments together.
    package var tailCacheBytes: Int
    package var chunkCacheBytes: Int
    package var connectionsMaxIdle: Duration

    package var walCapacityBytes: Int64
    package var walUploadThresholdBytes: Int64
    package var walUploadInterval: Duration
    package var streamObjectSplitBytes: Int64
    package var objectBlockBytes: Int64
    package var logCacheBytes: Int64
    package var blockCacheBytes: Int64
    package var objectDeleteRetention: Duration
    package var remoteLogTaskInterval: Duration
    /// `follower.fetch.last.tiered.offset.enable` (KIP-1023).
    package var followerFetchesFromTierEnd: Bool
    /// `remote.log.manager.copy.max.bytes.per.second` and its windows (KIP-956).
    package var remoteCopyLimit: TransferLimit
    package var remoteFetchLimit: TransferLimit
    /// `remote.log.chunk.compression.type`
    package var remoteChunkCompression: ChunkCompression.Codec?
    /// `stream.close.strategy`: whether a move uploads the tail before it closes the stream, or behind.
    package var closesByUploading: Bool
    /// `object.maintenance.interval.ms`: between two looks at what to compact, to expire and to delete.
    package var objectMaintenanceInterval: Duration
    /// `object.merge.fan.in`: so many adjacent objects of one size class are merged.
    package var objectMergeFanIn: Int
    /// `object.prepared.ttl.ms`: an object announced and not committed by then is garbage.
    package var objectPreparedTTL: Duration
    /// `object.audit.interval.ms`: between two audits by the controller; zero for none.
    package var objectAuditInterval: Duration
    /// `object.audit.grace.ms`: how old an object that the metadata do not know must be to be removed by the controller's audit.
    package var objectAuditGrace: Duration

    /// Everything as given, for the frontend's `DescribeConfigs` and the defaults of topics.
    package var given: [String: String]
    /// Keys nobody knows, for a warning.
    package var unknownKeys: [String]

    package static let storageModes = ["isr", "tiered", "shared", "memory"]

    /// Reads settings.
    ///
    /// - Parameter alsoKnown: Keys that other modules read out of ``given`` (topic defaults, group settings).
    package init(_ source: ConfigurationValues, alsoKnown: some Sequence<String>) throws(ConfigurationError) {
        var values = source
        values.expect(alsoKnown)
        guard values.text("node.id") != nil || values.text("broker.id") != nil else {
            throw ConfigurationError("node.id is missing: give each broker of the cluster a number of its own, as in node.id=1")
        }
        let idKey = values.text("node.id") != nil ? "node.id" : "broker.id"
        nodeID = BrokerID(Int32(try values.integer(idKey, default: 0, in: 0...Int64(Int32.max))))

        listener = try Self.single(&values, "listeners") ?? Listener(name: "PLAINTEXT", host: "127.0.0.1", port: 9092)
        advertisedListener = try Self.single(&values, "advertised.listeners")
        rack = values.text("broker.rack")
        metricsListener =
            switch values.text("metrics.listener") {
            case nil, "": nil
            case .some(let text):
                try Listener(parsing: text.hasPrefix("http://") ? "PLAINTEXT" + text.dropFirst(4) : text, key: "metrics.listener")
            }

        guard let text = values.text("log.dirs") ?? values.text("log.dir") else {
            throw ConfigurationError(
                "log.dirs is missing: name the directory for this broker's data, as in log.dirs=/var/lib/ninefold")
        }
        values.expect(["log.dir"])
        var directories = text.split(separator: ",").map { $0.trimmingPrefix { $0 == " " } }.map(String.init).filter { !$0.isEmpty }
        guard !directories.isEmpty, Set(directories.map { Self.plainDirectory($0) }).count == directories.count else {
            throw ConfigurationError(
                key: "log.dirs", value: text, allowed: "different directories with commas between, each DIR or replicated:N:DIR")
        }
        if let copies = try values.optionalInteger("volume.copies", in: 1...9), copies > 1 {
            guard !directories.contains(where: { $0.hasPrefix("replicated:") }) else {
                throw ConfigurationError("volume.copies=\(copies) beside log.dirs=\(text): give the number of copies once")
            }
            directories = directories.map { "replicated:\(copies):\($0)" }
        }
        logDirectories = directories
        walIsInObjects = values.text("wal.path") == "object:"
        walVolume = walIsInObjects ? nil : values.text("wal.path")
        walObjectBatchBytes = Int(try values.integer("wal.object.batch.bytes", default: 8 << 20, in: 1 << 10...1 << 30))
        walObjectLinger = try values.duration("wal.object.linger.ms", default: 250, in: 0...60_000)
        for (key, specification) in directories.map({ ("log.dirs", Optional($0)) }) + [("wal.path", walVolume)] {
            guard let specification else { continue }
            do throws(VolumeError) { _ = try Volume.Kind(parsing: specification) } catch {
                throw ConfigurationError(
                    key: key, value: specification,
                    allowed: "a directory, or replicated:N:DIR with N from 1 to 16" + (key == "wal.path" ? ", or object:" : ""))
            }
        }
        let plain = Self.plainDirectory(directories[0])
        metadataStoreURL = values.text("metadata.store.url", default: "sqlite://\(plain)/metadata.db")
        objectStoreURL = values.text("object.store.url", default: "file://\(plain)/objects")
        storageMode = try values.choice("storage.mode", default: "isr", among: Self.storageModes)
        let modes = values.text("storage.modes", default: Self.storageModes.joined(separator: ","))
        enabledModes = Set(modes.split(separator: ",").map { String($0).trimmed })
        guard enabledModes.isSubset(of: Self.storageModes), enabledModes.contains(storageMode) else {
            throw ConfigurationError(
                key: "storage.modes", value: modes,
                allowed: "some of \(Self.storageModes.joined(separator: ", ")), storage.mode (\(storageMode)) among them")
        }

        sessionTimeout = try values.duration("broker.session.timeout.ms", default: 9_000, in: 200...3_600_000)
        values.expect(["broker.heartbeat.interval.ms"])
        replicaLagTimeMax = try values.duration("replica.lag.time.max.ms", default: 30_000, in: 1...Int64.max / 1_000_000)
        replicaFetchWaitMax = try values.duration("replica.fetch.wait.max.ms", default: 500, in: 1...60_000)
        replicaFetchMaxBytes = Int(try values.integer("replica.fetch.max.bytes", default: 1 << 20, in: 1...1 << 30))
        replicaFetchResponseMaxBytes = Int(
            try values.integer("replica.fetch.response.max.bytes", default: 10 << 20, in: 1...1 << 30))
        producerIDExpiration = try values.duration("producer.id.expiration.ms", default: 86_400_000, in: 1...Int64(Int32.max))
        producerIDExpirationCheckInterval = try values.duration(
            "producer.id.expiration.check.interval.ms", default: 600_000, in: 1...Int64(Int32.max))
        retentionCheckInterval = try values.duration(
            "log.retention.check.interval.ms", default: 300_000, in: 1...Int64.max / 1_000_000)
        socketRequestMaxBytes = Int(try values.integer("socket.request.max.bytes", default: 100 << 20, in: 1024...1 << 30))
        memory = MemoryBudget(
            bytes: try values.integer("memory.budget.bytes", default: MemoryBudget.standardBytes, in: 64 << 20...1 << 44))
        queuedMaxRequestBytes = Int(
            try values.integer("queued.max.request.bytes", default: memory.requests, in: 1 << 20...1 << 40))
        tailCacheBytes = Int(try values.integer("log.tail.cache.bytes", default: memory.tails, in: 0...1 << 44))
        chunkCacheBytes = Int(try values.integer("remote.log.chunk.cache.bytes", default: memory.chunks, in: 1 << 20...1 << 44))
        connectionsMaxIdle = try values.duration("connections.max.idle.ms", default: 600_000, in: 1_000...Int64.max / 1_000_000)

        walCapacityBytes = try values.integer("wal.capacity.bytes", default: 256 << 20, in: 64 << 10...1 << 40)
        walUploadThresholdBytes = try values.integer("wal.upload.threshold.bytes", default: 64 << 20, in: 16 << 10...1 << 40)
        guard walUploadThresholdBytes * 2 <= walCapacityBytes else {
            throw ConfigurationError(
                key: "wal.upload.threshold.bytes", value: String(walUploadThresholdBytes),
                allowed: "at most half of wal.capacity.bytes (\(walCapacityBytes)), so that writing goes on while an upload runs")
        }
        walUploadInterval = try values.duration("wal.upload.interval.ms", default: 60_000, in: 10...86_400_000)
        streamObjectSplitBytes = try values.integer("stream.object.split.bytes", default: 8 << 20, in: 1 << 10...1 << 40)
        objectBlockBytes = try values.integer("object.block.bytes", default: 512 << 10, in: 4 << 10...64 << 20)
        logCacheBytes = try values.integer("log.cache.bytes", default: memory.logCache, in: 1 << 20...1 << 44)
        blockCacheBytes = try values.integer("block.cache.bytes", default: memory.blocks, in: 1 << 20...1 << 44)
        objectDeleteRetention = try values.duration("object.delete.retention.ms", default: 60_000, in: 0...86_400_000)
        objectMaintenanceInterval = try values.duration("object.maintenance.interval.ms", default: 60_000, in: 10...86_400_000)
        objectMergeFanIn = Int(try values.integer("object.merge.fan.in", default: 8, in: 2...1_000))
        objectPreparedTTL = try values.duration("object.prepared.ttl.ms", default: 3_600_000, in: 1_000...86_400_000)
        remoteLogTaskInterval = try values.duration("remote.log.manager.task.interval.ms", default: 30_000, in: 10...86_400_000)

        followerFetchesFromTierEnd = try values.boolean("follower.fetch.last.tiered.offset.enable", default: false)
        remoteCopyLimit = try Self.transferLimit(&values, "copy")
        remoteFetchLimit = try Self.transferLimit(&values, "fetch")
        remoteChunkCompression = ChunkCompression.Codec(
            rawValue: try values.choice(
                "remote.log.chunk.compression.type", default: "none",
                among: ["none"] + ChunkCompression.Codec.allCases.map(\.rawValue)))
        closesByUploading =
            try values.choice("stream.close.strategy", default: "close-first", among: ["close-first", "upload-first"])
            == "upload-first"
        objectAuditInterval = try values.duration("object.audit.interval.ms", default: 21_600_000, in: 0...Int64.max / 1_000_000)
        objectAuditGrace = try values.duration("object.audit.grace.ms", default: 86_400_000, in: 1_000...Int64.max / 1_000_000)

        given = values.all
        unknownKeys = values.unknownKeys
    }

    /// The directory of a volume specification.
    package static func plainDirectory(_ specification: String) -> String {
        guard specification.hasPrefix("replicated:") else { return specification }
        return specification.split(separator: ":", maxSplits: 2).last.map(String.init) ?? specification
    }

    private static func transferLimit(
        _ values: inout ConfigurationValues, _ direction: String
    ) throws(ConfigurationError) -> TransferLimit {
        let prefix = "remote.log.manager.\(direction)"
        let bytes = try values.integer("\(prefix).max.bytes.per.second", default: .max, in: 1...Int64.max)
        var limit = TransferLimit(bytesPerSecond: bytes == .max ? nil : bytes)
        limit.windows = Int(try values.integer("\(prefix).quota.window.num", default: 11, in: 2...1_000))
        limit.windowLength = .seconds(try values.integer("\(prefix).quota.window.size.seconds", default: 1, in: 1...3_600))
        return limit
    }

    private static func single(_ values: inout ConfigurationValues, _ key: String) throws(ConfigurationError) -> Listener? {
        guard let text = values.text(key) else { return nil }
        guard !text.contains(",") else {
            throw ConfigurationError(key: key, value: text, allowed: "one listener (several are not there yet)")
        }
        return try Listener(parsing: text, key: key)
    }
}
