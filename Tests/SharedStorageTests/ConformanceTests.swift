//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogEngine
import LogEngineTesting
import LogModel
import RuntimeEnvironment
import SharedStorage
import SimulationKit
import Synchronization
import Testing

/// One broker of a ``World``; each engine made is its next run.
private final class SharedEngineUnderTest: EngineUnderTest {
    let brokerID = BrokerID(1)
    let world: World
    private let settings: SharedStorageSettings
    private let epoch = Mutex<Int64>(0)

    var environment: RuntimeEnvironment { world.environment }

    init(settings: SharedStorageSettings, simulatedDisks seed: UInt64? = nil, walsInObjects: Bool = false) {
        self.settings = settings
        world = World(simulatedDisks: seed, walsInObjects: walsInObjects)
    }

    func makeEngine() async throws -> any LogEngine {
        let next = epoch.withLock { epoch in
            epoch += 1
            return epoch
        }
        return world.engine(1, epoch: next, settings: settings)
    }

    func kill(_ engine: any LogEngine) async throws { world.kill(engine as! SharedStorageEngine, broker: 1) }
    func cutPower(_ engine: any LogEngine) async throws { world.kill(engine as! SharedStorageEngine, broker: 1, .powerCut) }
}

@Suite struct ConformanceTests {
    private static let traits = {
        var traits = EngineTraits()
        traits.sharesStores = true
        return traits
    }()

    @Test(arguments: LogEngineConformance.cases(for: traits))
    func conforms(_ promise: ConformanceCase) async throws {
        try await promise.run(traits: Self.traits) { SharedEngineUnderTest(settings: .small) }
    }

    private static let lossyTraits = {
        var traits = ConformanceTests.traits
        traits.survivesPowerCut = true
        return traits
    }()

    /// On a disk that forgets what was not synced.
    @Test(arguments: LogEngineConformance.cases(for: lossyTraits))
    func conformsOnADiskThatLosesPower(_ promise: ConformanceCase) async throws {
        try await promise.run(traits: Self.lossyTraits) { SharedEngineUnderTest(settings: .small, simulatedDisks: 11) }
    }

    /// Without any disk: what is acknowledged lies in the object store, which no power cut touches.
    @Test(arguments: LogEngineConformance.cases(for: lossyTraits))
    func conformsWithItsWALInObjects(_ promise: ConformanceCase) async throws {
        try await promise.run(traits: Self.lossyTraits) { SharedEngineUnderTest(settings: .small, walsInObjects: true) }
    }

    /// The same with everything small: each append is uploaded, nothing stays in a cache, blocks hold a batch.
    @Test(arguments: LogEngineConformance.cases(for: traits))
    func conformsWhenReadFromObjects(_ promise: ConformanceCase) async throws {
        var settings = SharedStorageSettings.small
        settings.uploadThresholdBytes = 1
        settings.logCacheBytes = 0
        settings.blockBytes = 1
        settings.blockCacheBytes = 0
        try await promise.run(traits: Self.traits) { [settings] in SharedEngineUnderTest(settings: settings) }
    }
}
