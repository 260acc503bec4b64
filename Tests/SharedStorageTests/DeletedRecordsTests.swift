//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogEngine
import LogModel
import ObjectStore
import SharedStorage
import Synchronization
import Testing

/// DeleteRecords into what is in no object yet.
@Suite struct DeletedRecordsTests {
    enum Then: CaseIterable {
        case upload, crash, move
    }

    @Test(arguments: Then.allCases) func theNewStartOutlives(_ then: Then) async throws {
        let world = World()
        let first = try await world.started(1)
        let second = try await world.started(2)
        var log = try await world.open(first, leader: 1, epoch: 1)
        for index in 0..<10 { try await log.write(numbers(from: index)) }
        try await first.uploadAll()
        for index in 10..<20 { try await log.write(numbers(from: index)) }
        #expect(try await log.deleteRecords(before: Offset(15)) == Offset(15))
        #expect(log.offsets.logStart == Offset(15) && log.offsets.logEnd == Offset(20))
        await #expect(throws: LogError.self) { _ = try await log.read(from: Offset(14)) }
        #expect(try await log.readNumbers() == Array(15..<20))
        #expect(try await log.offset(forTimestamp: Timestamp(0))?.offset == Offset(15))
        switch then {
        case .upload: try await first.uploadAll()
        case .crash:
            world.kill(first, broker: 1)
            try await second.brokerDied(BrokerID(1), epoch: BrokerEpoch(1), assigned: true)
            log = try await world.open(second, leader: 2, epoch: 2)
        case .move:
            _ = try await first.apply(world.assignment(leader: 1, epoch: 1, movingTo: 2), configuration: LogConfiguration())
            log = try await world.open(second, leader: 2, epoch: 2)
        }
        #expect(log.offsets.logStart == Offset(15))
        #expect(try await log.readNumbers() == Array(15..<20))
        #expect(try await log.offset(forTimestamp: Timestamp(0))?.offset == Offset(15))
        try await log.write(numbers(from: 20))
        // All of it: what was uploaded although it was deleted goes too.
        #expect(try await log.deleteRecords(before: Offset(21)) == Offset(21))
        for engine in then == .crash ? [second] : [first, second] { try await engine.settle() }
        for engine in then == .crash ? [second] : [first, second] { try await engine.settle() }
        #expect(log.offsets.logStart == Offset(21) && log.sizeInBytes == 0)
        #expect(world.objects.keys.isEmpty)
        if then != .crash { await first.shutdown() }
        await second.shutdown()
    }

    @Test func anOffsetAboveTheHighWatermarkIsRefused() async throws {
        let world = World()
        let engine = try await world.started(1)
        let log = try await world.open(engine, leader: 1, epoch: 1)
        try await log.write(numbers(from: 0, count: 5))
        do {
            _ = try await log.deleteRecords(before: Offset(6))
            Issue.record("records that are not there were deleted")
        } catch { #expect(error.code == .offsetOutOfRange) }
        #expect(log.offsets.logStart == .zero)
        await engine.shutdown()
    }
}
