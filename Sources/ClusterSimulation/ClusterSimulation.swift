//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import ClusterMetadata
import Foundation
import LogModel
import RuntimeEnvironment
import SimulationKit

/// A three-broker cluster of one mode, its clients and its faults, from one seed, in one thread: a pure function of the seed.
package struct ClusterSimulation: Sendable {
    package struct Outcome: Sendable {
        /// Of every choice and event of the run.
        package var digest: UInt64 = 0
        package var steps = 0
        package var acknowledged = 0
        /// Of the world's time.
        package var seconds = 0.0
        package var variant = ""
        package var faults: [String] = []
        package var tally: [Probe: Int] = [:]
        package var events: [String] = []
        /// nil if every property held.
        package var failure: String?
    }

    package var mode: StorageMode
    package var seed: UInt64
    package var mix: FaultMix = .all
    /// Instead of those the seed would draw.
    package var faults: [Fault]?
    package var keepsEvents = false
    package var printsEvents = false

    package init(mode: StorageMode, seed: UInt64) {
        self.mode = mode
        self.seed = seed
    }

    /// Runs on the calling thread, which must be no thread of Swift's own pool and have a stack of a few MiB.
    package func run() -> Outcome {
        var outcome = Outcome()
        let events = EventLog(keeps: keepsEvents, prints: printsEvents)
        let clock = SimulatedClock()
        let holder = WorldHolder()
        let randomness = SeededRandomSource(seed: seed)
        let schedule =
            faults.map { FaultSchedule($0) }
            ?? FaultSchedule(mode: mode, mix: mix, span: .seconds(10), randomness: randomness.fork("faults"))
        let variant = ClusterVariant(mode: mode, randomness: randomness.fork("variant"))
        outcome.variant = variant.description
        outcome.faults = schedule.faults.map(\.description)
        do {
            try TaskLoop.run(seed: seed, clock: clock) { loop in
                let world = ClusterWorld(mode: mode, seed: seed, variant: variant, loop: loop, events: events)
                holder.world = world
                let run = ClusterRun(world: world, schedule: schedule)
                holder.run = run
                try await run.run()
            }
        } catch {
            outcome.failure = "\(error)"
        }
        outcome.digest = holder.world?.loop.digest ?? 0
        outcome.steps = holder.world?.loop.steps ?? 0
        outcome.acknowledged = holder.run?.histories.reduce(0) { $0 + $1.acknowledgedCount } ?? 0
        outcome.seconds = Double(clock.now().nanoseconds) / 1e9 - 1
        outcome.events = events.lines
        if let world = holder.world {
            world.countLosses()
            outcome.tally = world.tally.counts
        }
        // Tasks that wait for ever hold parts of the world, and their continuations would complain if it went.
        _ = Unmanaged.passRetained(holder)
        return outcome
    }
}

private final class WorldHolder: @unchecked Sendable {  // One thread.
    var world: ClusterWorld?
    var run: ClusterRun?
}

/// The course of a run. Touched on the loop's thread only.
final class ClusterRun: @unchecked Sendable {
    private let world: ClusterWorld
    private let schedule: FaultSchedule
    private let leaders = LeaderHistory()
    private(set) var histories: [PartitionHistory] = []
    private let orders = "orders"
    private let doomed = "doomed"
    private let partitionCount: Int32 = 2

    init(world: ClusterWorld, schedule: FaultSchedule) {
        self.world = world
        self.schedule = schedule
    }

