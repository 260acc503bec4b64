//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogEngine
import LogModel
import NIOCore
import ObjectStore
import RuntimeEnvironment
import SharedStorage
import SimulationKit
import Synchronization
import Testing

/// Two runs of one broker on one volume: the former is not dead after all.
@Suite struct RunsOfOneBrokerTests {
    private final class Client: WALClient {
        let groupMark = WALGroupMark()
        private let durable = Mutex(0)
        var count: Int { durable.withLock { $0 } }
        func appendDurable(_ offsets: Range<Offset>, position: Int64) { durable.withLock { $0 += 1 } }
        func appendFailed(_ error: LogError) {}
        func groupEnded() {}
    }

    private static func ring(
        _ folder: RingFolder, epoch: Int64, lease: @escaping @Sendable () -> Bool = { true }
    ) throws -> WriteAheadLog {
        var settings = SharedStorageSettings.small
        settings.walCapacityBytes = 128 << 10
        return try WriteAheadLog.create(
            disk: folder.disk, path: folder.path(of: BrokerEpoch(epoch)), brokerID: folder.broker, epoch: BrokerEpoch(epoch),
            environment: .system, settings: settings, leaseHolds: lease, pressure: {})
    }

    private static func append(_ number: Int64, to log: WriteAheadLog, _ client: Client) throws {
        try log.enqueue(
            WALAppend(
                stream: StreamID(topicID: TopicID(high: 1, low: 1), partition: 0), leaderEpoch: LeaderEpoch(1),
                offsets: Offset(number)..<Offset(number + 1), body: ByteBuffer(string: "number \(number)"), client: client))
    }

    private static func records(_ folder: RingFolder, epoch: Int64) throws -> [Int64] {
        let path = folder.path(of: BrokerEpoch(epoch))
        let header = try #require(try WriteAheadLog.readHeader(disk: folder.disk, path: path))
        let reader = try WALReader(disk: folder.disk, path: path, header: header)
        defer { reader.close() }
        return try reader.nextRecords(bytesMax: 1 << 20).map(\.header.offsets.lowerBound.rawValue)
    }

    @Test func aFormerRunThatGoesOnWritesIntoAFileOfItsOwn() async throws {
        let folder = RingFolder(disk: SimulatedDisk(seed: 1), base: "wal/ring", broker: BrokerID(3))
        let client = Client()
        let former = try Self.ring(folder, epoch: 1)
        for number in 0..<10 { try Self.append(Int64(number), to: former, client) }
        try await eventually("written") { client.count == 10 }
        try folder.removeRings(except: [])
        let next = try Self.ring(folder, epoch: 2)
        for number in 100..<105 {
            try Self.append(Int64(number), to: next, client)
            try Self.append(Int64(number), to: former, client)
        }
        try await eventually("written") { client.count == 20 }
        #expect(try Self.records(folder, epoch: 2) == Array(100..<105))
        #expect(try folder.disk.list("wal").map(\.name) == ["ring-3-2.wal"])
        await former.close()
        await next.close()
    }

    @Test func withoutItsLeaseARunWritesNothing() async throws {
        let folder = RingFolder(disk: SimulatedDisk(seed: 2), base: "ring", broker: BrokerID(3))
        let client = Client()
        let holds = Mutex(true)
        let log = try Self.ring(folder, epoch: 1) { holds.withLock { $0 } }
        try Self.append(0, to: log, client)
        try await eventually("written") { client.count == 1 }
        holds.withLock { $0 = false }
        let before = try folder.disk.readFile(folder.path(of: BrokerEpoch(1)))
        for number in 1..<4 {
            try Self.append(Int64(number), to: log, client)
            try await log.onWorker { _ throws(DiskError) in }
        }
        #expect(try folder.disk.readFile(folder.path(of: BrokerEpoch(1))) == before)
        #expect(client.count == 1)
        // A late renewal of the same lease: nobody has taken the log meanwhile.
        holds.withLock { $0 = true }
        try await eventually("written once the lease holds again") { client.count == 4 }
        #expect(try Self.records(folder, epoch: 1) == Array(0..<4))
        await log.close()
    }

    @Test(arguments: [false, true]) func aVolumeIsOneProcesssAtATime(_ isSimulated: Bool) async throws {
        let world = World(simulatedDisks: isSimulated ? 3 : nil)
        var settings = SharedStorageSettings.small
        let first = try await world.started(1)
        let log = try await world.open(first, leader: 1, epoch: 1)
        try await log.write(numbers(from: 0, count: 5))
        settings.openTimeout = .milliseconds(60)
        do {
            _ = try await world.started(1, epoch: 2, settings: settings)
            Issue.record("two processes with one write-ahead log")
        } catch let error as LogError {
            #expect(error.code == .notAvailable && error.message.contains("in use by another process"))
            #expect(!error.message.contains("\n"))
        }
        // The one that had it goes on, and another broker's on the same volume is not concerned.
        try await log.write(numbers(from: 5, count: 5))
        await first.shutdown()
        let next = try await world.started(1, epoch: 2, settings: settings)
        #expect(try await world.open(next, leader: 1, epoch: 2).readNumbers() == Array(0..<10))
        await next.shutdown()
    }

    /// Starts that wait for a former run to end, rings that go with their runs: the volume holds one, whatever happened before.
    @Test func aVolumeHoldsOneRing() async throws {
        let world = World()
        var written = 0
        for epoch in 1...4 {
            let engine = try await world.started(1, epoch: Int64(epoch))
            let log = try await world.open(engine, leader: 1, epoch: Int32(epoch))
            for _ in 0..<10 {
                try await log.write(numbers(from: written))
                written += 1
            }
            let names = try world.disk(of: 1).list("broker-1").map(\.name)
            #expect(names == ["wal-1-\(epoch).wal", "wal-1.lock"])
            if epoch % 2 == 0 { world.kill(engine, broker: 1) } else { await engine.shutdown() }
        }
        let last = try await world.started(1, epoch: 5)
        #expect(try await world.open(last, leader: 1, epoch: 5).readNumbers() == Array(0..<written))
        await last.shutdown()
    }
}
