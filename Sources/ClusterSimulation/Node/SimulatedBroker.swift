//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import BrokerNode
import ClusterMetadata
import KafkaNetwork
import LogModel
import Logging
import Metering
import RuntimeEnvironment
import SimulationKit

/// One broker of the cluster through all its runs: whoever would start it again when its process ends, does.
///
/// Touched on the loop's thread only.
final class SimulatedBroker: @unchecked Sendable {
    let id: Int32
    private unowned let world: ClusterWorld
    private(set) var process: SimulatedProcess?
    private(set) var node: Node?
    private var lastRun = 0
    /// While set, a broker that ends is not started again.
    var staysDown = false

    init(id: Int32, world: ClusterWorld) {
        self.id = id
        self.world = world
    }

    /// Whether its process is there and does not stand still.
    var isAlive: Bool { process?.life == .running }
    var isServing: Bool { isAlive && node?.isServing == true }

    func start() {
        guard process == nil, !staysDown else { return }
        lastRun += 1
        let diskTime = DiskTime(
            pace: world.variant.diskPace, randomness: SeededRandomSource(seed: world.seed).fork("disk-time-\(id)-\(lastRun)"))
        let process = SimulatedProcess(broker: id, run: lastRun, loop: world.loop, diskTime: diskTime, tally: world.tally) {
            [weak self] process in self?.ended(process)
        }
        self.process = process
        world.event("broker \(id) starts, run \(lastRun)")
        let settings = settings
        let surroundings = surroundings(of: process)
        Task {
            do {
                let node = try await Node.start(settings: settings, in: surroundings)
                guard !process.isDead else { return }
                self.node = node
                self.world.event("broker \(self.id) serves, run \(process.run)")
                if let reason = await node.waitUntilFailed() {
                    await process.pass()
                    self.world.event("broker \(self.id) gives up: \(reason)")
                    process.die()
                }
            } catch {
                guard !process.isDead else { return }
                self.world.event("broker \(self.id) could not start: \(error)")
                process.die()
            }
        }
    }

    /// Ends the process as `kill -9` does, or with the machine's power.
    func crash(_ crash: SimulatedDisk.Crash) {
        guard let process else { return }
        world.event("broker \(id) dies: \(crash)")
        process.die()
        if crash == .powerCut { cutPower() }
        world.tally.add(
            crash == .powerCut
                ? process.isInCall ? .powerCutInCall : .powerCut : process.isInCall ? .killedInCall : .killed)
    }

    private func cutPower() {
        guard let machine = world.machines[id] else { return }
        machine.disk = machine.disk.crash(.powerCut)
    }

    /// A controlled stop. It stays down until ``goesOn()``.
    func stop() async {
        guard let process, let node else { return }
        world.event("broker \(id) stops in order")
        staysDown = true
        hasStopped = false
        // Of a process that dies meanwhile, no task comes back.
        Task {
            await node.stop()
            self.hasStopped = true
        }
        while !hasStopped, !process.isDead { try? await world.clock.sleep(for: .milliseconds(10)) }
        guard !process.isDead else { return }
        world.event("broker \(id) has stopped")
        world.tally.add(.stoppedInOrder)
        process.die()
    }

    private var hasStopped = false

    func goesOn() {
        staysDown = false
        start()
    }

    private func ended(_ process: SimulatedProcess) {
        world.network.hangUp(ClusterWorld.name(of: id), process)
        graveyard.append((process, node))
        self.process = nil
        node = nil
        let pause = Duration.milliseconds(Int64(50 + world.randomness.next(below: 3_000)))
        Task { [world] in
            try? await world.clock.sleep(for: pause)
            self.start()
        }
    }

    /// What died holds continuations that nobody may resume.
    private var graveyard: [(SimulatedProcess, Node?)] = []