    func run() async throws {
        watchLeaders()
        for id in ClusterWorld.brokerIDs { world.broker(id).start() }
        try await world.wait(for: "all brokers serve", within: .seconds(30)) {
            ClusterWorld.brokerIDs.allSatisfy { self.world.broker($0).isServing }
        }
        let administrator = SimulatedAdministrator(client: SimulatedClient(name: "administrator", world: world))
        var configs = ["storage.mode": world.mode.rawValue, "segment.bytes": "4096", "retention.ms": "-1"]
        if world.mode != .shared { configs["min.insync.replicas"] = "2" }
        if world.mode == .tiered { configs["local.retention.bytes"] = "4096" }
        let ordersID = try await administrator.create(orders, partitions: partitionCount, configs: configs)
        let doomedID = try await administrator.create(doomed, partitions: 1, configs: configs)

        var producers: [SimulatedProducer] = []
        var consumers: [SimulatedConsumer] = []
        for partition in 0..<partitionCount {
            let history = PartitionHistory(name: "\(orders)-\(partition)")
            histories.append(history)
            for number in 0..<2 {
                let client = SimulatedClient(name: "producer-\(partition)-\(number)", world: world)
                producers.append(
                    SimulatedProducer(
                        client: client, topic: orders, partition: partition, history: history, batchCount: 25,
                        depth: 1 + Int(client.randomness.fork("depth").next(below: 5))))
            }
            consumers.append(
                SimulatedConsumer(
                    client: SimulatedClient(name: "consumer-\(partition)", world: world), topic: orders, partition: partition,
                    history: history))
        }
        let committer = SimulatedCommitter(client: SimulatedClient(name: "committer", world: world), topic: orders)
        let doomedHistory = PartitionHistory(name: "\(doomed)-0")
        let lost = SimulatedProducer(
            client: SimulatedClient(name: "producer-doomed", world: world), topic: doomed, partition: 0, history: doomedHistory,
            batchCount: 15)
        for producer in producers + [lost] { watched { try await producer.run() } }
        for consumer in consumers { watched { try await consumer.follow() } }
        watched { try await committer.run() }
        watched { await self.administrate(administrator) }

        world.atLostMemory = { [unowned self] in
            let lost = self.histories.filter { $0.mayHaveLost(from: self.durableEnd(of: $0)) }
            if !lost.isEmpty { self.world.tally.add(.lostMemory) }
            // Nobody reads it.
            doomedHistory.mayHaveLost(from: 0)
            committer.mayHaveLost()
        }
        let names = (producers.map(\.client.name) + consumers.map(\.client.name) + [committer.client.name]).sorted()
        await FaultDriver(world: world, clientNames: names).run(schedule)
        world.event("faults are over")
        do { try await end(administrator, producers, committer, [ordersID, doomedID]) } catch let violation as Violation {
            // Damage that no other copy mends ends the reading, or the writing, of what it lies in: as errors, never as wrong records.
            guard !world.rotten.isEmpty, violation.property == .recovers || violation.property == .spaceReturns else {
                throw violation
            }
            world.event("damage stays: \(violation)")
        }
    }

    private func end(
        _ administrator: SimulatedAdministrator, _ producers: [SimulatedProducer], _ committer: SimulatedCommitter,
        _ topics: Set<TopicID>
    ) async throws {
        try await world.wait(for: "producers have been acknowledged everything", within: .seconds(120)) {
            producers.allSatisfy(\.isDone)
        }
        try await quiesce(committer)
        world.isOver = true
        try await restart()
        try await quiesce(committer)
        try await readAll()
        try compareReplicas()
        if try await rots() { return }
        try await deletionFreesSpace(administrator, topics)
    }

    private func watched(_ body: @escaping @Sendable () async throws -> Void) {
        Task { [world] in
            do { try await body() } catch { world.loop.abort(error) }
        }
    }

    private func watchLeaders() {
        watched { [world, leaders] in
            var lastLeaders: [String: Int32] = [:]
            for try await change in world.metadata.watch(prefix: MetadataKey.partitions, after: 0) {
                guard case .put(let stored) = change,
                    let record = try? JSONDecoder().decode(PartitionRecord.self, from: Data(stored.value))
                else { continue }
                world.event(
                    "record \(stored.key.suffix(6)): leader \(record.leader.map { "\($0)" } ?? "none") epoch \(record.leaderEpoch) replicas \(record.replicas) in sync \(record.inSyncReplicas)"
                )
                if let leader = record.leader {
                    try leaders.leads(leader.rawValue, record.leaderEpoch.rawValue, of: stored.key)
                    let last = lastLeaders.updateValue(leader.rawValue, forKey: stored.key)
                    if let last, last != leader.rawValue { world.tally.add(.newLeader) }
                }
            }
        }
        guard world.mode == .shared else { return }
        watched { [world] in
            for try await changes in world.metadata.watchBatches(prefix: "/shared/", after: 0) {
                var (destroyed, committed) = (0, 0)
                for case .put(let stored) in changes {
                    if stored.key.hasPrefix("/shared/destroyed/") { destroyed += 1 }
                    if stored.key.hasPrefix("/shared/objects/") { committed += 1 }
                    if stored.key.hasPrefix("/shared/wal/"), String(decoding: stored.value, as: UTF8.self).contains("\"recovered\"")
                    {
                        world.tally.add(.replayed)
                    }
                }
                world.tally.add(.destroyed, destroyed)
                if destroyed > 0, committed > 0 { world.tally.add(.compacted) }
            }
        }
    }

