//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import NIOCore
import RuntimeEnvironment

/// The life of one run of a broker: it runs, stands still (a stalled machine, a long collection of garbage), or is dead.
///
/// Nothing of a process reaches the world without passing here: its sleeps, its requests, its jobs and its files. Tasks of a dead one
/// wait for ever; what a stalled one was about to do, it does when it goes on.
///
/// Touched on the loop's thread only.
final class SimulatedProcess: @unchecked Sendable {
    enum Life { case running, stalled, dead }

    let broker: Int32
    let run: Int
    private(set) var life = Life.running
    private var waiting: [UnsafeContinuation<Void, Never>] = []
    private var heldJobs: [() -> Void] = []
    /// Of a dead process: never run, and never freed either, for a continuation in them would complain.
    private var buried: [Any] = []
    private var deathWatches: [Int: () -> Void] = [:]
    private var lastWatch = 0
    /// Open files, closed by its death as the system does.
    private var files: [ObjectIdentifier: any DiskFile] = [:]
    /// Calls of the disk until it dies in the middle of what it is doing; nil for never.
    var diskCallsLeft: Int?
    private let onDeath: @Sendable (SimulatedProcess) -> Void

    init(broker: Int32, run: Int, onDeath: @escaping @Sendable (SimulatedProcess) -> Void) {
        self.broker = broker
        self.run = run
        self.onDeath = onDeath
    }

    var isDead: Bool { life == .dead }

    /// Returns while the process runs; a task of a dead one never comes back.
    func pass() async {
        while life != .running { await withUnsafeContinuation { waiting.append($0) } }
    }

    func stall() { if life == .running { life = .stalled } }

    func goOn() {
        guard life == .stalled else { return }
        life = .running
        let (tasks, jobs) = (waiting, heldJobs)
        (waiting, heldJobs) = ([], [])
        for job in jobs { job() }
        for task in tasks { task.resume() }
    }

    func die() {
        guard life != .dead else { return }
        life = .dead
        buried += heldJobs as [Any]
        heldJobs = []
        for file in files.values { file.close() }
        files = [:]
        let watches = deathWatches.sorted { $0.key < $1.key }.map(\.value)
        deathWatches = [:]
        for watch in watches { watch() }
        onDeath(self)
    }

    /// Runs `job` now, when the process goes on, or never.
    func perform(_ job: @escaping () -> Void) {
        switch life {
        case .running: job()
        case .stalled: heldJobs.append(job)
        case .dead: buried.append(job)
        }
    }

    /// - Returns: What ``forget(_:)`` takes.
    func atDeath(_ body: @escaping () -> Void) -> Int {
        lastWatch += 1
        deathWatches[lastWatch] = body
        return lastWatch
    }

    func forget(_ watch: Int) { deathWatches[watch] = nil }

    func opened(_ file: any DiskFile) { files[ObjectIdentifier(file)] = file }
    func closed(_ file: any DiskFile) { files[ObjectIdentifier(file)] = nil }
}
