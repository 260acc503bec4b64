//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import InMemoryLog
import LogEngine
import LogEngineTesting
import LogModel
import RuntimeEnvironment
import Synchronization
import Testing

/// Seeds every case alike: whether a fault is found is not left to chance.
private struct OneSeed: RandomSource {
    func next() -> UInt64 { 20_260_101 }
}

private final class FaultyEngineUnderTest: EngineUnderTest {
    let brokerID = BrokerID(1)
    let environment = RuntimeEnvironment(
        clock: SystemClock(), randomness: OneSeed(), workers: ThreadWorkerPool())
    private let fault: Fault?
    private let store = Mutex(InMemoryStore())

    init(_ fault: Fault?) { self.fault = fault }

    func makeEngine() async throws -> any LogEngine {
        let store = store.withLock { store in
            if fault == .forgetsOnRestart { store = InMemoryStore() }
            return store
        }
        let engine = InMemoryEngine(brokerID: brokerID, environment: environment, store: store)
        guard let fault else { return engine }
        return FaultyEngine(engine, fault)
    }

    func kill(_ engine: any LogEngine) async throws {}
}

/// A suite that nothing fails promises nothing.
@Suite struct SuiteTests {
    /// The cases that a fault must fail, at least; by a part of their names. One that waits in vain would take its full patience,
    /// so each fault is shown to the cases that ask at once.
    private static let catches: [Fault: String] = [
        .rangeIsOffByOne: "dense offsets", .appendsTwice: "order is kept", .dropsAnAppend: "random operations",
        .readSkipsABatch: "inside a batch", .readStartsTooEarly: "inside a batch", .ignoresMaxBytes: "byte limit",
        .firstBatchNotWhole: "byte limit", .beyondTheEndIsEmpty: "out of range", .readsBelowTheStart: "deleted records",
        .flipsAByte: "what was sent", .loosensTheFence: "the fence", .hidesDuplicates: "repeated batch",
        .answersDuplicatesAnew: "repeated batch", .deletesNothing: "deleted records", .batchInsteadOfRecord: "a time leads",
        .wrongEpochEnd: "epochs know", .forgetsOnRestart: "after a restart", .miscountsCopies: "physical copy",
        .lowFootprint: "footprint", .highWatermarkLags: "visible|below the high watermark at once",
        .leadsForEver: "leads no longer",
        .acceptsLargeBatches: "over the limit", .keepsProducerTime: "log append time",
    ]

    @Test(arguments: catches.keys.sorted { $0.rawValue < $1.rawValue })
    func everyFaultIsFound(_ fault: Fault) async throws {
        let names = Self.catches[fault]!.split(separator: "|")
        let cases = LogEngineConformance.cases.filter { promise in names.contains { promise.name.contains($0) } }
        try #require(!cases.isEmpty)
        for promise in cases {
            await #expect(throws: (any Error).self, "\(fault) passes: \(promise)") {
                try await promise.run { FaultyEngineUnderTest(fault) }
            }
        }
    }

    @Test func namesAreDistinctAndTraitsAddCases() {
        let names = LogEngineConformance.cases.map(\.name)
        #expect(Set(names).count == names.count)
        var traits = EngineTraits()
        traits.survivesPowerCut = true
        traits.enforcesMinInSyncReplicas = true
        #expect(LogEngineConformance.cases(for: traits).count == names.count + 2)
        traits.physicalCopies = 0
        #expect(LogEngineConformance.cases(for: traits).count == names.count + 1)
    }
}