    /// All brokers end and start again, so that what is read after it is what is durable.
    private func restart() async throws {
        let ids = ClusterWorld.brokerIDs
        switch world.variant.restart {
        case .none: return
        case .orderly:
            await withTaskGroup(of: Void.self) { group in
                for id in ids { group.addTask { await self.world.broker(id).stop() } }
            }
            for id in ids { world.broker(id).goesOn() }
        case .powerCut where world.mode == .shared: for id in ids { world.broker(id).crash(.powerCut) }
        case .powerCut:
            // One after the other: what is acknowledged rests on the others.
            for id in ids {
                world.broker(id).crash(.powerCut)
                try await inSync()
            }
        }
        world.event("all brokers were restarted")
    }

    /// The end of what every in-sync replica has on its disk, after a power cut: whichever of them leads has at least that.
    private func durableEnd(of history: PartitionHistory) -> Int64 {
        guard let index = histories.firstIndex(where: { $0 === history }), let key = try? key(of: Int32(index)),
            let stored = world.metadata.now(prefix: key).first(where: { $0.key == key }),
            let record = try? JSONDecoder().decode(PartitionRecord.self, from: Data(stored.value))
        else { return 0 }
        let end = record.inSyncReplicas.map { ReplicaComparison.wholeEnd(history.name, on: $0.rawValue, in: world) }.min() ?? 0
        world.event("\(history.name): \(end) of \(history.knownEnd) is on the disks of \(record.inSyncReplicas)")
        return end
    }

    private func inSync() async throws {
        try await world.wait(for: "all brokers serve again", within: .seconds(60)) {
            ClusterWorld.brokerIDs.allSatisfy { self.world.broker($0).isServing }
        }
        func isSettled(_ record: PartitionRecord) -> Bool {
            !record.isMoving && record.leader != nil && Set(record.inSyncReplicas) == Set(record.replicas)
        }
        do {
            try await world.wait(for: "every move ends and every replica is in sync", within: .seconds(120)) {
                self.world.partitions().allSatisfy(isSettled)
            }
        } catch let violation as Violation {
            let left = world.partitions().filter { !isSettled($0) }.map { record in
                "leader \(record.leader.map { "\($0)" } ?? "none") epoch \(record.leaderEpoch) replicas \(record.replicas) adding \(record.addingReplicas) removing \(record.removingReplicas) in sync \(record.inSyncReplicas)"
            }
            throw Violation(.recovers, "\(violation.details): \(left.joined(separator: "; "))")
        }
    }

    /// Each batch below the high watermark lies in the same bytes on all replicas that have it.
    private func compareReplicas() throws {
        guard world.mode != .shared, world.rotten.isEmpty else { return }
        for (partition, history) in histories.enumerated() {
            let key = try key(of: Int32(partition))
            guard let stored = world.metadata.now(prefix: key).first(where: { $0.key == key }) else { continue }
            let record = try JSONDecoder().decode(PartitionRecord.self, from: Data(stored.value))
            try ReplicaComparison.check(
                history.name, on: record.inSyncReplicas.map(\.rawValue), in: world, committedEnd: history.knownEnd)
        }
        try ReplicaComparison.check("__consumer_offsets-0", on: ClusterWorld.brokerIDs, in: world, committedEnd: nil)
    }

    /// Moves partitions about, and deletes a topic in the middle.
    private func administrate(_ administrator: SimulatedAdministrator) async {
        let randomness = world.randomness.fork("administrator")
        for turn in 0..<4 {
            try? await world.clock.sleep(for: .milliseconds(Int64(500 + randomness.next(below: 3_000))))
            if turn == 1 { _ = await administrator.delete(doomed) }
            var ids = ClusterWorld.brokerIDs
            var generator = RandomSourceGenerator(randomness)
            ids.shuffle(using: &generator)
            let count = world.mode == .shared ? 1 : 2 + Int(randomness.next(below: 2))
            world.tally.add(.moved)
            await administrator.move(orders, Int32(randomness.next(below: UInt64(partitionCount))), to: Array(ids.prefix(count)))
        }
    }

    private func quiesce(_ committer: SimulatedCommitter) async throws {
        try await inSync()
        try await world.wait(for: "the group's offset is told", within: .seconds(60)) { try await committer.look() }
    }

    /// A consumer that begins anew reads all that there is.
    private func readAll() async throws {
        for (partition, history) in histories.enumerated() {
            let reader = SimulatedConsumer(
                client: SimulatedClient(name: "auditor-\(partition)", world: world), topic: orders, partition: Int32(partition),
                history: history)
            do {
                try await world.wait(for: "", within: .seconds(60)) {
                    // A new leader's high watermark may be behind for a while.
                    while try await reader.poll(wait: 0), reader.position < reader.highWatermark {}
                    return reader.position >= history.knownEnd
                }
            } catch let violation as Violation where violation.property == .recovers && world.rotten.isEmpty {
                throw Violation(
                    .acknowledgedSurvives,
                    "\(history.name): a new reader comes to \(reader.position) (high watermark \(reader.highWatermark), \(reader.lastProblem)), and \(history.knownEnd) is known"
                )
            }
            let key = try key(of: Int32(partition))
            try history.check(leaders: leaders[key])
        }
    }

