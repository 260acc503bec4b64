//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import ClusterMetadata
import LogEngine
import LogModel
import NIOCore
import ObjectStore
import RuntimeEnvironment
import SharedStorage
import Synchronization
import Testing

/// How long announced and destroyed objects stay.
@Suite struct LedgerTests {
    private static func prepared(_ number: Int, writer: Int, expires: Int64) -> [UInt8] {
        Array(
            #"{"expires":\#(expires),"key":"shared/00/\#(writer)-1-\#(number).nine","recordBytes":4,"writer":{"broker":\#(writer),"epoch":1}}"#
                .utf8)
    }

    @Test func anAnnouncedObjectOfAnotherBrokerIsLeftAloneUntilItExpires() async throws {
        let world = World()
        let engine = try await world.started(1)
        let now = world.environment.clock.wallMilliseconds()
        // Of a broker of which nobody has heard that it ended.
        for (number, expires) in [(1, now + 3_600_000), (2, now - 1)] {
            _ = try await world.metadata.commit(
                Transaction(operations: [
                    .put("/shared/prepared/9-1-\(number)", Self.prepared(number, writer: 9, expires: expires))
                ]))
            try await world.objects.put("shared/00/9-1-\(number).nine", ByteBuffer(string: "half"))
        }
        try await engine.settle()
        #expect(world.objects.keys == ["shared/00/9-1-1.nine"])
        #expect(try await world.metadata.list(prefix: "/shared/prepared/").values.map(\.key) == ["/shared/prepared/9-1-1"])
        await engine.shutdown()
    }

    @Test func aDestroyedObjectStaysForItsGraceAndThenGoes() async throws {
        let world = World()
        var settings = SharedStorageSettings.small
        settings.maintenanceInterval = .milliseconds(10)
        settings.destroyedObjectGrace = .milliseconds(400)
        let engine = try await world.started(1, settings: settings)
        let log = try await world.open(engine, leader: 1, epoch: 1)
        try await log.write(numbers(from: 0, count: 5))
        try await engine.uploadAll()
        let key = try #require(world.objects.keys.first)
        #expect(try await log.deleteRecords(before: Offset(5)) == Offset(5))
        let destroyed = try await world.metadata.list(prefix: "/shared/destroyed/").values
        #expect(destroyed.count == 1 && world.objects.keys == [key])
        let at = world.environment.clock.wallMilliseconds()
        try await eventually("it goes") { world.objects.keys.isEmpty }
        #expect(world.environment.clock.wallMilliseconds() - at >= 350)
        try await eventually("and is forgotten") { try await world.metadata.list(prefix: "/shared/destroyed/").values.isEmpty }
        await engine.shutdown()
    }

    /// A deletion that is refused again and again holds up neither the others nor the ledger (AutoMQ #3477).
    @Test func aDeletionThatFailsIsTriedAgainAndLosesNothing() async throws {
        let world = World()
        let engine = try await world.started(1)
        let log = try await world.open(engine, leader: 1, epoch: 1)
        for index in 0..<3 {
            try await log.write(numbers(from: index))
            try await engine.uploadAll()
        }
        #expect(try await log.deleteRecords(before: Offset(2)) == Offset(2))
        world.objects.setTrap { request, _ in request == .delete ? .init(.slowDown, "503") : nil }
        await #expect(throws: LogError.self) { try await engine.settle() }
        #expect(try await world.metadata.list(prefix: "/shared/destroyed/").values.count >= 2)
        #expect(try await world.audit(repairs: true).findings.isEmpty)
        world.objects.setTrap(nil)
        try await engine.settle()
        #expect(try await world.hasNoOrphans)
        #expect(try await log.readNumbers() == [2])
        await engine.shutdown()
    }
}
