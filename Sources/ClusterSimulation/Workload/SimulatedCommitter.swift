//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import KafkaProtocol
import RuntimeEnvironment
import SimulationKit

/// Commits growing offsets of a group, and asks for them. Touched on the loop's thread only.
final class SimulatedCommitter: @unchecked Sendable {
    let client: SimulatedClient
    let topic: String
    private let group = "readers"
    private var coordinator: Int32?
    private var lastTried: Int64 = 0
    private var lastAcknowledged: Int64 = -1
    private var lastTold: Int64 = -1

    init(client: SimulatedClient, topic: String) {
        self.client = client
        self.topic = topic
    }

    /// All brokers have lost what was not on their disks.
    func mayHaveLost() { (lastAcknowledged, lastTold, losses) = (-1, -1, losses + 1) }
    private var losses = 0

    func run() async throws {
        while !client.world.isOver {
            _ = try await commit()
            try? await client.world.clock.sleep(for: .milliseconds(Int64(100 + client.randomness.next(below: 500))))
            if client.randomness.chance(0.5) { _ = try await look() }
        }
    }

    private func commit() async throws -> Bool {
        guard let coordinator = await findCoordinator() else { return false }
        lastTried += 1
        let losses = losses
        let request = OffsetCommitRequest(
            groupId: group, generationIdOrMemberEpoch: -1, memberId: "",
            topics: [.init(name: topic, partitions: [.init(partitionIndex: 0, committedOffset: lastTried, committedMetadata: "")])])
        guard let answer = try? await client.ask(request, version: 8, of: coordinator, timeout: .seconds(6)),
            let told = answer.topics.first?.partitions.first
        else {
            self.coordinator = nil
            return false
        }
        guard told.errorCode == .none else {
            client.world.event("\(client.name): commit \(lastTried): \(told.errorCode.name) from \(coordinator)")
            self.coordinator = nil
            return false
        }
        if losses == self.losses { lastAcknowledged = lastTried }
        client.world.event("\(client.name): committed \(lastTried) at \(coordinator)")
        return true
    }

    /// Asks for the group's offset.
    ///
    /// - Returns: Whether it was told.
    func look() async throws -> Bool {
        guard let coordinator = await findCoordinator() else { return false }
        let least = max(lastAcknowledged, lastTold)
        let request = OffsetFetchRequest(groupId: group, topics: [.init(name: topic, partitionIndexes: [0])])
        let losses = losses
        guard let answer = try? await client.ask(request, version: 7, of: coordinator), answer.errorCode == .none,
            let told = answer.topics.first?.partitions.first, told.errorCode == .none
        else {
            self.coordinator = nil
            return false
        }
        guard losses == self.losses else { return false }
        guard told.committedOffset >= least, told.committedOffset <= lastTried else {
            throw Violation(
                .groupOffsets,
                "broker \(coordinator) tells offset \(told.committedOffset) of the group; \(lastAcknowledged) was acknowledged, \(lastTold) told before, \(lastTried) sent last"
            )
        }
        client.world.event("\(client.name): is told \(told.committedOffset) by \(coordinator)")
        lastTold = told.committedOffset
        return true
    }

    private func findCoordinator() async -> Int32? {
        if let coordinator { return coordinator }
        let answer = try? await client.ask(FindCoordinatorRequest(key: group, keyType: 0), version: 3, of: client.anyBroker)
        guard let answer, answer.errorCode == .none else { return nil }
        coordinator = answer.nodeId
        return answer.nodeId
    }
}
