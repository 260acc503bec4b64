//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogEngine
import LogModel
import Logging
import Metering
import ObjectStore
import RuntimeEnvironment
import SharedStorage
import SimulationKit
import Synchronization
import Testing

@Suite struct UpkeepTests {
    private static var busy: SharedStorageSettings {
        var settings = SharedStorageSettings.small
        settings.maintenanceInterval = .milliseconds(10)
        settings.destroyedObjectGrace = .zero
        settings.mergeFanIn = 2
        return settings
    }

    private struct Lines: LogHandler {
        let lines: LinesBox
        var metadata: Logger.Metadata = [:]
        var logLevel: Logger.Level = .trace
        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }
        func log(event: LogEvent) {
            lines.add("\(event.message) \((event.metadata ?? [:]).sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" })")
        }
    }

    private final class LinesBox: Sendable {
        private let stored = Mutex<[String]>([])
        func add(_ line: String) { stored.withLock { $0.append(line) } }
        var all: [String] { stored.withLock { $0 } }
    }

    @Test func failuresAreAllCountedAndSaidOnceInAWhile() {
        let clock = SimulatedClock()
        let (lines, meters) = (LinesBox(), Meters())
        let report = UpkeepReport(
            meters: meters, clock: clock, logger: Logger(label: "test") { _ in Lines(lines: lines) })
        let error = LogError(.notAvailable, "the store is away")
        for _ in 0..<10 { report.failed(.compaction, "Compaction failed", error) }
        report.failed(.garbage, "Deletion failed", error)
        #expect(lines.all.count == 2)
        clock.advance(by: .seconds(61))
        report.failed(.compaction, "Compaction failed", error)
        #expect(lines.all.count == 3)
        #expect(lines.all[2].contains("alsoSinceTheLastLine=9") && lines.all[2].contains("the store is away"))
        #expect(meters.upkeepFailures[.compaction]?.value == 11 && meters.upkeepFailures[.garbage]?.value == 1)
        #expect(meters.snapshot["upkeep.failures.compaction"] == 11)
    }

    @Test func aCompactionThatFailsIsCountedAndTriedAgain() async throws {
        let world = World()
        let engine = try await world.started(1, settings: Self.busy)
        world.objects.setTrap { request, _ in request == .get ? .init(.slowDown, "503") : nil }
        let log = try await world.open(engine, leader: 1, epoch: 1)
        for index in 0..<4 {
            try await log.write(numbers(from: index))
            try await engine.uploadAll()
        }
        try await eventually("counted") { (world.meters.upkeepFailures[.compaction]?.value ?? 0) > 1 }
        world.objects.setTrap(nil)
        try await eventually("compacted") { world.objects.keys.count == 1 }
        #expect(try await log.readNumbers() == Array(0..<4))
        await engine.shutdown()
    }

    @Test func whatIsWrittenIntoObjectsIsCountedByReason() async throws {
        let world = World()
        var settings = SharedStorageSettings.small
        settings.streamObjectSplitBytes = 1_000
        let engine = try await world.started(1, settings: settings)
        let logs = [try await world.open(engine, 0, leader: 1, epoch: 1), try await world.open(engine, 1, leader: 1, epoch: 1)]
        let large = try await world.open(engine, 2, leader: 1, epoch: 1)
        for log in logs { try await log.write(numbers(from: 0, size: 200)) }
        try await large.write(numbers(from: 0, size: 2_000))
        try await engine.uploadAll()
        func counted(_ reason: ObjectWrite) -> Int64 { world.meters.objectRecordBytes[reason]?.value ?? -1 }
        let small = logs.reduce(0) { $0 + $1.sizeInBytes }
        #expect(counted(.streamSet) == small && counted(.stream) == large.sizeInBytes)
        #expect(counted(.minorCompaction) == 0 && counted(.majorCompaction) == 0)
        try await engine.settle()
        #expect(counted(.majorCompaction) == small && counted(.stream) == large.sizeInBytes)
        await engine.shutdown()
    }

    @Test func producersThatHaveBeenSilentForLongAreForgotten() async throws {
        let world = World()
        var settings = Self.busy
        settings.producerIDExpiration = .seconds(3_600)
        let engine = try await world.started(1, settings: settings)
        let log = try await world.open(engine, leader: 1, epoch: 1)
        let now = SystemClock().wallMilliseconds()
        try await log.write(numbers(from: 0, timestamp: now, producer: 1, sequence: 0))
        try await log.write(numbers(from: 1, timestamp: now - 7_200_000, producer: 2, sequence: 0))
        // What its number would repeat is new again.
        try await eventually("forgotten") {
            try !log.append(numbers(from: 1, timestamp: now - 7_200_000, producer: 2, sequence: 0), acks: .all, epoch: nil)
                .isDuplicate
        }
        #expect(try log.append(numbers(from: 0, timestamp: now, producer: 1, sequence: 0), acks: .all, epoch: nil).isDuplicate)
        await engine.shutdown()
    }

    /// What is in no object cannot leave the memory: it comes to no more than its share, however large the ring.
    @Test func appendsWaitWhereMemoryIsFullOfWhatIsNotUploaded() async throws {
        let world = World()
        var settings = SharedStorageSettings.small
        settings.logCacheBytes = 1 << 20
        settings.blockBytes = 4_096
        let engine = try await world.started(1, settings: settings)
        let logs = [try await world.open(engine, 0, leader: 1, epoch: 1), try await world.open(engine, 1, leader: 1, epoch: 1)]
        world.objects.setTrap { request, _ in request == .put ? .init(.slowDown, "503") : nil }
        var written = 0
        var refusal: LogError?
        while refusal == nil, written < 1_000 {
            do {
                try await logs[written % 2].write(numbers(from: written / 2, size: 10_000))
                written += 1
            } catch let error as LogError { refusal = error }
        }
        #expect(refusal?.code == .overloaded && refusal?.message.contains("log.cache.bytes") == true)
        #expect(logs.reduce(0) { $0 + $1.sizeInBytes } <= 1 << 20)
        #expect(written > 50)
        world.objects.setTrap(nil)
        for _ in 0..<100 {
            try await eventually("room again") {
                do {
                    try await logs[written % 2].write(numbers(from: written / 2, size: 10_000))
                    written += 1
                    return true
                } catch let error as LogError where error.code == .overloaded { return false }
            }
        }
        for (index, log) in logs.enumerated() { #expect(try await log.readNumbers() == Array(0..<((written + 1 - index) / 2))) }
        await engine.shutdown()
    }
}
