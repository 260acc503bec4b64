//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Glibc
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

/// Replicas that move between the log directories of a broker (KIP-113).
@Suite struct ReplicaMoveTests {
    private let partition = PartitionID(topicID: TopicID(high: 3, low: 4), topic: "t", partition: 0)

    private var configuration: LogConfiguration {
        var configuration = LogConfiguration.keeping
        configuration.segmentBytes = 2_000
        configuration.fileDeleteDelay = .zero
        return configuration
    }

    private func lead(_ engine: ReplicatedLogEngine, epoch: Int32 = 0) async throws -> any PartitionLog {
        let assignment = PartitionAssignment(
            partition: partition, leader: BrokerID(1), leaderEpoch: LeaderEpoch(epoch), partitionEpoch: Int64(epoch) + 1,
            replicas: [BrokerID(1)], inSyncReplicas: [BrokerID(1)])
        return try #require(try await engine.apply(assignment, configuration: configuration))
    }

    private func append(_ range: Range<Int>, _ log: any PartitionLog) async throws {
        for index in range { try await log.append(Sent.batch("record\(index)"), acks: .all, epoch: nil).durable.wait() }
    }

    private func content(_ log: any PartitionLog) async throws -> [String] {
        var texts: [String] = []
        var offset = log.offsets.logStart
        while offset < log.offsets.logEnd {
            let result = try await log.read(
                from: offset, maxBytes: 1 << 20, minOneBatch: true, bound: .logEnd, reader: .consumer, currentLeaderEpoch: nil)
            let batches = try RecordBatches(verifying: try result.records.contiguous(), allowsPartialTail: true)
            for entry in batches.entries {
                #expect(entry.header.baseOffset == offset)
                offset = entry.header.endOffset
                texts += try batches.records(of: entry).map { String(buffer: $0.value ?? ByteBuffer()) }
            }
        }
        return texts
    }

    private func texts(_ range: Range<Int>) -> [String] { range.map { "record\($0)-0" } }

    private func directories(_ disk: SimulatedDisk) throws -> [String] {
        try disk.list("isr").filter { $0.isDirectory && !$0.name.hasSuffix("-delete") }.map(\.name)
    }

    @Test func aReplicaMovesWhileItIsWrittenToAndStaysThere() async throws {
        let disks = [SimulatedDisk(seed: 1), SimulatedDisk(seed: 2)]
        let engine = try await ReplicatedLogEngine.alone(on: disks)
        let log = try await lead(engine)
        try await append(0..<200, log)
        #expect(try await log.deleteRecords(before: Offset(30)) == Offset(30))
        let writing = Task { try await append(200..<600, log) }
        for round in 0..<4 {
            let target = 1 - (round % 2)
            try await engine.move(partition, toVolume: target)
            #expect(await eventually { engine.volumeNumber(of: partition) == target && engine.moves.isEmpty })
        }
        try await writing.value
        try await engine.move(partition, toVolume: 1)
        #expect(await eventually { engine.volumeNumber(of: partition) == 1 && engine.moves.isEmpty })
        #expect(engine.log(for: partition) === log)
        try await append(600..<610, log)
        #expect(log.offsets.logStart == Offset(30) && log.offsets.highWatermark == Offset(610))
        #expect(try await content(log) == texts(30..<610))
        try await engine.settle()
        #expect(try directories(disks[0]).isEmpty)
        #expect(try directories(disks[1]) == ["t-0"])
        await engine.shutdown()

        let next = try await ReplicatedLogEngine.alone(on: disks)
        let again = try await lead(next, epoch: 1)
        #expect(next.volumeNumber(of: partition) == 1)
        try await append(610..<611, again)
        #expect(try await content(again) == texts(30..<611))
        #expect(try again.endOffset(forEpoch: LeaderEpoch(0))?.endOffset == Offset(610))
        await next.shutdown()
    }

