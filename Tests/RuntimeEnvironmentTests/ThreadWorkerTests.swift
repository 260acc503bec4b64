//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import RuntimeEnvironment
import Synchronization
import Testing

@Suite struct ThreadWorkerTests {
    @Test func jobsOfManySubmittersRunOneAtATimeInEachOnesOrder() async {
        let worker = ThreadWorker(named: "test-worker")
        let seen = Mutex<[[Int]]>(Array(repeating: [], count: 8))
        await withTaskGroup(of: Void.self) { group in
            for submitter in 0..<8 {
                group.addTask {
                    for number in 0..<500 { worker.submit { seen.withLock { $0[submitter].append(number) } } }
                    await worker.run {}
                }
            }
        }
        #expect(seen.withLock { $0 } == Array(repeating: Array(0..<500), count: 8))
    }

    @Test func jobsQueuedBeforeTheWorkerIsLetGoStillRun() async {
        let done = Atomic<Int>(0)
        await withCheckedContinuation { continuation in
            let worker = ThreadWorker(named: "short-lived-worker-with-a-long-name")
            for _ in 0..<100 { worker.submit { done.add(1, ordering: .relaxed) } }
            worker.submit { continuation.resume() }
        }
        #expect(done.load(ordering: .relaxed) == 100)
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
