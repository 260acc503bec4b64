//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogEngine
import LogModel
import NIOCore
import ReplicatedLog
import RuntimeEnvironment
import SimulationKit
import Synchronization
import Testing

/// Idempotent producers (KIP-98), and what queues of appends do beside other work.
@Suite struct ProducerTests {
    private let partition = PartitionID(topicID: TopicID(high: 5, low: 6), topic: "t", partition: 0)

    /// - Parameter isr: Of these only broker 1 is there.
    private func lead(_ engine: ReplicatedLogEngine, isr: [BrokerID] = [BrokerID(1)]) async throws -> any PartitionLog {
        let assignment = PartitionAssignment(
            partition: partition, leader: BrokerID(1), leaderEpoch: LeaderEpoch(0), partitionEpoch: 1, replicas: isr,
            inSyncReplicas: isr)
        return try #require(try await engine.apply(assignment, configuration: .keeping))
    }

    private func batch(_ sequence: Int32, time: Int64 = 1_000, producer: Int64 = 7) throws -> RecordBatches {
        let record = Record(timestamp: Timestamp(time), key: nil, value: ByteBuffer(repeating: 1, count: 500))
        return try RecordBatches(
            verifying: RecordBatchBuilder.batch(of: [record], producerID: producer, producerEpoch: 0, baseSequence: sequence))
    }

    @Test func producersThatWriteNothingAreForgottenAfterAWhile() async throws {
        var settings = ReplicatedLogSettings()
        settings.producerIDExpiration = .seconds(3_600)
        settings.producerIDExpirationCheckInterval = .milliseconds(5)
        let disk = SimulatedDisk(seed: 1)
        let engine = try await ReplicatedLogEngine.alone(on: [disk], settings: settings)
        let log = try await lead(engine)
        let now = RuntimeEnvironment.system.clock.wallMilliseconds()
        _ = try await log.append(batch(0, time: now, producer: 8), acks: .all, epoch: nil).durable.wait()
        _ = try await log.append(batch(0, time: now - 7_200_000), acks: .all, epoch: nil).durable.wait()
        // Forgotten, its next number is as good as any first; known, it would be a gap.
        #expect(
            await eventually {
                (try? log.append(batch(50, time: now - 7_200_000), acks: .all, epoch: nil).isDuplicate) == false
            })
        let error = #expect(throws: LogError.self) {
            try log.append(batch(50, time: now, producer: 8), acks: .all, epoch: nil)
        }
        #expect(error?.code == .outOfOrderSequence)
        await engine.shutdown()
    }

    @Test func aRepetitionOfWhatIsBeingWrittenWaitsForTheLeaderAlone() async throws {
        let disk = SimulatedDisk(seed: 1)
        let engine = try await ReplicatedLogEngine.alone(on: [disk])
        // The high watermark does not rise: the other member never fetches.
        let log = try await lead(engine, isr: [BrokerID(1), BrokerID(2)])
        let repetition = Mutex<AppendReceipt?>(nil)
        disk.setFault { operation in
            guard operation.kind == .write, operation.path.hasSuffix(".log"), repetition.withLock({ $0 == nil }) else { return nil }
            let receipt = try? log.append(batch(0), acks: .leader, epoch: nil)
            repetition.withLock { $0 = receipt }
            return nil
        }
        try await log.append(batch(0), acks: .leader, epoch: nil).durable.wait()
        disk.setFault(nil)
        let receipt = try #require(repetition.withLock { $0 })
        #expect(receipt.isDuplicate && receipt.range == .zero..<Offset(1))
        try await receipt.durable.wait()
        #expect(log.offsets.highWatermark == .zero)
        await engine.shutdown()
    }

    /// What was queued while the replica changed its directory gives the room back where it was taken.
    @Test func roomInAWriteQueueOutlivesAMoveBetweenDirectories() async throws {
        var settings = ReplicatedLogSettings()
        settings.queuedBytesMax = 1_000
        let disks = [SimulatedDisk(seed: 1), SimulatedDisk(seed: 2)]
        let engine = try await ReplicatedLogEngine.alone(on: disks, settings: settings)
        let log = try await lead(engine)
        try await log.append(batch(0), acks: .all, epoch: nil).durable.wait()
        let first = try #require(engine.volumeNumber(of: partition))
        let queued = Mutex<AppendReceipt?>(nil)
        // The copy gets the partition's name: the replica is about to lie there.
        disks[1 - first].setFault { operation in
            guard operation.kind == .rename, operation.path.hasSuffix("-future"), queued.withLock({ $0 == nil }) else { return nil }
            let receipt = try? log.append(batch(1), acks: .all, epoch: nil)
            queued.withLock { $0 = receipt }
            return nil
        }
        try await engine.move(partition, toVolume: 1 - first)
        #expect(await eventually { engine.volumeNumber(of: partition) == 1 - first && engine.moves.isEmpty })
        disks[1 - first].setFault(nil)
        try await #require(queued.withLock { $0 }).durable.wait()
        try await engine.move(partition, toVolume: first)
        #expect(await eventually { engine.volumeNumber(of: partition) == first && engine.moves.isEmpty })
        // Were its room still taken there, this one would be refused.
        try await log.append(batch(2), acks: .all, epoch: nil).durable.wait()
        #expect(log.offsets.logEnd == Offset(3))
        await engine.shutdown()
    }
}
