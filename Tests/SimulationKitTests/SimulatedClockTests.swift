//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import RuntimeEnvironment
import SimulationKit
import Synchronization
import Testing

private final class Journal: Sendable {
    private let entries = Mutex<[String]>([])
    func note(_ entry: String) { entries.withLock { $0.append(entry) } }
    var all: [String] { entries.withLock { $0 } }
}

@Suite struct SimulatedClockTests {
    @Test func timeStandsStillUntilMoved() {
        let clock = SimulatedClock(wallMilliseconds: 5_000)
        let start = clock.now()
        clock.advance(by: .milliseconds(1_500))
        #expect(clock.now() - start == .milliseconds(1_500))
        #expect(clock.wallMilliseconds() == 6_500)
        clock.stepWallClock(by: -6_000)
        #expect(clock.wallMilliseconds() == 500)
        #expect(clock.now() - start == .milliseconds(1_500))
    }

    @Test func sleepersWakeWhenTheirTimeHasCome() async throws {
        let clock = SimulatedClock()
        let journal = Journal()
        let start = clock.now()
        let sleepers = [3, 1, 2].map { seconds in
            Task {
                try await clock.sleep(until: start + .seconds(seconds))
                journal.note("\(seconds)")
            }
        }
        while clock.sleeperCount < 3 { await Task.yield() }
        for seconds in 1...3 {
            #expect(clock.advanceToNextDeadline())
            #expect(clock.now() - start == .seconds(seconds))
            while journal.all.count < seconds { await Task.yield() }
        }
        for sleeper in sleepers { try await sleeper.value }
        #expect(journal.all == ["1", "2", "3"])
        #expect(!clock.advanceToNextDeadline())
    }

    @Test func aCancelledSleeperThrows() async {
        let clock = SimulatedClock()
        let sleeper = Task { try await clock.sleep(for: .seconds(1)) }
        while clock.sleeperCount == 0 { await Task.yield() }
        sleeper.cancel()
        await #expect(throws: CancellationError.self) { try await sleeper.value }
        #expect(clock.sleeperCount == 0)
    }

    @Test func autoAdvancingRunsHoursInAMoment() async throws {
        let clock = SimulatedClock()
        let start = clock.now()
        try await clock.autoAdvancing {
            for _ in 0..<50 { try await clock.sleep(for: .seconds(360)) }
        }
        #expect(clock.now() - start >= .seconds(18_000))
    }

    @Test func jobsOfOneWorkerKeepTheirOrderAndTheSeedDecidesTheRest() {
        func run(_ seed: UInt64) -> [String] {
            let pool = SimulatedWorkers(seed: seed, mode: .manual)
            let journal = Journal()
            let workers = ["a", "b", "c"].map { ($0, pool.makeWorker(named: $0)) }
            for number in 0..<5 {
                for (name, worker) in workers { worker.submit { journal.note("\(name)\(number)") } }
            }
            #expect(pool.pendingCount == 15)
            pool.runAll()
            for (name, _) in workers { #expect(journal.all.filter { $0.hasPrefix(name) } == (0..<5).map { "\(name)\($0)" }) }
            return journal.all
        }
        for seed in UInt64(1)...20 { #expect(run(seed) == run(seed)) }
        #expect(Set((UInt64(1)...20).map(run)).count > 10)
    }

    @Test(arguments: [SimulatedWorkers.Mode.inline, .thread])
    func jobsThatSubmitJobsAreRunAfterEachOther(_ mode: SimulatedWorkers.Mode) async {
        let pool = SimulatedWorkers(seed: 1, mode: mode)
        let journal = Journal()
        let worker = pool.makeWorker(named: "w")
        await withCheckedContinuation { continuation in
            worker.submit {
                worker.submit {
                    journal.note("inner")
                    continuation.resume()
                }
                journal.note("outer")
            }
        }
        #expect(journal.all == ["outer", "inner"])
    }
}
