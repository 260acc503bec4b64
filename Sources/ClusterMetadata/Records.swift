//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import LogModel

/// Where each record lies in the ``MetadataStore``. Values are JSON.
///
/// ```
/// /cluster                        ClusterRecord        made once
/// /brokers/<id>                   BrokerRecord         bound to the broker's lease
/// /broker-epochs/<id>             last BrokerEpoch given, decimal
/// /log-directories/<id>           ids of the broker's log directories, JSON
/// /controller                     ControllerRecord     bound to the controller's lease
/// /topics/<name>                  TopicRecord
/// /partitions/<topic hex>/<n>     PartitionRecord
/// /configs/brokers/<id or "">     ConfigRecord
/// /producer-ids                   next block, decimal
/// /recoveries/<id>                RecoveryRecord       a dead broker's data are being taken over
/// /closed-epochs/<id>             last BrokerEpoch whose data are taken care of, decimal
/// /deletions/<topic hex>          DeletionRecord       who deletes the shared data of a topic
/// /deletions/<topic hex>/<id>     DeletionAcknowledgement
/// /deleted-topics/<topic hex>     DeletedTopicRecord   kept for a week, for brokers that were away
/// /shared/…, /tiered/…            the engines' own
/// ```
public enum MetadataKey {
    public static let cluster = "/cluster"
    public static let brokers = "/brokers/"
    public static let brokerEpochs = "/broker-epochs/"
    public static let logDirectories = "/log-directories/"
    public static let controller = "/controller"
    public static let topics = "/topics/"
    public static let partitions = "/partitions/"
    public static let brokerConfigs = "/configs/brokers/"
    public static let producerIDs = "/producer-ids"
    public static let recoveries = "/recoveries/"
    public static let closedEpochs = "/closed-epochs/"
    public static let deletions = "/deletions/"
    public static let deletedTopics = "/deleted-topics/"

    public static func broker(_ id: BrokerID) -> String { brokers + String(id.rawValue) }
    public static func brokerEpoch(_ id: BrokerID) -> String { brokerEpochs + String(id.rawValue) }
    public static func logDirectories(of id: BrokerID) -> String { logDirectories + String(id.rawValue) }
    /// Of one broker, or of all where nil.
    public static func brokerConfig(_ id: BrokerID?) -> String { brokerConfigs + (id.map { String($0.rawValue) } ?? "") }
    public static func recovery(of id: BrokerID) -> String { recoveries + String(id.rawValue) }
    public static func closedEpoch(_ id: BrokerID) -> String { closedEpochs + String(id.rawValue) }
    public static func deletion(of topic: TopicID) -> String { deletions + topic.hex }
    public static func deletion(of topic: TopicID, by id: BrokerID) -> String { "\(deletions)\(topic.hex)/\(id.rawValue)" }
    public static func deletedTopic(_ topic: TopicID) -> String { deletedTopics + topic.hex }
    public static func topic(_ name: String) -> String { topics + name }
    public static func partition(_ topic: TopicID, _ number: Int32) -> String { "\(partitions)\(topic.hex)/\(number)" }
    public static func partitions(of topic: TopicID) -> String { "\(partitions)\(topic.hex)/" }
}

public struct ClusterRecord: Codable, Sendable, Hashable {
    /// 22 characters, as Kafka's.
    public var clusterID: String
    /// Layout of everything in the store; a higher one than we know refuses the start.
    public var formatVersion: Int

    public init(clusterID: String, formatVersion: Int) {
        self.clusterID = clusterID
        self.formatVersion = formatVersion
    }
}

public struct BrokerRecord: Codable, Sendable, Hashable {
    public var id: BrokerID
    public var epoch: BrokerEpoch
    /// What clients are told to connect to.
    public var host: String
    public var port: Int
    public var rack: String?
    /// `http://host:port` of the broker's metrics listener, if it has one.
    public var metricsURL: String?
    /// Set while the broker hands over before a controlled stop: no new leadership.
    public var isDraining: Bool

    public init(
        id: BrokerID, epoch: BrokerEpoch, host: String, port: Int, rack: String? = nil, metricsURL: String? = nil,
        isDraining: Bool = false
    ) {
        self.id = id
        self.epoch = epoch
        self.host = host
        self.port = port
        self.rack = rack
        self.metricsURL = metricsURL
        self.isDraining = isDraining
    }
}

public struct ControllerRecord: Codable, Sendable, Hashable {
    public var broker: BrokerID
    public var epoch: BrokerEpoch

    public init(broker: BrokerID, epoch: BrokerEpoch) {
        self.broker = broker
        self.epoch = epoch
    }
}

public struct TopicRecord: Codable, Sendable, Hashable {
    public var name: String
    public var id: TopicID
    /// `storage.mode` of the topic, fixed at its creation.
    public var storageMode: String
    public var partitionCount: Int32
    /// What the creator asked for; `shared` keeps one replica all the same.
    public var requestedReplicationFactor: Int16
    /// Settings that differ from the broker's defaults, by Kafka's names.
    public var configs: [String: String]
    public var isInternal: Bool
    /// Set first when a topic is deleted; the record goes when every broker has let go.
    public var isBeingDeleted: Bool