    /// In one run of four, bytes of the media change by themselves. What is read after that is right, or it is an error.
    ///
    /// - Returns: Whether they did.
    private func rots() async throws -> Bool {
        let randomness = world.randomness.fork("rot")
        guard world.randomness.fork("whether-rot").chance(0.25) else { return false }
        for id in ClusterWorld.brokerIDs {
            guard let disk = world.machines[id]?.disk else { continue }
            let files = disk.files(below: "").filter { $0.size > 0 }
            for _ in 0..<3 where !files.isEmpty {
                let file = files[Int(randomness.next(below: UInt64(files.count)))]
                disk.corrupt(file.path, at: Int64(randomness.next(below: UInt64(file.size))))
            }
        }
        let keys = world.objectStore.keys
        for _ in 0..<min(3, keys.count) {
            let key = keys[Int(randomness.next(below: UInt64(keys.count)))]
            world.objectStore.corrupt(key, at: Int(randomness.next(below: 2_000)))
        }
        world.event("bytes rot")
        world.tally.add(.rot)
        for (partition, history) in histories.enumerated() {
            let reader = SimulatedConsumer(
                client: SimulatedClient(name: "late-auditor-\(partition)", world: world), topic: orders,
                partition: Int32(partition),
                history: history)
            reader.mayFindDamage = true
            var tries = 0
            while reader.position < history.knownEnd, tries < 30 {
                tries += 1
                // Damage ends the reading of this partition; wrong records would end the run.
                if try await !reader.poll(wait: 0) { await reader.client.pause() }
            }
        }
        return true
    }

    private func key(of partition: Int32) throws -> String {
        let topic = MetadataKey.topic(orders)
        guard let stored = world.metadata.now(prefix: topic).first(where: { $0.key == topic }) else {
            throw Violation(.recovers, "topic \(orders) is gone")
        }
        return MetadataKey.partition(try JSONDecoder().decode(TopicRecord.self, from: Data(stored.value)).id, partition)
    }

    private func deletionFreesSpace(_ administrator: SimulatedAdministrator, _ topics: Set<TopicID>) async throws {
        try await world.wait(for: "topic \(self.doomed) is deleted", within: .seconds(60)) {
            await administrator.delete(self.doomed)
        }
        try await world.wait(for: "topic \(orders) is deleted", within: .seconds(60)) { await administrator.delete(self.orders) }
        var left: [String] = []
        do {
            // An auditor whose clock is ten minutes behind takes what is left for young that long.
            try await world.wait(for: "space", within: .seconds(1_500), every: .seconds(2)) {
                left = try await self.remains(of: topics)
                return left.isEmpty
            }
        } catch let violation as Violation where violation.property == .recovers {
            throw Violation(.spaceReturns, "25 minutes after the deletion there is still \(left.prefix(5)) (\(left.count) in all)")
        }
    }

    /// What lies anywhere of topics that are gone.
    private func remains(of topics: Set<TopicID>) async throws -> [String] {
        var left: [String] = []
        for id in ClusterWorld.brokerIDs {
            for file in world.machines[id]?.disk.files(below: "") ?? [] {
                if file.path.split(separator: "/").contains(where: { $0.hasPrefix(orders) || $0.hasPrefix(doomed) }) {
                    left.append("broker \(id): \(file.path)")
                }
            }
        }
        switch world.mode {
        case .isr: break
        case .tiered: left += world.objectStore.keys.filter { $0.contains("/\(orders)-") || $0.contains("/\(doomed)-") }
        case .shared:
            left += try await SharedRemains.look(for: topics, in: world)
        }
        return left
    }
}

extension ClusterWorld {
    /// Takes what disks and stores counted into the tally.
    fileprivate func countLosses() {
        for id in Self.brokerIDs {
            guard let losses = machines[id]?.disk.losses else { continue }
            tally.add(.lostWrite, losses.lost)
            tally.add(.tornWrite, losses.torn)
            tally.add(.lyingSync, losses.lies)
            tally.add(.failedSync, losses.failedSyncs)
            tally.add(.diskFull, losses.refused)
        }
        tally.add(.staleList, objectStore.staleListCount)
    }
}
