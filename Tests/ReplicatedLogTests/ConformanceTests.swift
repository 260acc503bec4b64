//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Foundation
import LogEngine
import LogEngineTesting
import LogModel
import Logging
import Metering
import ReplicatedLog
import RuntimeEnvironment
import SimulationKit
import Synchronization
import Testing

private struct NobodyElse: InSyncReplicaStore, ReplicaFetcher {
    struct Alone: Error {}
    func propose(_ proposal: InSyncReplicaProposal) async throws -> InSyncReplicaDecision { throw Alone() }
    func fetch(
        from leader: BrokerID, lane: Int, requests: [ReplicaFetchRequest], maxWait: Duration, minBytes: Int, maxBytes: Int
    ) async throws -> [PartitionID: ReplicaFetchResponse] { throw Alone() }
    func offsets(of partition: PartitionID, from leader: BrokerID, leaderEpoch: LeaderEpoch) async throws -> LeaderOffsets {
        throw Alone()
    }
    func endOffset(
        forEpoch epoch: LeaderEpoch, of partition: PartitionID, from leader: BrokerID, leaderEpoch: LeaderEpoch
    ) async throws -> EpochEndOffset? { throw Alone() }
}

private func makeAlone(_ disk: any Disk) -> ReplicatedLogEngine {
    var settings = ReplicatedLogSettings()
    settings.clusterID = "conformance"
    return ReplicatedLogEngine(
        brokerID: BrokerID(1), volumes: [Volume(specification: "test", disk: disk)], environment: .system, meters: Meters(),
        membership: NobodyElse(), fetcher: NobodyElse(), brokerEpoch: { BrokerEpoch(1) }, settings: settings, logger: .silent)
}

/// One replica on a disk in memory, which can be taken away from it at any time.
private final class SimulatedEngineUnderTest: EngineUnderTest {
    let brokerID = BrokerID(1)
    let environment = RuntimeEnvironment.system
    private let disk = Mutex(SimulatedDisk(seed: 1))

    func makeEngine() async throws -> any LogEngine { makeAlone(disk.withLock { $0 }) }

    func kill(_ engine: any LogEngine) async throws {
        disk.withLock { $0 = $0.crash(.processKill) }
        await engine.shutdown()
    }
}

/// One replica on files, three copies of each.
private final class FileEngineUnderTest: EngineUnderTest {
    let brokerID = BrokerID(1)
    let environment = RuntimeEnvironment.system
    private let directory: TemporaryDirectory
    private let volume: Volume

    init() throws {
        directory = try TemporaryDirectory()
        volume = try Volume.open(
            specification: "replicated:3:\(directory.path)", meters: Meters(), classify: { _ in .hotLog })
    }

    func makeEngine() async throws -> any LogEngine { makeAlone(volume.disk) }

    func kill(_ engine: any LogEngine) async throws { await engine.shutdown() }
}

@Suite struct ConformanceTests {
    private static let simulated = {
        var traits = EngineTraits()
        traits.enforcesMinInSyncReplicas = true
        traits.physicalCopies = 0
        return traits
    }()

    private static let files = {
        var traits = EngineTraits()
        traits.physicalCopies = 3
        return traits
    }()

    @Test(arguments: LogEngineConformance.cases(for: simulated))
    func conforms(_ promise: ConformanceCase) async throws {
        try await promise.run(traits: Self.simulated) { SimulatedEngineUnderTest() }
    }

    @Test(arguments: LogEngineConformance.cases(for: files).filter { !$0.name.contains("kill") })
    func conformsOnFiles(_ promise: ConformanceCase) async throws {
        try await promise.run(traits: Self.files) { try FileEngineUnderTest() }
    }
}

/// A fresh directory, removed when let go.
final class TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        var template = Array((NSTemporaryDirectory() + "/ninefold-XXXXXX").utf8CString)
        guard mkdtemp(&template) != nil else { throw CocoaError(.fileWriteUnknown) }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

extension Logger {
    /// Crashes are noisy.
    static let silent = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
}
