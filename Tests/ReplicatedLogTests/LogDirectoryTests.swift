//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogEngine
import LogModel
import LogSegments
import Metering
import NIOCore
import ReplicatedLog
import RuntimeEnvironment
import SimulationKit
import Synchronization
import Testing

/// Several log directories in one broker, one of which fails (KIP-112).
@Suite struct LogDirectoryTests {
    private let topic = TopicID(high: 3, low: 4)

    private func partition(_ number: Int32) -> PartitionID { PartitionID(topicID: topic, topic: "t", partition: number) }

    private func lead(_ number: Int32, _ engine: ReplicatedLogEngine, partitionEpoch: Int64 = 1) async throws -> any PartitionLog {
        let assignment = PartitionAssignment(
            partition: partition(number), leader: BrokerID(1), leaderEpoch: LeaderEpoch(0), partitionEpoch: partitionEpoch,
            replicas: [BrokerID(1)], inSyncReplicas: [BrokerID(1)])
        return try #require(try await engine.apply(assignment, configuration: .keeping))
    }

    private func append(_ text: String, _ log: any PartitionLog) async throws {
        try await log.append(Sent.batch(text), acks: .all, epoch: nil).durable.wait()
    }

    @Test func partitionsGoWhereThereAreFewest() async throws {
        let engine = try await ReplicatedLogEngine.alone(on: [
            SimulatedDisk(seed: 1), SimulatedDisk(seed: 2), SimulatedDisk(seed: 3),
        ])
        for number in Int32(0)..<9 { _ = try await lead(number, engine) }
        let numbers = (Int32(0)..<9).compactMap { engine.volumeNumber(of: partition($0)) }
        for volume in 0..<3 { #expect(numbers.filter { $0 == volume }.count == 3) }
        #expect(engine.failedVolumes.isEmpty && engine.volumeNumber(of: partition(9)) == nil)
        await engine.shutdown()
    }

    @Test func aDirectoryThatFailsTakesOnlyItsOwnPartitionsWithIt() async throws {
        let disks = [SimulatedDisk(seed: 1), SimulatedDisk(seed: 2)]
        let engine = try await ReplicatedLogEngine.alone(on: disks)
        let offline = Mutex<[PartitionID]>([])
        engine.setOfflineListener { partition in offline.withLock { $0.append(partition) } }
        var logs: [Int32: any PartitionLog] = [:]
        for number in Int32(0)..<6 {
            logs[number] = try await lead(number, engine)
            try await append("before", logs[number]!)
        }
        let broken = (Int32(0)..<6).filter { engine.volumeNumber(of: partition($0)) == 1 }
        #expect(broken.count == 3)
        disks[1].setFault { _ in .inputOutput }
        let failure = await #expect(throws: LogError.self) { try await append("lost", logs[broken[0]]!) }
        #expect(failure?.code == .storageFailure)
        #expect(await eventually { engine.failedVolumes == [1] && offline.withLock { $0.count } == 3 })
        #expect(Set(offline.withLock { $0 }) == Set(broken.map(partition)))
        for (number, log) in logs {
            if broken.contains(number) {
                // All of them, though only one has met the fault.
                let append = #expect(throws: LogError.self) { try log.append(Sent.batch("x"), acks: .all, epoch: nil) }
                #expect(append?.code == .storageFailure)
                let read = await #expect(throws: LogError.self) {
                    try await log.read(
                        from: .zero, maxBytes: 100, minOneBatch: true, bound: .highWatermark, reader: .consumer,
                        currentLeaderEpoch: nil)
                }
                #expect(read?.code == .storageFailure)
            } else {
                try await append("after", log)
                #expect(log.offsets.highWatermark == Offset(2))
            }
        }
        // New ones go where it is well, a record about a lost one changes nothing, and one that moves away is let go of.
        _ = try await lead(6, engine)
        #expect(engine.volumeNumber(of: partition(6)) == 0)
        _ = try await lead(broken[1], engine, partitionEpoch: 2)
        #expect(engine.volumeNumber(of: partition(broken[1])) == 1)
        try await engine.apply(
            PartitionAssignment(
                partition: partition(broken[2]), leader: BrokerID(2), leaderEpoch: LeaderEpoch(1), partitionEpoch: 2,
                replicas: [BrokerID(2)], inSyncReplicas: [BrokerID(2)]), configuration: .keeping)
        #expect(engine.log(for: partition(broken[2])) == nil)
        await engine.shutdown()

        // Mended: after a restart everything acknowledged is there.
        disks[1].setFault(nil)
        let next = try await ReplicatedLogEngine.alone(on: disks)
        for number in broken {
            let log = try await lead(number, next, partitionEpoch: 3)
            #expect(log.offsets.logEnd >= Offset(1))
            try await append("again", log)
        }
        await next.shutdown()
    }

