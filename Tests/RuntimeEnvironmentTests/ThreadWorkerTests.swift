//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import RuntimeEnvironment
import Synchronization
import Testing

private final class Journal: Sendable {
    private let entries = Mutex<[Int: [Int]]>([:])
    func note(_ number: Int, by submitter: Int) { entries.withLock { $0[submitter, default: []].append(number) } }
    func notes(by submitter: Int) -> [Int] { entries.withLock { $0[submitter] ?? [] } }
}

@Suite struct ThreadWorkerTests {
    @Test func jobsOfManySubmittersRunOneAtATimeInEachOnesOrder() async {
        let worker = ThreadWorker(named: "test-worker")
        let journal = Journal()
        await withTaskGroup(of: Void.self) { group in
            for submitter in 0..<8 {
                group.addTask {
                    for number in 0..<500 { worker.submit { journal.note(number, by: submitter) } }
                    await worker.run {}
                }
            }
        }
        for submitter in 0..<8 { #expect(journal.notes(by: submitter) == Array(0..<500)) }
    }

    @Test func jobsQueuedBeforeTheWorkerIsLetGoStillRun() async {
        let journal = Journal()
        await withCheckedContinuation { continuation in
            let worker = ThreadWorker(named: "short-lived-worker-with-a-long-name")
            for number in 0..<100 { worker.submit { journal.note(number, by: 0) } }
            worker.submit { continuation.resume() }
        }
        #expect(journal.notes(by: 0).count == 100)
    }

    @Test func errorsComeBackTyped() async {
        let worker = ThreadWorker(named: "test-worker")
        await #expect(throws: DiskError.self) {
            try await worker.run { () throws(DiskError) in throw DiskError(code: .noSpace, operation: "pwrite", path: "f") }
        }
    }

    @Test func theSystemClockGoesForwardAndSleepsUntilItsDeadline() async throws {
        let clock = SystemClock()
        let deadline = clock.now() + .milliseconds(2)
        try await clock.sleep(until: deadline)
        #expect(clock.now() >= deadline)
        #expect(clock.wallMilliseconds() > 1_700_000_000_000)
        let sleeper = Task { try await clock.sleep(for: .seconds(3_600)) }
        sleeper.cancel()
        await #expect(throws: CancellationError.self) { try await sleeper.value }
    }
}
