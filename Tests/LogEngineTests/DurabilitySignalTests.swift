//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogEngine
import Testing

@Suite struct DurabilitySignalTests {
    @Test func theFirstCompletionCounts() async throws {
        let signal = DurabilitySignal()
        #expect(signal.outcome == nil)
        signal.complete()
        signal.complete(LogError(.storageFailure, "too late"))
        try await signal.wait()
        #expect(throws: Never.self) { try signal.outcome?.get() }
    }

    @Test func whoWaitsIsTold() async {
        let signal = DurabilitySignal()
        let waiter = Task { try await signal.wait() }
        await Task.yield()
        signal.complete(LogError(.timedOut, "in vain"))
        await #expect(throws: LogError.self) { try await waiter.value }
    }

    @Test func aCallbackAfterTheFactIsCalledAtOnce() async {
        let failure: LogError.Code? = await withCheckedContinuation { continuation in
            let signal = DurabilitySignal()
            signal.complete(LogError(.fenced, "gone"))
            signal.whenComplete { continuation.resume(returning: $0?.code) }
        }
        #expect(failure == .fenced)
        DurabilitySignal.completed.whenComplete { #expect($0 == nil) }
    }
}
