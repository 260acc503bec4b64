//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import ClusterMetadata
import LogEngine
import LogModel
import Metering
import ObjectStore
import SharedStorage
import Synchronization
import Testing

@Suite struct DeletionTests {
    enum Work: CaseIterable {
        case upload
        case compaction
        /// Of the dead owner's log, by a survivor.
        case recovery
    }

    /// Runs a deletion at one of the moments in the middle of other work.
    private final class Interloper: Sendable {
        private let countdown: Mutex<Int>
        private let isDone = Mutex(false)
        private let deletion: @Sendable () async throws -> Void

        init(at moment: Int, _ deletion: @escaping @Sendable () async throws -> Void) {
            countdown = Mutex(moment)
            self.deletion = deletion
        }

        /// False if there were fewer moments.
        var hasRun: Bool { isDone.withLock { $0 } }

        func moment() async {
            let isNow = countdown.withLock { left in
                left -= 1
                return left == -1
            }
            guard isNow else { return }
            do { try await deletion() } catch { Issue.record("the deletion failed: \(error)") }
            isDone.withLock { $0 = true }
        }
    }

    /// Before and after every transaction, and before and at every put: in any order nothing of the partition stays.
    @Test(arguments: Work.allCases) func nothingStaysWhateverWasUnderWay(_ work: Work) async throws {
        var moment = 0
        while true {
            let world = World()
            let first = try await world.started(1)
            let second = try await world.started(2)
            let logs = [try await world.open(first, 0, leader: 1, epoch: 1), try await world.open(first, 1, leader: 1, epoch: 1)]
            for round in 0..<3 {
                for log in logs { try await log.write(numbers(from: round, size: 100)) }
                if round < 2 || work == .compaction { try await first.uploadAll() }
            }
            let deleter = work == .recovery ? second : first
            let interloper = Interloper(at: moment) { try await deleter.delete(world.partition(0), ownsSharedData: true) }
            if work == .recovery { world.kill(first, broker: 1) }
            world.metadata.setPause { _ in await interloper.moment() }
            world.objects.setPutPause { _ in await interloper.moment() }
            switch work {
            case .upload: try await first.uploadAll()
            // A compaction of what is gone by then says so.
            case .compaction: try? await first.settle()
            case .recovery: try await second.brokerDied(BrokerID(1), epoch: BrokerEpoch(1), assigned: true)
            }
            world.metadata.setPause(nil)
            world.objects.setPutPause(nil)
            guard interloper.hasRun else { break }
            if work != .recovery { #expect(try await logs[1].readNumbers() == Array(0..<3)) }
            // An assignment that comes late does not bring it back.
            #expect(
                try await deleter.apply(
                    world.assignment(0, leader: work == .recovery ? 2 : 1, epoch: 5), configuration: LogConfiguration()) == nil)
            try await deleter.delete(world.partition(1), ownsSharedData: true)
            try await deleter.settle()
            #expect(world.objects.keys.isEmpty, "deleted at moment \(moment)")
            for prefix in ["streams/", "ranges/", "objects/", "prepared/", "destroyed/"] {
                #expect(
                    try await world.metadata.list(prefix: "/shared/\(prefix)").values.map(\.key).isEmpty,
                    "deleted at moment \(moment)")
            }
            if work != .recovery { await first.shutdown() }
            await second.shutdown()
            moment += 1
        }
        #expect(moment >= 5)
    }

    /// The log start is raised past what is being rewritten.
    @Test func retentionMayOvertakeACompaction() async throws {
        var moment = 0
        while true {
            let world = World()
            let engine = try await world.started(1)
            let logs = [try await world.open(engine, 0, leader: 1, epoch: 1), try await world.open(engine, 1, leader: 1, epoch: 1)]
            for round in 0..<3 {
                for log in logs { try await log.write(numbers(from: round, size: 100)) }
                try await engine.uploadAll()
            }
            let interloper = Interloper(at: moment) { _ = try await logs[0].deleteRecords(before: Offset(3)) }
            world.metadata.setPause { _ in await interloper.moment() }
            world.objects.setPutPause { _ in await interloper.moment() }
            try? await engine.settle()
            world.metadata.setPause(nil)
            world.objects.setPutPause(nil)
            guard interloper.hasRun else { break }
            #expect(try await logs[0].readNumbers().isEmpty)
            #expect(try await logs[1].readNumbers() == Array(0..<3))
            try await engine.settle()
            #expect(logs[0].sizeInBytes == 0 && world.objects.keys.count == 1, "overtaken at moment \(moment)")
            #expect(try await world.hasNoOrphans, "overtaken at moment \(moment)")
            await engine.shutdown()
            moment += 1
        }
        #expect(moment >= 5)
    }

    /// However much there is, no transaction is larger than a metadata store takes, and an upload needs two of them.
    @Test func transactionsAreBounded() async throws {
        let world = World()
        var settings = SharedStorageSettings.small
        settings.streamObjectSplitBytes = 1_000
        let engine = try await world.started(1, settings: settings)
        let log = try await world.open(engine, 0, leader: 1, epoch: 1)
        var logs: [any PartitionLog] = []
        for number in 1...12 { logs.append(try await world.open(engine, Int32(number), leader: 1, epoch: 1)) }
        for round in 0..<450 {
            try await log.write(numbers(from: round))
            try await engine.uploadAll()
        }
        let sizes = Mutex<[Int]>([])
        world.metadata.setTrap { moment, transaction in
            if moment == .before { sizes.withLock { $0.append(transaction.operations.count) } }
            return nil
        }
        // Half of them bring enough for an object of their own.
        for (index, log) in logs.enumerated() { try await log.write(numbers(from: 0, size: index % 2 == 0 ? 2_000 : 10)) }
        try await engine.uploadAll()
        #expect(sizes.withLock { $0.count } == 2)
        sizes.withLock { $0 = [] }
        try await engine.delete(world.partition(0), ownsSharedData: true)
        #expect(sizes.withLock { $0.count } >= 3 && sizes.withLock { $0.max()! } <= 700)
        #expect(try await world.metadata.list(prefix: "/shared/ranges/\(StreamID(world.partition(0)))/").values.isEmpty)
        await engine.shutdown()
    }

    @Test func anObjectThatCannotBeDeletedHoldsUpNoOther() async throws {
        let world = World()
        var settings = SharedStorageSettings.small
        settings.destroyedObjectGrace = .zero
        let engine = try await world.started(1, settings: settings)
        for number in 0..<3 {
            let log = try await world.open(engine, Int32(number), leader: 1, epoch: 1)
            try await log.write(numbers(from: 0))
            try await engine.uploadAll()
        }
        let stuck = try #require(world.objects.keys.first)
        world.objects.setTrap { request, key in request == .delete && key == stuck ? .init(.forbidden, "denied") : nil }
        for number in 0..<3 { try await engine.delete(world.partition(Int32(number)), ownsSharedData: true) }
        await #expect(throws: LogError.self) { try await engine.settle() }
        #expect(world.objects.keys == [stuck])
        #expect(world.meters.upkeepFailures[.garbage]?.value == 1)
        #expect(try await world.metadata.list(prefix: "/shared/destroyed/").values.count == 1)
        world.objects.setTrap(nil)
        try await engine.settle()
        #expect(world.objects.keys.isEmpty)
        await engine.shutdown()
    }
}
