//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import InMemoryLog
import LogEngine
import LogEngineTesting
import LogModel
import RuntimeEnvironment
import Testing

/// The store outlives the engine; that is all that the suite needs of storage.
private final class InMemoryEngineUnderTest: EngineUnderTest {
    let brokerID = BrokerID(1)
    let environment = RuntimeEnvironment.system
    private let store = InMemoryStore()

    func makeEngine() async throws -> any LogEngine {
        InMemoryEngine(brokerID: brokerID, environment: environment, store: store)
    }

    /// Nothing of the engine's runs by itself, so leaving it alone is killing it.
    func kill(_ engine: any LogEngine) async throws {}
}

@Suite struct InMemoryConformanceTests {
    @Test(arguments: LogEngineConformance.cases)
    func conforms(_ promise: ConformanceCase) async throws {
        try await promise.run { InMemoryEngineUnderTest() }
    }
}
