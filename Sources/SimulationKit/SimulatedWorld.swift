//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import RuntimeEnvironment
internal import Synchronization

/// Everything a cluster touches, made from one seed: time, chance, threads, a disk per broker, the network, the object store.
///
/// Faults are set on its parts. What a run does not owe to the seed is the order in which Swift's own threads run tasks; the parts
/// draw from separate streams, so that this order disturbs as little as can be.
public final class SimulatedWorld: Sendable {
    public let seed: UInt64
    public let randomness: SeededRandomSource
    public let clock: SimulatedClock
    public let workers: SimulatedWorkers
    public let network: SimulatedNetwork
    public let objectStore: SimulatedObjectStore
    private let disks = Mutex<[Int32: SimulatedDisk]>([:])

    public init(seed: UInt64, workers mode: SimulatedWorkers.Mode = .thread) {
        self.seed = seed
        randomness = SeededRandomSource(seed: seed)
        clock = SimulatedClock()
        workers = SimulatedWorkers(seed: seed, mode: mode)
        network = SimulatedNetwork(clock: clock)
        objectStore = SimulatedObjectStore(clock: clock)
    }

    /// What a broker's parts are given.
    public var environment: RuntimeEnvironment { RuntimeEnvironment(clock: clock, randomness: randomness, workers: workers) }

    /// A broker's disk, as mounted now.
    public func disk(of broker: Int32) -> SimulatedDisk {
        disks.withLock { disks in
            if let disk = disks[broker] { return disk }
            let disk = SimulatedDisk(seed: seed &+ UInt64(UInt32(bitPattern: broker)))
            disks[broker] = disk
            return disk
        }
    }

    public func volume(of broker: Int32) -> Volume { Volume(specification: "simulated:\(broker)", disk: disk(of: broker)) }

    /// Ends whatever used the broker's disk, and mounts what is left.
    @discardableResult
    public func crash(_ broker: Int32, _ crash: SimulatedDisk.Crash) -> SimulatedDisk {
        let next = disk(of: broker).crash(crash)
        disks.withLock { $0[broker] = next }
        return next
    }

    /// Runs `body` in a world of each seed, and says which seed failed.
    ///
    /// - Parameter seeds: As ``Seeds/walked(_:)`` has them.
    /// - Throws: ``SimulationFailure`` with the seed and what was thrown.
    public static func forEachSeed(
        _ seeds: some Sequence<UInt64>, workers mode: SimulatedWorkers.Mode = .thread,
        _ body: (SimulatedWorld) async throws -> Void
    ) async throws {
        for seed in Seeds.walked(seeds) {
            do { try await body(SimulatedWorld(seed: seed, workers: mode)) } catch {
                throw SimulationFailure(seed: seed, cause: error)
            }
        }
    }
}

/// A run that failed, and the seed that repeats it.
public struct SimulationFailure: Error, CustomStringConvertible {
    public var seed: UInt64
    public var cause: any Error
    public var description: String { "with NINEFOLD_SEED=\(seed): \(cause)" }
}
