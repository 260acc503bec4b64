//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// The settings of brokers, as DescribeConfigs tells them: Kafka 3.7's names and defaults, and ours.
package enum BrokerConfigs {
    private static let natural = ConfigDefinition.Allowed.numbers(0...Int64.max)
    private static let positive = ConfigDefinition.Allowed.numbers(1...Int64.max)
    private static let positiveInt = ConfigDefinition.Allowed.numbers(1...Int64(Int32.max))

    /// What the frontend itself reads of the broker's file.
    static let frontend: [ConfigDefinition] = [
        ConfigDefinition("auto.create.topics.enable", .boolean, "true", "Whether asking for an unknown topic makes it."),
        ConfigDefinition(
            "auto.leader.rebalance.enable", .boolean, "true", "Whether leadership goes back to the preferred replica."),
        ConfigDefinition("default.replication.factor", .int, "1", positiveInt, "Replicas of topics that do not say."),
        ConfigDefinition("delete.topic.enable", .boolean, "true", "Whether topics may be deleted."),
        ConfigDefinition(
            "fetch.max.bytes", .int, "57671680", .numbers(1024...Int64(Int32.max)), "Bytes of one fetch answer at most."),
        ConfigDefinition(
            "group.initial.rebalance.delay.ms", .int, "3000", natural,
            "How long an empty group's first rebalance waits for more members."),
        ConfigDefinition("group.max.session.timeout.ms", .int, "1800000", natural, "Longest session a group member may ask for."),
        ConfigDefinition("group.max.size", .int, "2147483647", positiveInt, "Members of one group at most."),
        ConfigDefinition("group.min.session.timeout.ms", .int, "6000", natural, "Shortest session a group member may ask for."),
        ConfigDefinition(
            "leader.imbalance.check.interval.seconds", .long, "300", .numbers(1...1_000_000_000),
            "How often it is looked whether leadership should go back."),
        ConfigDefinition(
            "leader.imbalance.per.broker.percentage", .int, "10", .numbers(0...100),
            "Share of the partitions that prefer a broker that others may lead before they go back to it."),
        ConfigDefinition(
            "max.incremental.fetch.session.cache.slots", .int, "1000", .numbers(0...1_000_000),
            "Clients whose fetches the broker remembers the partitions of, at most."),
        ConfigDefinition("num.partitions", .int, "1", positiveInt, "Partitions of topics that do not say."),
        ConfigDefinition("offset.metadata.max.bytes", .int, "4096", natural, "Bytes of text a group may keep with an offset."),
        ConfigDefinition("offsets.commit.timeout.ms", .int, "5000", positive, "How long a commit waits for its replicas."),
        ConfigDefinition("offsets.load.buffer.size", .int, "5242880", positive, "Bytes read at a time when groups are loaded."),
        ConfigDefinition(
            "offsets.retention.check.interval.ms", .long, "600000", positive, "How often expired offsets are looked for."),
        ConfigDefinition(
            "offsets.retention.minutes", .int, "10080", positive, "How long offsets of a group without members are kept."),
        ConfigDefinition(
            "offsets.topic.num.partitions", .int, "50", positiveInt, "Partitions of the topic that groups are kept in."),
        ConfigDefinition(
            "offsets.topic.replication.factor", .short, "3", .numbers(1...Int64(Int16.max)),
            "Replicas of the topic that groups are kept in."),
        ConfigDefinition(
            "offsets.topic.segment.bytes", .int, "104857600", positiveInt, "Segments of the topic that groups are kept in."),
        ConfigDefinition(
            "remote.fetch.max.wait.ms", .int, "500", positiveInt,
            "How long a fetch waits for records that lie in an object store."),
        ConfigDefinition(
            "remote.log.reader.max.pending.tasks", .int, "100", positiveInt,
            "Reads of records in an object store under way at one time; beyond it fetches are answered without."),
        ConfigDefinition(
            "replica.lag.time.max.ms", .long, "30000", positive, "How long a follower may lag and stay in the in-sync set."),
    ]

    /// What other parts of the broker read, and what tools look for.
    private static let others: [ConfigDefinition] = [
        ConfigDefinition("advertised.listeners", .string, nil, "Where clients are told to go."),
        ConfigDefinition("broker.heartbeat.interval.ms", .int, "2000", positive, "How often a broker says it is alive."),
        ConfigDefinition("broker.id", .int, "-1", "Older name of node.id."),
        ConfigDefinition("broker.rack", .string, nil, "The zone the broker is in."),
        ConfigDefinition("broker.session.timeout.ms", .int, "9000", positive, "Silence after which a broker counts as dead."),
        ConfigDefinition("connections.max.idle.ms", .long, "600000", "Idle connections are closed after this."),
        ConfigDefinition(
            "follower.replication.throttled.rate", .long, "9223372036854775807", natural,
            "Bytes per second that throttled followers may fetch."),
        ConfigDefinition("inter.broker.protocol.version", .string, "3.7", "The release whose protocol the brokers speak."),
        ConfigDefinition(
            "leader.replication.throttled.rate", .long, "9223372036854775807", natural,
            "Bytes per second that leaders may send to throttled followers."),
        ConfigDefinition("listeners", .string, "PLAINTEXT://:9092", "Where the broker listens."),
        ConfigDefinition("log.dirs", .string, nil, "Where the broker keeps its data."),
        ConfigDefinition(
            "producer.id.expiration.ms", .int, "86400000", positive,
            "How long an idempotent producer that writes nothing is remembered."),
        ConfigDefinition(
            "producer.id.expiration.check.interval.ms", .int, "600000", positive,
            "How often producers to be forgotten are looked for."),
        ConfigDefinition("log.retention.check.interval.ms", .long, "300000", positive, "How often old segments are looked for."),
        ConfigDefinition("metadata.store.url", .string, nil, "Where the cluster keeps its metadata."),
        ConfigDefinition("metrics.listener", .string, nil, "Where the broker tells its metrics."),
        ConfigDefinition("node.id", .int, nil, "The broker's number."),
        ConfigDefinition("object.store.url", .string, nil, "Where objects are kept."),
        ConfigDefinition("process.roles", .list, "broker,controller", "What the node does in the cluster."),
        ConfigDefinition("queued.max.request.bytes", .long, "268435456", "Bytes of requests the broker holds at most."),
        ConfigDefinition(
            "remote.log.manager.copy.max.bytes.per.second", .long, "9223372036854775807", positive,
            "Bytes per second of segments that are copied to the object store."),
        ConfigDefinition(
            "remote.log.manager.copy.quota.window.num", .int, "11", .numbers(2...1_000),
            "Windows over which copied bytes are counted."),
        ConfigDefinition(
            "remote.log.manager.copy.quota.window.size.seconds", .int, "1", .numbers(1...3_600),
            "Length of a window over which copied bytes are counted."),
        ConfigDefinition(
            "remote.log.manager.fetch.max.bytes.per.second", .long, "9223372036854775807", positive,
            "Bytes per second that consumers read from the object store."),
        ConfigDefinition(
            "remote.log.manager.fetch.quota.window.num", .int, "11", .numbers(2...1_000),
            "Windows over which fetched bytes are counted."),
        ConfigDefinition(
            "remote.log.manager.fetch.quota.window.size.seconds", .int, "1", .numbers(1...3_600),
            "Length of a window over which fetched bytes are counted."),
        ConfigDefinition(
            "remote.log.manager.task.interval.ms", .long, "30000", positive, "How often segments are looked at for offloading."),
        ConfigDefinition("replica.fetch.max.bytes", .int, "1048576", natural, "Bytes of one partition in a follower's fetch."),
        ConfigDefinition("replica.fetch.response.max.bytes", .int, "10485760", natural, "Bytes of a follower's fetch."),
        ConfigDefinition("replica.fetch.wait.max.ms", .int, "500", "How long a follower's fetch waits."),
        ConfigDefinition("socket.request.max.bytes", .int, "104857600", positiveInt, "Largest request."),
        ConfigDefinition("volume.copies", .int, "1", "Copies the broker's volume keeps of every byte."),
        ConfigDefinition("wal.capacity.bytes", .long, "268435456", "Size of the write-ahead log."),
        ConfigDefinition("wal.path", .string, nil, "Where the write-ahead log lies."),
    ]

    /// The defaults of topics, under the names brokers have for them.
    private static let topicDefaults: [ConfigDefinition] = TopicConfigs.definitions.flatMap { topic in
        topic.synonyms.map { synonym in
            ConfigDefinition(
                synonym.name, topic.kind, synonym.factor == 1 ? topic.defaultValue : nil,
                synonym.factor == 1 ? topic.allowed : .anything,
                "Default of the topic setting \(topic.name). \(topic.documentation)")
        }
    }

    /// In the order of their names.
    package static let definitions: [ConfigDefinition] = (frontend + others + topicDefaults).sorted { $0.name < $1.name }

    private static let byName = Dictionary(definitions.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })

    package static func definition(_ name: String) -> ConfigDefinition? { byName[name] }

    /// Settings that may change while the broker runs.
    package static let dynamicNames: Set<String> = {
        var names = Set(topicDefaults.map(\.name))
        names.formUnion([
            "leader.replication.throttled.rate", "follower.replication.throttled.rate", "remote.fetch.max.wait.ms",
            "remote.log.manager.copy.max.bytes.per.second", "remote.log.manager.fetch.max.bytes.per.second",
        ])
        names.remove(TopicConfigs.storageMode)
        return names
    }()

    package static func isReadOnly(_ name: String) -> Bool { !dynamicNames.contains(name) }

    /// Checks settings that are to change while the broker runs.
    package static func check(_ configs: [String: String]) throws(ConfigProblem) {
        for (name, value) in configs.sorted(by: { $0.key < $1.key }) {
            guard let definition = definition(name) else { throw ConfigProblem("\(name) is not a setting of brokers") }
            guard dynamicNames.contains(name) else {
                throw ConfigProblem("\(name) cannot be changed while the broker runs: change it in the broker's file and restart")
            }
            try definition.check(value)
        }
    }
}
