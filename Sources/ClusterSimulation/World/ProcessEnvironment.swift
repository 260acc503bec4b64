//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import RuntimeEnvironment
import SimulationKit

/// The clock as a process reads it: the world's, but for its wall clock, which may be set wrong.
struct ProcessClock: Clock {
    let base: SimulatedClock
    let process: SimulatedProcess
    let machine: SimulatedMachine

    func now() -> MonotonicInstant { base.now() }

    func wallMilliseconds() -> Int64 { base.wallMilliseconds() + machine.wallShift }

    func sleep(until deadline: MonotonicInstant) async throws {
        do { try await base.sleep(until: deadline) } catch {
            await process.pass()
            throw error
        }
        await process.pass()
    }
}

struct ProcessWorkers: WorkerPool {
    let base: any WorkerPool
    let process: SimulatedProcess

    func makeWorker(named name: String) -> any Worker { ProcessWorker(base: base.makeWorker(named: name), process: process) }

    private struct ProcessWorker: Worker {
        let base: any Worker
        let process: SimulatedProcess

        func submit(_ job: @escaping @Sendable () -> Void) {
            base.submit { process.perform(job) }
        }
    }
}

/// What outlives a broker's processes. Touched on the loop's thread only.
final class SimulatedMachine: @unchecked Sendable {
    let broker: Int32
    /// Its disk, as mounted now.
    var disk: SimulatedDisk
    /// Milliseconds that its wall clock is ahead of the world's.
    var wallShift: Int64 = 0

    init(broker: Int32, disk: SimulatedDisk) {
        self.broker = broker
        self.disk = disk
    }
}
