//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel

/// One thing the controller will commit: all of it or none, and only while what it was decided upon still stands.
package enum ControllerAction: Sendable, Hashable {
    case change(PartitionRecord, from: Versioned<PartitionRecord>)
    case assignRecovery(RecoveryRecord, replacing: Versioned<RecoveryRecord>?)
    case assignDeletion(DeletionRecord, replacing: Versioned<DeletionRecord>?)
    case finishDeletion(Versioned<TopicRecord>, Versioned<DeletionRecord>)

    var conditions: [Transaction.Condition] {
        switch self {
        case .change(let record, let old):
            [.revision(MetadataKey.partition(record.topicID, record.partition), old.revision)]
        case .assignRecovery(let record, let old):
            // One that has just come back recovers its own data: nobody else may be sent to it then.
            [Self.unchanged(MetadataKey.recovery(of: record.broker), old?.revision)]
                + (record.assignee == record.broker ? [] : [.absent(MetadataKey.broker(record.broker))])
        case .assignDeletion(let record, let old):
            [Self.unchanged(MetadataKey.deletion(of: record.topicID), old?.revision)]
        case .finishDeletion(let topic, let deletion):
            [
                .revision(MetadataKey.topic(topic.record.name), topic.revision),
                .revision(MetadataKey.deletion(of: topic.record.id), deletion.revision),
            ]
        }
    }

    /// - Parameter time: The wall clock's, in milliseconds since 1970.
    func operations(at time: Int64) -> [Transaction.Operation] {
        switch self {
        case .change(let record, _): [MetadataOperations.put(record)]
        case .assignRecovery(let record, _): [.put(MetadataKey.recovery(of: record.broker), RecordCoding.encode(record))]
        case .assignDeletion(let record, _): [.put(MetadataKey.deletion(of: record.topicID), RecordCoding.encode(record))]
        case .finishDeletion(let topic, _):
            [
                .delete(MetadataKey.topic(topic.record.name)),
                .deletePrefix(MetadataKey.partitions(of: topic.record.id)),
                .delete(MetadataKey.deletion(of: topic.record.id)),
                .deletePrefix(MetadataKey.deletion(of: topic.record.id) + "/"),
                .put(
                    MetadataKey.deletedTopic(topic.record.id),
                    RecordCoding.encode(
                        DeletedTopicRecord(topicID: topic.record.id, name: topic.record.name, deletedAt: time))),
            ]
        }
    }

    private static func unchanged(_ key: String, _ revision: Int64?) -> Transaction.Condition {
        revision.map { .revision(key, $0) } ?? .absent(key)
    }
}

/// What happened since the controller last decided, so that it need not look at ten thousand partitions for each that changed.
package struct ControllerWork: Sendable, Hashable {
    package var allPartitions: Bool
    package var partitions: Set<PartitionID>
    package var duties: Bool
    /// Died since; some may be back.
    package var diedBrokers: Set<BrokerID>
    /// Topics whose settings may have changed what is to be decided of their partitions.
    package var topics: Set<TopicID>
    /// It is time to see whether leadership should go back to the preferred leaders.
    package var rebalance: Bool

    package init(
        allPartitions: Bool = false, partitions: Set<PartitionID> = [], duties: Bool = false, diedBrokers: Set<BrokerID> = [],
        topics: Set<TopicID> = [], rebalance: Bool = false
    ) {
        self.topics = topics
        self.rebalance = rebalance
        self.allPartitions = allPartitions
        self.partitions = partitions
        self.duties = duties
        self.diedBrokers = diedBrokers
    }

    /// For one who has just become the controller.
    package static let everything = ControllerWork(allPartitions: true, duties: true)

    package var isEmpty: Bool {
        !allPartitions && partitions.isEmpty && !duties && diedBrokers.isEmpty && topics.isEmpty && !rebalance
    }

    package mutating func add(_ other: ControllerWork) {
        allPartitions = allPartitions || other.allPartitions
        partitions.formUnion(other.partitions)
        duties = duties || other.duties
        diedBrokers.formUnion(other.diedBrokers)
        topics.formUnion(other.topics)
        rebalance = rebalance || other.rebalance
    }

    package mutating func add(_ update: MetadataUpdate) {
        if !update.changedBrokers.isEmpty || update.brokerConfigsChanged { allPartitions = true }
        topics.formUnion(update.changedTopics)
        partitions.formUnion(update.changedPartitions)
        duties = duties || update.dutiesChanged || !update.changedTopics.isEmpty || !update.changedBrokers.isEmpty
        diedBrokers.formUnion(update.diedBrokers)
    }
}