    private var settings: [String: String] {
        var settings = [
            "node.id": "\(id)", "listeners": "PLAINTEXT://\(ClusterWorld.name(of: id)):9092", "log.dirs": "/simulated/\(id)/data",
            "wal.path": "/simulated/\(id)/wal", "metadata.store.url": "sqlite:///simulated/metadata.db",
            "object.store.url": world.objectStore.url, "metrics.listener": "",
            "storage.mode": world.mode.rawValue, "storage.modes": world.mode.rawValue,
            "broker.session.timeout.ms": "2000", "replica.lag.time.max.ms": "3000", "replica.fetch.wait.max.ms": "250",
            "auto.create.topics.enable": "false", "offsets.topic.num.partitions": "1", "offsets.topic.replication.factor": "3",
            "offsets.topic.segment.bytes": "4096", "log.retention.check.interval.ms": "2000", "memory.budget.bytes": "67108864",
            // What a late put leaves behind a deleter that died is found by the audit alone.
            "object.audit.interval.ms": "60000", "object.audit.grace.ms": "120000",
            "log.segment.delete.delay.ms": "1000",
            "remote.log.manager.task.interval.ms": "500", "remote.log.chunk.cache.bytes": "1048576",
            // Small, so that it wraps again and again, and compaction has something to do in every run.
            "wal.capacity.bytes": "131072", "wal.upload.threshold.bytes": "32768", "wal.upload.interval.ms": "700",
            "wal.object.linger.ms": "50", "object.maintenance.interval.ms": "900", "object.merge.fan.in": "3",
            "object.prepared.ttl.ms": "20000",
            "stream.object.split.bytes": "4096", "object.block.bytes": "4096", "object.delete.retention.ms": "2000",
            "log.cache.bytes": "1048576", "block.cache.bytes": "1048576", "log.tail.cache.bytes": "65536",
        ]
        if world.mode == .shared { settings["offsets.topic.replication.factor"] = "1" }
        settings.merge(world.variant.settings) { $1 }
        return settings
    }

    private func surroundings(of process: SimulatedProcess) -> NodeSurroundings {
        let world = world
        let machine = world.machines[id]!
        let name = ClusterWorld.name(of: id)
        let clock = ProcessClock(base: world.clock, process: process, machine: machine)
        let randomness = SeededRandomSource(seed: world.seed).fork("broker-\(id)-\(process.run)")
        let environment = RuntimeEnvironment(
            clock: clock, randomness: randomness, workers: ProcessWorkers(base: world.loop.workers, process: process))
        let (metadata, metadataLink) = (world.metadata, world.metadataLinks[id]!)
        let (objects, objectLink) = (world.objectStore, world.objectLinks[id]!)
        let network = world.network
        return NodeSurroundings(
            environment: environment,
            makeLogger: { label in Logger(label: label) { _ in EventLogHandler(world: world, process: process) } },
            openMetadataStore: { _ in ProcessMetadataStore(base: metadata, link: metadataLink, process: process) },
            openObjectStore: { _, _ in ProcessObjectStore(base: objects, link: objectLink, process: process) },
            openVolume: { request, meters in
                // "/simulated/2/wal" may be another broker's machine.
                let parts = request.specification.split(separator: "/")
                guard parts.count == 3, let owner = Int32(parts[1]), let machine = world.machines[owner] else {
                    throw VolumeError("no such volume: \(request.specification)")
                }
                let disk = ProcessDisk(machine: machine, folder: String(parts[2]), process: process)
                try disk.makeDirectory("")
                try machine.disk.synchronizeDirectory("")
                return Volume(
                    specification: request.specification, disk: MeteredDisk(disk, meters: meters, classify: request.classify))
            },
            makeServer: { _, dispatcher, _ in
                ProcessServer(network: network, process: process, name: name, dispatcher: dispatcher)
            },
            makeTransport: { ProcessTransport(network: network, process: process, name: name) }, marksDirectories: false)
    }
}

/// Log lines of brokers are events of the run.
private struct EventLogHandler: LogHandler {
    let world: ClusterWorld
    let process: SimulatedProcess
    var metadata: Logger.Metadata = [:]
    /// Lower ones are counted, not kept.
    var logLevel: Logger.Level = .debug

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        guard !process.isDead else { return }
        world.tally.note(logged: "\(event.message)")
        guard event.level >= .notice else { return }
        let all = metadata.merging(event.metadata ?? [:]) { $1 }.sorted { $0.key < $1.key }
        let details = all.map { "\($0.key)=\($0.value)" }.joined(separator: " ")
        world.event("broker \(process.broker) [\(event.level)] \(event.message) \(details)")
    }
}
