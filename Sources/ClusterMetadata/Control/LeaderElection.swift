//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel

/// Which brokers may be given work, at one moment.
package struct BrokerAvailability: Sendable, Hashable {
    /// Their lease holds.
    package var live: Set<BrokerID>
    /// Of these, the ones about to stop.
    package var draining: Set<BrokerID>
    /// Of these, the ones that died and came back since decisions were last made: what they had not synced may be gone.
    package var restarted: Set<BrokerID>
    /// The runs of the live ones, where they are known.
    package var epochs: [BrokerID: BrokerEpoch]

    package init(
        live: Set<BrokerID>, draining: Set<BrokerID> = [], restarted: Set<BrokerID> = [], epochs: [BrokerID: BrokerEpoch] = [:]
    ) {
        self.live = live
        self.epochs = epochs
        self.draining = draining.intersection(live)
        self.restarted = restarted.intersection(live)
    }

    package init(_ image: MetadataImage, restarted: Set<BrokerID> = []) {
        self.init(
            live: image.liveBrokers, draining: image.drainingBrokers, restarted: restarted,
            epochs: image.brokers.mapValues(\.record.epoch))
    }

    /// Alive, and here to stay.
    package func isSteady(_ broker: BrokerID) -> Bool {
        live.contains(broker) && !draining.contains(broker) && !restarted.contains(broker)
    }

    /// As this partition has them: without the brokers that cannot hold it now, and with those restarted that were counted into its ISR
    /// in an earlier run, whoever saw them die.
    package func able(_ record: PartitionRecord) -> BrokerAvailability {
        var able = self
        if let offline = record.offlineReplicas, !offline.isEmpty {
            able = BrokerAvailability(live: live.subtracting(offline), draining: draining, restarted: restarted, epochs: epochs)
        }
        for run in record.inSyncRuns ?? [] {
            if let epoch = able.epochs[run.broker], epoch != run.epoch, able.live.contains(run.broker) {
                able.restarted.insert(run.broker)
            }
        }
        return able
    }

    /// The steady one with the least of `load`; of several the one with the lowest id. Any live one if none is steady.
    func leastLoaded(_ load: [BrokerID: Int], except: BrokerID? = nil) -> BrokerID? {
        let candidates = live.filter { $0 != except && isSteady($0) }
        let fallback = live.filter { $0 != except }
        return (candidates.isEmpty ? fallback : candidates).min { left, right in
            (load[left] ?? 0, left) < (load[right] ?? 0, right)
        }
    }
}

