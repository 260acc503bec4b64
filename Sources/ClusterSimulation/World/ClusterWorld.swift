//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import ClusterMetadata
import LogModel
import Logging
import RuntimeEnvironment
import SimulationKit

/// All that brokers and clients of one simulated cluster share, made from one seed. Touched on the loop's thread only.
final class ClusterWorld: @unchecked Sendable {
    let mode: StorageMode
    let seed: UInt64
    let loop: TaskLoop
    let clock: SimulatedClock
    /// Of the workload and the faults; parts have streams of their own.
    let randomness: SeededRandomSource
    let network: ClusterNetwork
    let metadata: InMemoryMetadataStore
    let objectStore: SimulatedObjectStore
    let machines: [Int32: SimulatedMachine]
    let metadataLinks: [Int32: StoreLink]
    let objectLinks: [Int32: StoreLink]
    let variant: ClusterVariant
    let tally = Tally()
    private(set) var brokers: [Int32: SimulatedBroker] = [:]
    let events: EventLog
    /// The workload is over: whoever goes in circles stops.
    var isOver = false

    /// Machines of which bytes have changed by themselves.
    var rotten: Set<Int32> = []
    /// Called when the memory of all brokers was lost at once, and with it what Kafka's rules let be lost.
    var atLostMemory: () -> Void = {}

    func lostMemory() { atLostMemory() }

    static let brokerIDs: [Int32] = [1, 2, 3]

    init(mode: StorageMode, seed: UInt64, variant: ClusterVariant, loop: TaskLoop, events: EventLog) {
        self.mode = mode
        self.seed = seed
        self.loop = loop
        self.events = events
        clock = loop.clock
        let randomness = SeededRandomSource(seed: seed)
        self.randomness = randomness.fork("world")
        self.variant = variant
        network = ClusterNetwork(clock: clock, randomness: randomness.fork("network"), tally: tally)
        metadata = InMemoryMetadataStore(clock: clock)
        objectStore = SimulatedObjectStore(clock: clock, url: "file:///simulated/objects")
        let ids = Self.brokerIDs
        let (clock, tally) = (clock, tally)
        machines = Dictionary(
            uniqueKeysWithValues: ids.map {
                ($0, SimulatedMachine(broker: $0, disk: SimulatedDisk(seed: randomness.fork("disk-\($0)").next())))
            })
        metadataLinks = Dictionary(
            uniqueKeysWithValues: ids.map {
                ($0, StoreLink(randomness: randomness.fork("metadata-\($0)"), clock: clock, tally: tally))
            })
        objectLinks = Dictionary(
            uniqueKeysWithValues: ids.map {
                ($0, StoreLink(randomness: randomness.fork("objects-\($0)"), clock: clock, tally: tally))
            })
        for id in ids { brokers[id] = SimulatedBroker(id: id, world: self) }
    }

    static func name(of broker: Int32) -> String { "broker-\(broker)" }

    func broker(_ id: Int32) -> SimulatedBroker { brokers[id]! }

    func event(_ text: @autoclosure () -> String) {
        events.add(text(), at: clock.now(), loop: loop)
    }

    /// Waits until `condition` holds.
    ///
    /// - Throws: Violation if it does not within `limit` of the world's time.
    func wait(
        for what: String, within limit: Duration, every pause: Duration = .milliseconds(100), _ condition: () async throws -> Bool
    ) async throws {
        let deadline = clock.now() + limit
        while true {
            if try await condition() { return }
            guard clock.now() < deadline else { throw Violation(.recovers, "\(what): not within \(limit)") }
            try await clock.sleep(for: pause)
        }
    }
}

/// `storage.mode`, as far as it is simulated.
package enum StorageMode: String, Sendable, CaseIterable {
    case isr, tiered, shared
}

/// What happened, for the digest of the run and, when asked for, for people. Touched on the loop's thread only.
final class EventLog: @unchecked Sendable {
    private(set) var lines: [String] = []
    private let keeps: Bool
    private let prints: Bool

    init(keeps: Bool, prints: Bool) {
        self.keeps = keeps
        self.prints = prints
    }

    func add(_ text: String, at now: MonotonicInstant, loop: TaskLoop) {
        loop.note(text)
        guard keeps else { return }
        let line = "\(now.nanoseconds / 1_000) us, step \(loop.steps): \(text)"
        if prints { print(line) }
        lines.append(line)
    }
}

/// A property that did not hold.
struct Violation: Error, CustomStringConvertible {
    /// What is checked throughout.
    enum Property: String, Sendable {
        case acknowledgedSurvives = "nothing acknowledged is lost"
        case committedIsStable = "nothing read below the high watermark changes"
        case offsetsAreDense = "offsets are dense and unique"
        case oneWriterPerEpoch = "one writer per epoch"
        case producerOrder = "a consumer sees each producer's order"
        case groupOffsets = "group offsets never go back"
        case spaceReturns = "space returns after deletion"
        case recovers = "once the faults end, the cluster goes on"
        case corruption = "damage is detected before it is served"
        case replicasAgree = "replicas in sync keep the same bytes"
        case honest = "a broker answers with what it may say"
    }

    var property: Property
    var details: String

    init(_ property: Property, _ details: String) {
        self.property = property
        self.details = details
    }

    var description: String { "VIOLATED: \(property.rawValue): \(details)" }
}