/// What the controller would do about an image. Pure.
package struct ControllerPlanner: Sendable {
    package static let uncleanElectionConfig = "unclean.leader.election.enable"

    package var placement: @Sendable (_ storageMode: String) -> ReplicaPlacement
    /// Where neither a topic nor the brokers' common settings say.
    package var allowsUncleanElection: Bool
    /// nil leaves leadership where it is.
    package var rebalance: LeaderRebalance?
    /// Whether leadership of a mode's partitions may change without need.
    package var handsOver: @Sendable (_ storageMode: String) -> Bool

    package init(
        placement: @escaping @Sendable (_ storageMode: String) -> ReplicaPlacement, allowsUncleanElection: Bool = false,
        rebalance: LeaderRebalance? = nil, handsOver: @escaping @Sendable (_ storageMode: String) -> Bool = { _ in true }
    ) {
        self.handsOver = handsOver
        self.rebalance = rebalance
        self.placement = placement
        self.allowsUncleanElection = allowsUncleanElection
    }

    /// - Returns: Actions in the order in which they must take effect: who becomes the owner of a dead broker's partition must already
    ///   find that its data are being recovered.
    package func plan(_ image: MetadataImage, _ work: ControllerWork) -> [ControllerAction] {
        var actions: [ControllerAction] = []
        if work.duties || !work.diedBrokers.isEmpty {
            actions += recoveries(image)
            actions += deletions(image)
        }
        return actions + partitions(image, work)
    }

    // MARK: Partitions

    private func partitions(_ image: MetadataImage, _ work: ControllerWork) -> [ControllerAction] {
        let brokers = BrokerAvailability(image, restarted: work.diedBrokers)
        var load: [BrokerID: Int]?
        let uncleanDefault = image.brokerConfigs[nil]?[Self.uncleanElectionConfig].map { $0 == "true" } ?? allowsUncleanElection
        let rebalance = work.rebalance ? rebalance : nil
        let imbalanced = rebalance?.imbalanced(image.allPartitions, brokers: brokers) ?? []
        var actions: [ControllerAction] = []
        func decide(_ old: Versioned<PartitionRecord>, _ topic: TopicRecord) {
            let placement = placement(topic.storageMode)
            let brokers = brokers.able(old.record)
            if placement == .singleOwner, load == nil { load = ownerLoad(image) }
            let unclean = topic.configs[Self.uncleanElectionConfig].map { $0 == "true" } ?? uncleanDefault
            var next = old.record
            switch placement {
            case .singleOwner:
                next = LeaderElection.electOwner(next, brokers: brokers, load: &load!) ?? next
            case .replicated:
                next = LeaderElection.elect(next, brokers: brokers, unclean: unclean) ?? next
                next = Reassignment.progress(next, brokers: brokers) ?? next
                // Both in one step of the record.
                next.leaderEpoch = min(next.leaderEpoch, old.record.leaderEpoch.next)
                next.partitionEpoch = min(next.partitionEpoch, old.record.partitionEpoch + 1)
            }
            if next == old.record, !imbalanced.isEmpty, handsOver(topic.storageMode) {
                next =
                    LeaderRebalance.back(next, placement: placement, imbalanced: imbalanced, brokers: brokers) ?? next
            }
            if next != old.record { actions.append(.change(next, from: old)) }
        }
        if work.allPartitions || !work.diedBrokers.isEmpty || !imbalanced.isEmpty {
            for topic in image.topics.sorted(by: { $0.name < $1.name }) {
                for entry in image.partitionsByTopic[topic.id]?.entries ?? [] { if let entry { decide(entry, topic) } }
            }
        } else {
            for topic in work.topics.compactMap({ image.topic($0) }).sorted(by: { $0.name < $1.name }) {
                for entry in image.partitionsByTopic[topic.id]?.entries ?? [] { if let entry { decide(entry, topic) } }
            }
            for id in work.partitions.sorted() where !work.topics.contains(id.topicID) {
                guard let topic = image.topic(id.topicID), let entry = image.storedPartition(id.topicID, id.partition) else {
                    continue
                }
                decide(entry, topic)
            }
        }
        return actions
    }

    private func ownerLoad(_ image: MetadataImage) -> [BrokerID: Int] {
        var load: [BrokerID: Int] = [:]
        for topic in image.topics where placement(topic.storageMode) == .singleOwner {
            for partition in image.partitions(of: topic.id) {
                // A partition on its way counts where it goes.
                if let owner = partition.addingReplicas.first ?? partition.leader { load[owner, default: 0] += 1 }
            }
        }
        return load
    }

    // MARK: Recoveries

    /// Each dead broker whose last run did not close its data gets one live broker that takes them over.
    private func recoveries(_ image: MetadataImage) -> [ControllerAction] {
        let brokers = BrokerAvailability(image)
        var load: [BrokerID: Int] = [:]
        for recovery in image.recoveries.values { load[recovery.record.assignee, default: 0] += 1 }
        var actions: [ControllerAction] = []
        for (id, epoch) in image.brokerEpochs.sorted(by: { $0.key < $1.key }) {
            let current = image.recoveries[id]
            var next = current?.record
            if !brokers.live.contains(id), (image.closedEpochs[id] ?? .none) < epoch, (next?.epoch ?? .none) < epoch {
                next = RecoveryRecord(broker: id, epoch: epoch, assignee: next?.assignee ?? id)
            }
            guard var next else { continue }
            if !brokers.live.contains(next.assignee) {
                // The broker itself, if it is back; it is nearest to its data.
                guard let assignee = brokers.live.contains(id) ? id : brokers.leastLoaded(load) else { continue }
                next.assignee = assignee
                load[assignee, default: 0] += 1
            }
            if next != current?.record { actions.append(.assignRecovery(next, replacing: current)) }
        }
        return actions
    }

    // MARK: Deletions

    private func deletions(_ image: MetadataImage) -> [ControllerAction] {
        image.topicsBeingDeleted.sorted { $0.name < $1.name }.compactMap { deletion(of: $0, image) }
    }

    /// Names for each partition the one that deletes its shared data: its leader, which knows best what it has there. Done when that
    /// has happened, and no live replica holds anything. (A dead one finds out when it returns.)
    private func deletion(of topic: TopicRecord, _ image: MetadataImage) -> ControllerAction? {
        let acknowledgements = image.deletionAcknowledgements[topic.id] ?? [:]
        let current = image.deletions[topic.id]
        let partitions = image.partitions(of: topic.id)
        guard let anybody = image.liveBrokers.min() else { return nil }
        var owners = [BrokerID](repeating: anybody, count: Int(topic.partitionCount))
        var isDone = true
        for partition in partitions where partition.partition < topic.partitionCount {
            let number = partition.partition
            let named = current.flatMap { Int(number) < $0.record.owners.count ? $0.record.owners[Int(number)] : nil }
            let hasDeleted = named.map { acknowledgements[$0]?.ownedPartitions.contains(number) ?? false } ?? false
            if !hasDeleted { isDone = false }
            if let named, hasDeleted || image.isLive(named) {
                owners[Int(number)] = named
            } else {
                owners[Int(number)] =
                    ([partition.leader].compactMap { $0 } + partition.replicas).first(where: image.isLive) ?? anybody
            }
            if partition.replicas.contains(where: { image.isLive($0) && acknowledgements[$0] == nil }) { isDone = false }
        }
        let next = DeletionRecord(topicID: topic.id, owners: owners)
        guard let current, current.record == next else { return .assignDeletion(next, replacing: current) }
        guard isDone, let stored = image.storedTopic(named: topic.name) else { return nil }
        return .finishDeletion(stored, current)
    }
}
