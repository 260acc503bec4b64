//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import NIOCore
import RuntimeEnvironment
import SimulationKit

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
    private enum Held {
        case job(() -> Void)
        case wake(() -> Void)

        func goesOn() {
            switch self {
            case .job(let body), .wake(let body): body()
            }
        }
    }
    private var heldJobs: [Held] = []
    /// Of a dead process: never run, and never freed either, for a continuation in them would complain.
    private var buried: [Any] = []
    private var deathWatches: [Int: () -> Void] = [:]
    private var lastWatch = 0
    /// Open files, closed by its death as the system does.
    private var files: [ObjectIdentifier: any DiskFile] = [:]
    /// Calls of the disk until it dies in the middle of what it is doing; nil for never.
    var diskCallsLeft: Int?
    /// What happens then.
    var atDiskCall: () -> Void = {}
    private let loop: TaskLoop
    private let diskTime: DiskTime
    let tally: Tally
    private let onDeath: @Sendable (SimulatedProcess) -> Void

    init(
        broker: Int32, run: Int, loop: TaskLoop, diskTime: DiskTime, tally: Tally,
        onDeath: @escaping @Sendable (SimulatedProcess) -> Void
    ) {
        self.broker = broker
        self.run = run
        self.loop = loop
        self.diskTime = diskTime
        self.tally = tally
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
        for job in jobs { job.goesOn() }
        for task in tasks { task.resume() }
    }

    func die() {
        guard life != .dead else { return }
        life = .dead
        let held = heldJobs
        heldJobs = []
        for job in held {
            switch job {
            case .job(let job): buried.append(job)
            // A thread in a call of the disk comes back, and finds the process dead.
            case .wake(let wake): wake()
            }
        }
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
        case .stalled: heldJobs.append(.job(job))
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

    // MARK: Its disk

    /// Carries out one call of the disk: it takes its time, in which others go on, and the process may die in the middle of it.
    ///
    /// - Throws: What the disk answers; input/output error where the process is dead meanwhile.
    func onDisk<Value>(
        _ operation: String, _ path: String, _ call: () throws(DiskError) -> Value
    ) throws(DiskError) -> Value {
        func lives() throws(DiskError) {
            guard !isDead else { throw DiskError(code: .inputOutput, operation: "after death: \(operation)", path: path) }
        }
        try lives()
        let place = diskTime.place()
        if let left = diskCallsLeft {
            diskCallsLeft = left > 1 ? left - 1 : nil
            if left <= 1 {
                // What it was about to do may have been done, with nobody left to be told.
                if place.isAfter { _ = try call() }
                isInCall = true
                atDiskCall()
                isInCall = false
                try lives()
            }
        }
        if let duration = place.duration, !place.isAfter { block(for: duration) }
        try lives()
        let value = try call()
        if let duration = place.duration, place.isAfter {
            block(for: duration)
            try lives()
        }
        return value
    }

    /// Blocks the calling job; a process that stands still does not come back from it before it goes on.
    private func block(for duration: Duration) {
        tally.add(.slowCall)
        loop.block(for: duration)
        while life == .stalled {
            loop.block { wake in heldJobs.append(.wake(wake)) }
        }
    }

    /// Whether what happens now, happens in the middle of a call of the disk.
    private(set) var isInCall = false

    func opened(_ file: any DiskFile) { files[ObjectIdentifier(file)] = file }
    func closed(_ file: any DiskFile) { files[ObjectIdentifier(file)] = nil }
}

/// How long calls of a disk take, by chance. Touched on the loop's thread only.
final class DiskTime: @unchecked Sendable {
    enum Pace: CaseIterable {
        /// None takes any time: what a job does between two awaits happens at once.
        case instant
        case mostlyInstant
        case slow
    }

    struct Place {
        /// nil for none.
        var duration: Duration?
        /// The time passes, or the end comes, after what the call does, not before.
        var isAfter: Bool
    }

    private let randomness: SeededRandomSource
    private let chance: Double

    init(pace: Pace, randomness: SeededRandomSource) {
        self.randomness = randomness
        chance =
            switch pace {
            case .instant: 0
            case .mostlyInstant: 0.02
            case .slow: 0.15
            }
    }

    func place() -> Place {
        let isAfter = randomness.chance(0.5)
        guard randomness.chance(chance) else { return Place(duration: nil, isAfter: isAfter) }
        // Now and then a device stands still for a while.
        let most: UInt64 = randomness.chance(0.03) ? 400_000 : 3_000
        return Place(duration: .microseconds(Int64(1 + randomness.next(below: most))), isAfter: isAfter)
    }
}