    @Test func aMoveIsToldOfAndCanBeCalledOff() async throws {
        let disks = [SimulatedDisk(seed: 1), SimulatedDisk(seed: 2)]
        let engine = try await ReplicatedLogEngine.alone(on: disks)
        let log = try await lead(engine)
        try await append(0..<50, log)
        let held = Mutex(true)
        disks[1].setFault { operation in
            while operation.kind == .write, operation.path.hasSuffix(".log"), held.withLock({ $0 }) { usleep(1_000) }
            return nil
        }
        try await engine.move(partition, toVolume: 1)
        let move = try #require(engine.moves.first)
        #expect(move.partition == partition && move.volumeNumber == 1 && move.offsetLag == 50 && move.sizeInBytes == 0)
        let name = try #require(try directories(disks[1]).first)
        #expect(name.wholeMatch(of: /t-0\.[0-9a-f]{32}-future/) != nil)
        async let calledOff: Void = engine.move(partition, toVolume: 0)
        held.withLock { $0 = false }
        try await calledOff
        // Had it arrived by then, it goes back.
        #expect(await eventually { engine.moves.isEmpty && engine.volumeNumber(of: partition) == 0 })
        #expect(await eventually { (try? directories(disks[1]).isEmpty) ?? false })
        try await append(50..<51, log)
        #expect(try await content(log) == texts(0..<51))
        await engine.shutdown()
    }

    @Test func aDirectoryThatFailsWhileItIsMovedToCostsTheMoveOnly() async throws {
        let disks = [SimulatedDisk(seed: 1), SimulatedDisk(seed: 2)]
        let engine = try await ReplicatedLogEngine.alone(on: disks)
        let log = try await lead(engine)
        try await append(0..<50, log)
        disks[1].setFault { $0.path.hasSuffix(".log") ? .inputOutput : nil }
        do { try await engine.move(partition, toVolume: 1) } catch { #expect(error.code == .storageFailure) }
        #expect(await eventually { engine.failedVolumes == [1] && engine.moves.isEmpty })
        try await append(50..<60, log)
        #expect(engine.volumeNumber(of: partition) == 0)
        let refused = await #expect(throws: LogError.self) { try await engine.move(partition, toVolume: 1) }
        #expect(refused?.code == .storageFailure)
        await engine.shutdown()
    }

    /// Whichever call to a disk is the process's or the machine's last.
    @Test(arguments: [SimulatedDisk.Crash.processKill, .powerCut]) func aCrashAtAnyMomentLosesNothing(_ crash: SimulatedDisk.Crash)
        async throws
    {
        var calls = 1
        var hasFinished = false
        while !hasFinished {
            var disks = [SimulatedDisk(seed: UInt64(calls)), SimulatedDisk(seed: UInt64(calls) + 1_000)]
            // As whoever opens a volume makes its directory.
            for disk in disks {
                try disk.makeDirectory("isr")
                try disk.synchronizeDirectory("")
            }
            let first = try await ReplicatedLogEngine.alone(on: disks)
            let log = try await lead(first)
            try await append(0..<40, log)
            try await log.flush()
            let left = Mutex(calls)
            for disk in disks {
                disk.setFault { _ in
                    left.withLock { left in
                        left -= 1
                        return left < 0 ? .inputOutput : nil
                    }
                }
            }
            try? await first.move(partition, toVolume: 1)
            #expect(await eventually { first.moves.isEmpty })
            hasFinished = left.withLock { $0 >= 0 }
            disks = disks.map { $0.crash(crash) }
            await first.shutdown()
            for disk in disks { disk.setFault(nil) }
            let second = try await ReplicatedLogEngine.alone(on: disks)
            let again = try await lead(second, epoch: 1)
            #expect(second.logs.count == 1)
            // What was begun is brought to its end.
            #expect(await eventually { second.moves.isEmpty }, "\(calls) calls")
            #expect(try await content(again) == texts(0..<40), "\(calls) calls")
            try await append(40..<45, again)
            try await second.settle()
            #expect(try disks.flatMap(directories) == ["t-0"], "\(calls) calls")
            await second.shutdown()
            calls += calls < 60 ? 1 : 7
        }
    }
}