/// Chooses who leads a partition. Pure: record in, record out; nil where nothing is to change.
package enum LeaderElection {
    /// For partitions whose replicas each hold the log.
    ///
    /// A steady leader stays, and dead members leave the ISR. Else the first member of the ISR, in the order of the replicas, leads.
    /// Where no member lives there is no leader and the ISR stays as it is: each of its members holds all that was acknowledged,
    /// so the first to return may lead. Only `unclean` lets a replica lead that may lack acknowledged records.
    package static func elect(_ record: PartitionRecord, brokers: BrokerAvailability, unclean: Bool = false) -> PartitionRecord? {
        let alive = record.inSyncReplicas.filter(brokers.live.contains)
        var next = record
        if let leader = record.leader, brokers.isSteady(leader), alive.contains(leader) {
            next.inSyncReplicas = staying(alive, with: leader, brokers)
        } else if let leader = chosen(from: alive, in: record, brokers) {
            next.lead(leader, again: brokers.restarted.contains(leader), after: record)
            next.inSyncReplicas = staying(alive, with: leader, brokers)
        } else if unclean, let leader = chosen(from: record.replicas.filter(brokers.live.contains), in: record, brokers) {
            next.lead(leader, again: true, after: record)
            next.inSyncReplicas = [leader]
        } else {
            next.lead(nil, after: record)
        }
        if next != record, next.leader != nil { next.countIn(next.inSyncReplicas, brokers) }
        return next.bumped(after: record)
    }

    /// For partitions with a single owner, which any broker may become.
    ///
    /// A live owner stays; one that is about to stop is told to hand over. A dead owner's partition goes to where it was being moved,
    /// else to the survivor that owns the least.
    ///
    /// - Parameter load: Partitions each broker owns; kept up to date.
    package static func electOwner(
        _ record: PartitionRecord, brokers: BrokerAvailability, load: inout [BrokerID: Int]
    ) -> PartitionRecord? {
        var next = record
        if let owner = record.leader, brokers.live.contains(owner) {
            if brokers.restarted.contains(owner) {
                next.lead(owner, again: true, after: record)
                next.countIn([owner], brokers)
            }
            let isGoing = record.addingReplicas.first.map(brokers.live.contains) ?? false
            if brokers.draining.contains(owner), !isGoing, let heir = brokers.leastLoaded(load, except: owner),
                brokers.isSteady(heir)
            {
                next.preferredOwner = record.preferredLeader
                next.beginHandover(from: owner, to: heir)
                load[heir, default: 0] += 1
                load[owner, default: 0] -= 1
            }
        } else {
            // Its own broker, where nobody else could take over meanwhile.
            let returned = record.leader == nil ? record.replicas.first : nil
            let owner =
                record.addingReplicas.first(where: brokers.live.contains)
                ?? returned.flatMap { brokers.live.contains($0) ? $0 : nil }
                ?? brokers.leastLoaded(load)
            next.lead(owner, after: record)
            if let owner {
                next.preferredOwner = record.preferredLeader == owner ? nil : record.preferredLeader
                next.own(owner)
                next.countIn([owner], brokers)
                load[owner, default: 0] += 1
            }
        }
        return next.bumped(after: record)
    }

    /// Gives the leadership back to the first of the replicas; a single owner's partition to whose it was meant to be, by a hand-over.
    ///
    /// - Throws: ``MetadataOperationError/Code/electionNotNeeded``, ``MetadataOperationError/Code/preferredLeaderNotAvailable``.
    package static func electPreferred(
        _ record: PartitionRecord, placement: ReplicaPlacement = .replicated, brokers: BrokerAvailability
    ) throws(MetadataOperationError) -> PartitionRecord {
        guard let preferred = record.preferredLeader, preferred != record.leader else {
            throw MetadataOperationError(.electionNotNeeded, "partition \(record.partition) is led by its preferred broker already")
        }
        guard brokers.isSteady(preferred), placement == .singleOwner || record.inSyncReplicas.contains(preferred) else {
            throw MetadataOperationError(
                .preferredLeaderNotAvailable,
                "broker \(preferred), the preferred leader of partition \(record.partition), is not alive and in sync")
        }
        var next = record
        switch placement {
        case .replicated: next.lead(preferred, after: record)
        case .singleOwner:
            guard let owner = record.leader, brokers.live.contains(owner), !record.isMoving else {
                throw MetadataOperationError(
                    .preferredLeaderNotAvailable, "partition \(record.partition) has no owner who could hand it over now")
            }
            next.preferredOwner = nil
            next.beginHandover(from: owner, to: preferred)
        }
        return next.bumped(after: record)!
    }

    /// Members of the ISR once `leader` leads: the steady ones, and the leader.
    private static func staying(_ alive: [BrokerID], with leader: BrokerID, _ brokers: BrokerAvailability) -> [BrokerID] {
        alive.filter { $0 == leader || brokers.isSteady($0) }
    }

    /// In the order of the replicas: a steady one, else the leader of now, else any.
    private static func chosen(
        from candidates: [BrokerID], in record: PartitionRecord, _ brokers: BrokerAvailability
    ) -> BrokerID? {
        let ordered = record.replicas.filter(candidates.contains)
        return ordered.first(where: brokers.isSteady) ?? record.leader.flatMap { ordered.contains($0) ? $0 : nil } ?? ordered.first
    }
}

extension PartitionRecord {
    /// Sets the leader, in a new epoch if it is another than before, or the same one `again`.
    mutating func lead(_ broker: BrokerID?, again: Bool = false, after old: PartitionRecord) {
        leader = broker
        if broker != old.leader || again { leaderEpoch = old.leaderEpoch.next }
    }

    /// Notes the present runs of members of the ISR, as far as they are known.
    mutating func countIn(_ members: [BrokerID], _ brokers: BrokerAvailability) {
        for member in members { if let epoch = brokers.epochs[member] { countIn(member, run: epoch) } }
    }

    mutating func countIn(_ member: BrokerID, run: BrokerEpoch) {
        inSyncRuns = (inSyncRuns ?? []).filter { $0.broker != member } + [BrokerRun(broker: member, epoch: run)]
    }

    /// The only replica, no move under way.
    mutating func own(_ broker: BrokerID) {
        replicas = [broker]
        inSyncReplicas = [broker]
        addingReplicas = []
        removingReplicas = []
    }

    mutating func beginHandover(from owner: BrokerID, to heir: BrokerID) {
        replicas = [heir, owner]
        inSyncReplicas = [owner]
        addingReplicas = [heir]
        removingReplicas = [owner]
    }

    /// With the next partition epoch; nil if nothing differs from `old`.
    func bumped(after old: PartitionRecord) -> PartitionRecord? {
        guard self != old else { return nil }
        var next = self
        next.partitionEpoch = old.partitionEpoch + 1
        // Of members only, and in their order: equal states are equal records.
        let runs = inSyncReplicas.compactMap { member in inSyncRuns?.first { $0.broker == member } }
        next.inSyncRuns = runs.isEmpty ? nil : runs
        return next
    }
}