    @Test(arguments: [false, true]) func theLastDirectoryThatFailsIsToldOfAndLedNoMore(bySync: Bool) async throws {
        let disk = SimulatedDisk(seed: 1)
        let engine = try await ReplicatedLogEngine.alone(on: [disk])
        let failed = Mutex<[Int]>([])
        engine.setVolumeFailureListener { number, _ in failed.withLock { $0.append(number) } }
        let (first, second) = (try await lead(0, engine), try await lead(1, engine))
        try await append("before", first)
        if bySync {
            disk.setFault { $0.kind == .synchronize ? .inputOutput : nil }
            let failure = await #expect(throws: LogError.self) { try await first.flush() }
            #expect(failure?.code == .storageFailure)
        } else {
            disk.setFault { $0.kind == .write ? .inputOutput : nil }
            let failure = await #expect(throws: LogError.self) { try await append("lost", first) }
            #expect(failure?.code == .storageFailure)
        }
        // The append is answered a moment before the directory is marked.
        #expect(await eventually { failed.withLock { $0 } == [0] && engine.failedVolumes == [0] })
        disk.setFault(nil)
        for log in [first, second] {
            let append = #expect(throws: LogError.self) { try log.append(Sent.batch("x"), acks: .all, epoch: nil) }
            #expect(append?.code == .storageFailure)
        }
        await engine.shutdown()
    }

    @Test func aBrokerStartsWithoutADirectoryThatCannotBeReadButNotWithoutAny() async throws {
        let disks = [SimulatedDisk(seed: 1), SimulatedDisk(seed: 2)]
        let first = try await ReplicatedLogEngine.alone(on: disks)
        for number in Int32(0)..<4 { try await append("before", lead(number, first)) }
        let lost = (Int32(0)..<4).filter { first.volumeNumber(of: partition($0)) == 1 }
        await first.shutdown()
        disks[1].setFault { _ in .inputOutput }
        let second = try await ReplicatedLogEngine.alone(on: disks)
        #expect(second.failedVolumes == [1])
        #expect(second.logs.count == 2 && lost.allSatisfy { second.volumeNumber(of: partition($0)) == nil })
        _ = try await lead(4, second)
        #expect(second.volumeNumber(of: partition(4)) == 0)
        await second.shutdown()
        disks[0].setFault { _ in .inputOutput }
        await #expect(throws: LogError.self) { try await ReplicatedLogEngine.alone(on: disks) }
        // A full one is not a dead one.
        disks[0].setFault(nil)
        disks[1].setFault { _ in .noSpace }
        let full = await #expect(throws: LogError.self) { try await ReplicatedLogEngine.alone(on: disks) }
        #expect(full?.code == .diskFull)
        disks[1].setFault(nil)
        let third = try await ReplicatedLogEngine.alone(on: disks)
        for number in Int32(0)..<5 { try await append("after", lead(number, third, partitionEpoch: 2)) }
        await third.shutdown()
    }

    @Test(arguments: [false, true]) func ofTwoLogsOfOnePartitionTheOneThatIsAheadIsKept(secondIsAhead: Bool) async throws {
        let disks = [SimulatedDisk(seed: 1), SimulatedDisk(seed: 2)]
        for (disk, count) in zip(disks, secondIsAhead ? [1, 2] : [2, 1]) {
            let alone = try await ReplicatedLogEngine.alone(on: [disk])
            let log = try await lead(0, alone)
            for index in 0..<count { try await append("record\(index)", log) }
            await alone.shutdown()
        }
        for _ in 0..<2 {
            let both = try await ReplicatedLogEngine.alone(on: disks)
            #expect(both.logs.count == 1)
            #expect(both.volumeNumber(of: partition(0)) == (secondIsAhead ? 1 : 0))
            #expect(try await lead(0, both).offsets.logEnd == Offset(2))
            await both.shutdown()
        }
    }

    @Test func aFullDirectoryIsNotAFailedOne() async throws {
        let disks = [SimulatedDisk(seed: 1), SimulatedDisk(seed: 2)]
        let engine = try await ReplicatedLogEngine.alone(on: disks)
        let log = try await lead(0, engine)
        let number = try #require(engine.volumeNumber(of: partition(0)))
        disks[number].setFault { $0.kind == .write ? .noSpace : nil }
        let failure = await #expect(throws: LogError.self) { try await append("no room", log) }
        #expect(failure?.code == .diskFull)
        disks[number].setFault(nil)
        try await append("room", log)
        #expect(engine.failedVolumes.isEmpty)
        await engine.shutdown()
    }
}
