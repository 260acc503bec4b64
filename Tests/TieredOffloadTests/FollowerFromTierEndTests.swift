//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogEngine
import LogModel
import RuntimeEnvironment
import SimulationKit
import Testing
import TieredOffload

/// KIP-1023: where a replica that is new to a partition begins.
@Suite struct FollowerFromTierEndTests {
    @Test(arguments: [false, true]) func aNewReplicaBeginsWhereItIsTold(fromTierEnd: Bool) async throws {
        let bench = TierBench()
        // The volume keeps everything, so that its beginning and the tier's end are far apart.
        var configuration = LogConfiguration.test
        configuration.localRetentionBytes = nil
        let leader = try await bench.start(1, replicas: [1, 2], configuration: configuration)
        for _ in 0..<4 { try await leader.fill(batches: 5) }
        try await leader.fill(batches: 2, seals: false)
        try await leader.engine.settle()
        #expect(leader.log.offsets.localStart == .zero && leader.log.offsets.latestTiered == Offset(99))

        var leaderTierEnd: TieredEngine.LeaderTierEnd?
        if fromTierEnd {
            leaderTierEnd = { @Sendable _, _, _ in leader.log.offsets.latestTiered.map { leader.lineage(start: $0 + 1) } }
        }
        let follower = try await bench.start(
            2, leader: 1, replicas: [1, 2], configuration: configuration, inSync: [1], leaderTierEnd: leaderTierEnd)
        #expect(follower.log.offsets.logEnd == Offset(fromTierEnd ? 100 : 0))
        try await leader.copyAll(to: follower)
        #expect(follower.log.offsets.localStart == Offset(fromTierEnd ? 100 : 0))
        #expect(follower.log.offsets.logStart == .zero)

        // As leader it serves what it never copied.
        try await bench.apply(follower, leader: 2, epoch: 2, replicas: [1, 2], configuration: configuration)
        #expect(try await follower.readAll(from: .zero) == leader.readAll(from: .zero))
        await leader.engine.shutdown()
        await follower.engine.shutdown()
    }

    @Test func whatADeposedLeaderUploadedBeyondTheLogIsNotTold() async throws {
        let bench = TierBench()
        var configuration = LogConfiguration.test
        configuration.localRetentionBytes = nil
        let first = try await bench.start(1, replicas: [1, 2], configuration: configuration)
        let second = try await bench.start(2, leader: 1, replicas: [1, 2], configuration: configuration)
        try await first.fill(batches: 5)
        try await first.copyAll(to: second)
        try await first.fill(batches: 5)
        try await first.engine.settle()
        #expect(first.log.offsets.latestTiered == Offset(49))
        await first.engine.shutdown()
        try await bench.apply(second, leader: 2, epoch: 2, replicas: [1, 2], configuration: configuration)
        try await second.engine.settle()
        #expect(second.log.offsets.logEnd == Offset(25) && second.log.offsets.latestTiered == Offset(24))
        await second.engine.shutdown()
    }

    @Test func whereTheLeaderDoesNotTellItBeginsAsUsual() async throws {
        let bench = TierBench()
        struct Silent: Error {}
        let follower = try await bench.start(
            2, leader: 1, replicas: [1, 2], inSync: [1], leaderTierEnd: { @Sendable _, _, _ in throw Silent() })
        #expect(follower.log.offsets.logEnd == .zero)
        await follower.engine.shutdown()
    }
}
