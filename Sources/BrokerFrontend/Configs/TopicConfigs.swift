//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import ClusterMetadata
package import LogEngine

/// The settings of topics: Kafka 3.7's names and defaults, and `storage.mode`.
package enum TopicConfigs {
    package static let storageMode = "storage.mode"
    package static let remoteStorageEnable = "remote.storage.enable"
    package static let storageModes = ["isr", "tiered", "shared", "memory"]

    private static let hour: Int64 = 3_600_000
    private static let minute: Int64 = 60_000
    private static let positive = ConfigDefinition.Allowed.numbers(1...Int64.max)
    private static let natural = ConfigDefinition.Allowed.numbers(0...Int64.max)
    private static let orUnlimited = ConfigDefinition.Allowed.numbers(-1...Int64.max)
    private static let noCompaction = "Of use with compaction, which is not there yet."

    /// In the order of their names.
    package static let definitions: [ConfigDefinition] = [
        ConfigDefinition(
            "cleanup.policy", .list, "delete", .only("delete", because: "compacted topics are not there yet"),
            synonyms: [.init("log.cleanup.policy")], "What becomes of old segments: they are deleted by age and size."),
        ConfigDefinition(
            "compression.type", .string, "producer",
            .only("producer", because: "batches are stored as producers compressed them"), synonyms: [.init("compression.type")],
            "How batches are compressed: as the producer did."),
        ConfigDefinition(
            "delete.retention.ms", .long, "86400000", natural, synonyms: [.init("log.cleaner.delete.retention.ms")],
            "How long deletion markers stay. \(noCompaction)"),
        ConfigDefinition(
            "file.delete.delay.ms", .long, "60000", natural, synonyms: [.init("log.segment.delete.delay.ms")],
            "How long a deleted segment's files stay for readers that are still at them."),
        ConfigDefinition(
            "flush.messages", .long, "9223372036854775807", positive, synonyms: [.init("log.flush.interval.messages")],
            "Records after which the log is synced to its disk, before they are acknowledged."),
        ConfigDefinition(
            "flush.ms", .long, "9223372036854775807", natural,
            synonyms: [.init("log.flush.interval.ms"), .init("log.flush.scheduler.interval.ms")],
            "How long a record may wait to be synced to its disk; looked at every half second."),
        ConfigDefinition(
            "follower.replication.throttled.replicas", .list, "", .throttledReplicas,
            "Replicas whose fetching is held back: partition:broker pairs, or *."),
        ConfigDefinition(
            "index.interval.bytes", .int, "4096", natural, synonyms: [.init("log.index.interval.bytes")],
            "Bytes of log between two entries of the offset index."),
        ConfigDefinition(
            "leader.replication.throttled.replicas", .list, "", .throttledReplicas,
            "Replicas that leaders hold back: partition:broker pairs, or *."),
        ConfigDefinition(
            "local.retention.bytes", .long, "-2", .numbers(-2...Int64.max), synonyms: [.init("log.local.retention.bytes")],
            "Bytes kept on the broker once they are in the object store; -2 for retention.bytes."),
        ConfigDefinition(
            "local.retention.ms", .long, "-2", .numbers(-2...Int64.max), synonyms: [.init("log.local.retention.ms")],
            "How long segments stay on the broker once they are in the object store; -2 for retention.ms."),
        ConfigDefinition(
            "max.compaction.lag.ms", .long, "9223372036854775807", positive,
            synonyms: [.init("log.cleaner.max.compaction.lag.ms")], "Longest wait for compaction. \(noCompaction)"),
        ConfigDefinition(
            "max.message.bytes", .int, "1048588", natural, synonyms: [.init("message.max.bytes")],
            "Largest batch that is taken, as sent, header included."),
        ConfigDefinition(
            "message.timestamp.after.max.ms", .long, "9223372036854775807", natural,
            synonyms: [.init("log.message.timestamp.after.max.ms")], "Accepted as in Kafka; timestamps are not held against it."),
        ConfigDefinition(
            "message.timestamp.before.max.ms", .long, "9223372036854775807", natural,
            synonyms: [.init("log.message.timestamp.before.max.ms")], "Accepted as in Kafka; timestamps are not held against it."),
        ConfigDefinition(
            "message.timestamp.type", .string, "CreateTime", .oneOf(["CreateTime", "LogAppendTime"]),
            synonyms: [.init("log.message.timestamp.type")], "Whether records keep the producer's timestamp or get the broker's."),
        ConfigDefinition(
            "min.cleanable.dirty.ratio", .double, "0.5", .fraction(0...1), synonyms: [.init("log.cleaner.min.cleanable.ratio")],
            "Share of a log that must be new before it is compacted. \(noCompaction)"),
        ConfigDefinition(
            "min.compaction.lag.ms", .long, "0", natural, synonyms: [.init("log.cleaner.min.compaction.lag.ms")],
            "Shortest time a record stays uncompacted. \(noCompaction)"),
        ConfigDefinition(
            "min.insync.replicas", .int, "1", .numbers(1...Int64(Int32.max)), synonyms: [.init("min.insync.replicas")],
            "Replicas that must hold a batch before it is acknowledged with acks=all."),
        ConfigDefinition(
            "preallocate", .boolean, "false", synonyms: [.init("log.preallocate")],
            "Accepted as in Kafka; segments grow as they are written."),
        ConfigDefinition(
            remoteStorageEnable, .boolean, "false",
            "Whether segments move on to the object store (KIP-405): the same as storage.mode=tiered, fixed at creation."),
        ConfigDefinition(
            "retention.bytes", .long, "-1", orUnlimited, synonyms: [.init("log.retention.bytes")],
            "Bytes a partition keeps at least before old segments are deleted; -1 for all."),
        ConfigDefinition(
            "retention.ms", .long, "604800000", orUnlimited,
            synonyms: [
                .init("log.retention.ms"), .init("log.retention.minutes", factor: minute),
                .init("log.retention.hours", factor: hour),
            ], "How long records are kept; -1 for ever."),
        ConfigDefinition(
            "segment.bytes", .int, "1073741824", .numbers(14...Int64(Int32.max)), synonyms: [.init("log.segment.bytes")],
            "Largest segment: deletion and offloading go by whole segments."),
        ConfigDefinition(
            "segment.index.bytes", .int, "10485760", .numbers(4...Int64(Int32.max)), synonyms: [.init("log.index.size.max.bytes")],
            "Largest index of a segment."),
        ConfigDefinition(
            "segment.jitter.ms", .long, "0", natural,
            synonyms: [.init("log.roll.jitter.ms"), .init("log.roll.jitter.hours", factor: hour)],
            "Accepted as in Kafka; segments are rolled at segment.ms."),
        ConfigDefinition(
            "segment.ms", .long, "604800000", positive,
            synonyms: [.init("log.roll.ms"), .init("log.roll.hours", factor: hour)],
            "Age at which a segment is closed even if it is not full."),
        ConfigDefinition(
            storageMode, .string, nil, .oneOf(storageModes), synonyms: [.init(storageMode)],
            "How the topic's logs are kept: isr, tiered or shared (memory for tests). Fixed at creation."),
        ConfigDefinition(
            "unclean.leader.election.enable", .boolean, "false", synonyms: [.init("unclean.leader.election.enable")],
            "Whether a replica outside the in-sync set may lead when no other is left, at the price of lost records."),
    ]

    private static let byName = Dictionary(uniqueKeysWithValues: definitions.map { ($0.name, $0) })

    package static func definition(_ name: String) -> ConfigDefinition? { byName[name] }

    // MARK: Checking

    /// Checks a topic's own settings, each and together.
    package static func check(_ configs: [String: String]) throws(ConfigProblem) {
        for (name, value) in configs.sorted(by: { $0.key < $1.key }) {
            guard let definition = definition(name) else { throw ConfigProblem("\(name) is not a setting of topics") }
            try definition.check(value)
        }
        try checkLocal(configs, "local.retention.ms", within: "retention.ms")
        try checkLocal(configs, "local.retention.bytes", within: "retention.bytes")
    }

    private static func checkLocal(_ configs: [String: String], _ local: String, within total: String) throws(ConfigProblem) {
        guard let text = configs[local], let kept = Int64(text), kept != -2 else { return }
        let whole = (configs[total] ?? definition(total)?.defaultValue).flatMap { Int64($0) } ?? -1
        guard whole == -1 || (kept != -1 && kept <= whole) else {
            throw ConfigProblem(name: local, value: text, allowed: "at most \(total) (\(whole)), or -2 for the same")
        }
    }

    /// The storage mode a new topic gets: `storage.mode`, or what `remote.storage.enable` says, or the broker's.
    package static func mode(_ configs: [String: String], brokerDefault: String) throws(ConfigProblem) -> String {
        let remote = configs[remoteStorageEnable].map { $0.lowercased() == "true" }
        guard let mode = configs[storageMode] else {
            switch remote {
            case true: return "tiered"
            case false where brokerDefault == "tiered": return "isr"
            default: return brokerDefault
            }
        }
        guard remote == nil || remote == (mode == "tiered") else {
            throw ConfigProblem(
                "\(remoteStorageEnable)=\(configs[remoteStorageEnable] ?? "") contradicts \(storageMode)=\(mode): give one of them")
        }
        return mode
    }

    // MARK: What a log needs

    /// The settings of the topic's logs.
    ///
    /// - Parameter brokerDefaults: The broker's settings by their own names (`log.segment.bytes`, …), those set while running laid
    ///   over those of its file.
    package static func logConfiguration(
        topic: TopicRecord, brokerDefaults: [String: String]
    ) throws(ConfigProblem) -> LogConfiguration {
        let values = TopicConfigValues(ConfigSources(topic: topic.configs, file: brokerDefaults))
        var log = LogConfiguration()
        log.segmentBytes = try values.number("segment.bytes")
        log.segmentAge = .milliseconds(try values.number("segment.ms"))
        log.indexIntervalBytes = try values.number("index.interval.bytes")
        log.segmentIndexBytes = try values.number("segment.index.bytes")
        log.retentionTime = try values.limit("retention.ms").map { .milliseconds($0) }
        log.retentionBytes = try values.limit("retention.bytes")
        log.localRetentionTime = try values.limit("local.retention.ms").map { .milliseconds($0) }
        log.localRetentionBytes = try values.limit("local.retention.bytes")
        log.fileDeleteDelay = .milliseconds(try values.number("file.delete.delay.ms"))
        log.maxMessageBytes = Int(try values.number("max.message.bytes"))
        log.minInSyncReplicas = Int(try values.number("min.insync.replicas"))
        log.stampsLogAppendTime = try values.text("message.timestamp.type") == "LogAppendTime"
        let flushMessages = try values.number("flush.messages")
        log.flushMessages = flushMessages == .max ? nil : flushMessages
        let flushMilliseconds = try values.number("flush.ms")
        log.flushInterval = flushMilliseconds >= Int64.max / 1_000_000 ? nil : .milliseconds(flushMilliseconds)
        log.uncleanLeaderElection = try values.text("unclean.leader.election.enable").lowercased() == "true"
        log.leaderThrottledReplicas =
            ThrottledReplicas(try values.text("leader.replication.throttled.replicas")) ?? .none
        log.followerThrottledReplicas =
            ThrottledReplicas(try values.text("follower.replication.throttled.replicas")) ?? .none
        return log
    }
}

/// Values that have been checked on the way out.
private struct TopicConfigValues {
    var sources: ConfigSources

    init(_ sources: ConfigSources) { self.sources = sources }

    func text(_ name: String) throws(ConfigProblem) -> String {
        guard let definition = TopicConfigs.definition(name), let value = sources.value(definition, isTopicConfig: true) else {
            preconditionFailure("\(name) is defined and has a default")
        }
        try definition.check(value)
        return value
    }

    func number(_ name: String) throws(ConfigProblem) -> Int64 {
        let value = try text(name)
        guard let number = Int64(value) else { throw ConfigProblem(name: name, value: value, allowed: "a whole number") }
        return number
    }

    /// nil for the negative values that mean "none".
    func limit(_ name: String) throws(ConfigProblem) -> Int64? {
        let number = try number(name)
        return number < 0 ? nil : number
    }
}