    public init(
        name: String, id: TopicID, storageMode: String, partitionCount: Int32, requestedReplicationFactor: Int16,
        configs: [String: String] = [:], isInternal: Bool = false, isBeingDeleted: Bool = false
    ) {
        self.name = name
        self.id = id
        self.storageMode = storageMode
        self.partitionCount = partitionCount
        self.requestedReplicationFactor = requestedReplicationFactor
        self.configs = configs
        self.isInternal = isInternal
        self.isBeingDeleted = isBeingDeleted
    }
}

public struct PartitionRecord: Codable, Sendable, Hashable {
    public var topicID: TopicID
    public var partition: Int32
    public var leader: BrokerID?
    public var leaderEpoch: LeaderEpoch
    /// +1 at each change of this record.
    public var partitionEpoch: Int64
    public var replicas: [BrokerID]
    public var inSyncReplicas: [BrokerID]
    public var addingReplicas: [BrokerID]
    public var removingReplicas: [BrokerID]
    /// A single owner's partition: whose it was meant to be, while another owns it for want of that one. Leadership goes back there.
    public var preferredOwner: BrokerID?
    /// Replicas whose log directory failed, as their brokers said: alive or not, these cannot lead or follow. Nil for none.
    public var offlineReplicas: [BrokerID]?
    /// In which run each of ``inSyncReplicas`` was counted in, where it is known: one that has begun another run since may have lost what
    /// it had not synced (KIP-903). Durable, so that a controller sees it that was not there when the broker died.
    public var inSyncRuns: [BrokerRun]?

    public init(
        topicID: TopicID, partition: Int32, leader: BrokerID?, leaderEpoch: LeaderEpoch = LeaderEpoch(0), partitionEpoch: Int64 = 0,
        replicas: [BrokerID], inSyncReplicas: [BrokerID], addingReplicas: [BrokerID] = [], removingReplicas: [BrokerID] = [],
        preferredOwner: BrokerID? = nil
    ) {
        self.preferredOwner = preferredOwner
        self.topicID = topicID
        self.partition = partition
        self.leader = leader
        self.leaderEpoch = leaderEpoch
        self.partitionEpoch = partitionEpoch
        self.replicas = replicas
        self.inSyncReplicas = inSyncReplicas
        self.addingReplicas = addingReplicas
        self.removingReplicas = removingReplicas
    }

    public var isMoving: Bool { !addingReplicas.isEmpty || !removingReplicas.isEmpty }
    /// Replicas once the move is done.
    public var targetReplicas: [BrokerID] { replicas.filter { !removingReplicas.contains($0) } }
    public func isOffline(_ replica: BrokerID) -> Bool { offlineReplicas?.contains(replica) ?? false }
    /// The run in which a member of the ISR was counted in; nil if it is none, or nobody noted it.
    public func inSyncRun(of replica: BrokerID) -> BrokerEpoch? {
        guard inSyncReplicas.contains(replica) else { return nil }
        return inSyncRuns?.first { $0.broker == replica }?.epoch
    }
    /// Who is to lead when all is well.
    public var preferredLeader: BrokerID? { preferredOwner ?? targetReplicas.first }
}

/// One run of a broker.
public struct BrokerRun: Codable, Sendable, Hashable {
    public var broker: BrokerID
    public var epoch: BrokerEpoch

    public init(broker: BrokerID, epoch: BrokerEpoch) {
        self.broker = broker
        self.epoch = epoch
    }
}

public struct ConfigRecord: Codable, Sendable, Hashable {
    public var configs: [String: String]
    public init(configs: [String: String]) { self.configs = configs }
}

/// A broker died without closing its data; a survivor takes them over (for `shared`: fences its write-ahead log and replays it).
public struct RecoveryRecord: Codable, Sendable, Hashable {
    public var broker: BrokerID
    /// The run of `broker` that died.
    public var epoch: BrokerEpoch
    /// The one broker that does it. Another is named if this one dies first.
    public var assignee: BrokerID

    public init(broker: BrokerID, epoch: BrokerEpoch, assignee: BrokerID) {
        self.broker = broker
        self.epoch = epoch
        self.assignee = assignee
    }
}

/// Who deletes what of a topic that is being deleted.
public struct DeletionRecord: Codable, Sendable, Hashable {
    public var topicID: TopicID
    /// By partition: the one broker that deletes the partition's data in shared stores.
    public var owners: [BrokerID]

    public init(topicID: TopicID, owners: [BrokerID]) {
        self.topicID = topicID
        self.owners = owners
    }
}

/// A topic that is gone, with all that live brokers held of it.
public struct DeletedTopicRecord: Codable, Sendable, Hashable {
    public var topicID: TopicID
    public var name: String
    /// Milliseconds since 1970 by the controller's clock.
    public var deletedAt: Int64

    public init(topicID: TopicID, name: String, deletedAt: Int64) {
        self.topicID = topicID
        self.name = name
        self.deletedAt = deletedAt
    }
}

/// A broker holds nothing of the topic on its volume any more.
public struct DeletionAcknowledgement: Codable, Sendable, Hashable {
    public var topicID: TopicID
    public var broker: BrokerID
    /// Partitions whose data in shared stores it has deleted too.
    public var ownedPartitions: [Int32]

    public init(topicID: TopicID, broker: BrokerID, ownedPartitions: [Int32]) {
        self.topicID = topicID
        self.broker = broker
        self.ownedPartitions = ownedPartitions
    }
}
