//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import ClusterMetadata
import LogEngine
import LogModel
import LogSegments
import Logging
import NIOCore
import ObjectStore
import RuntimeEnvironment
import SimulationKit
import Synchronization
import Testing
import TieredOffload

/// Keeps which objects errors name.
private final class ErrorLog: LogHandler, Sendable {
    private let named = Mutex<[String]>([])
    var objects: [String] { named.withLock { $0 } }

    var logLevel: Logger.Level {
        get { .error }
        set {}
    }
    var metadata: Logger.Metadata {
        get { [:] }
        set {}
    }
    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { nil }
        set {}
    }

    func log(event: LogEvent) {
        guard event.level == .error, let object = event.metadata?["object"] else { return }
        named.withLock { $0.append("\(object)") }
    }
}

@Suite struct CorruptionTests {
    @Test(arguments: [3, 16, 70, 300]) func damagedBatchIsNamedAndNotServed(at byte: Int) async throws {
        let bench = TierBench()
        let broker = try await bench.start()
        for _ in 0..<2 { try await broker.fill(batches: 20) }
        try await broker.engine.settle()
        let object = TierKey.log(try await bench.records()[0])
        let whole = try await broker.readAll(from: Offset(100))
        bench.store.corrupt(object, at: byte)
        do {
            _ = try await broker.readAll(from: .zero)
            Issue.record("a damaged batch was served")
        } catch let error as LogError {
            #expect(error.code == .corruptLog)
            #expect(error.message.contains(object))
        }
        #expect(try await broker.readAll(from: Offset(100)) == whole)
        await broker.engine.shutdown()
    }

    @Test func batchesBeforeTheDamagedOneAreServed() async throws {
        let bench = TierBench()
        let broker = try await bench.start()
        try await broker.fill(batches: 10)
        try await broker.engine.settle()
        let record = try await bench.records()[0]
        bench.store.corrupt(TierKey.log(record), at: Int(record.sizeInBytes) - 5)
        let result = try await broker.log.read(
            from: .zero, maxBytes: 1 << 20, minOneBatch: true, bound: .highWatermark, reader: .consumer, currentLeaderEpoch: nil)
        #expect(try RecordBatches(verifying: result.records.contiguous()).entries.count == 9)
        await broker.engine.shutdown()
    }

    @Test func damagedIndexIsFound() async throws {
        let bench = TierBench()
        let broker = try await bench.start()
        try await broker.fill(batches: 20)
        try await broker.engine.settle()
        bench.store.corrupt(TierKey.indexes(try await bench.records()[0]), at: 9)
        #expect(await failure { _ = try await broker.readAll(from: Offset(50)) } == .corruptLog)
        await broker.engine.shutdown()
    }

    @Test func aDamagedLocalSegmentIsNeitherUploadedNorFreed() async throws {
        let bench = TierBench()
        let broker = try await bench.start()
        for _ in 0..<2 { try await broker.fill(batches: 20) }
        let segment = broker.tailLog.sealedSegments(below: Offset(.max))[0]
        bench.world.disk(of: 1).corrupt(segment.logPath, at: 400)
        #expect(await failure { try await broker.engine.settle() } == .corruptLog)
        #expect(broker.log.offsets.localStart == .zero)
        #expect(bench.store.keys.isEmpty)
        await broker.engine.shutdown()
    }

    @Test func aCutObjectIsFound() async throws {
        let bench = TierBench()
        let broker = try await bench.start()
        try await broker.fill(batches: 20)
        try await broker.engine.settle()
        let object = TierKey.log(try await bench.records()[0])
        try await bench.store.put(object, try await bench.store.get(object, range: 0..<500))
        #expect(await failure { _ = try await broker.readAll(from: .zero, maxBytes: 1 << 20) } == .corruptLog)
        await broker.engine.shutdown()
    }

    @Test(arguments: [".log", ".indexes"]) func aMissingObjectIsNamedOnceAndIsNoEmptyAnswer(suffix: String) async throws {
        let bench = TierBench()
        let log = ErrorLog()
        let broker = try await bench.start(logger: Logger(label: "tier-test", factory: { _ in log }))
        for _ in 0..<2 { try await broker.fill(batches: 20) }
        let before = try await broker.readAll(from: Offset(100))
        try await broker.engine.settle()
        let record = try #require(try await bench.records().first { $0.baseOffset == .zero })
        try await bench.store.delete([record.objectKey + suffix])
        for _ in 0..<3 {
            #expect(await failure { _ = try await broker.readAll(from: .zero) } == .storageFailure)
            #expect(
                await failure { _ = try await broker.log.offset(forTimestamp: Timestamp(TierBench.time(of: 50))) }
                    == .storageFailure)
        }
        #expect(log.objects == [record.objectKey + suffix])
        #expect(try await broker.readAll(from: Offset(100)) == before)
        await broker.engine.shutdown()
    }

    @Test func whatWasDeletedBehindTheCatalogsBackIsOutOfRange() async throws {
        let bench = TierBench()
        let broker = try await bench.start()
        for _ in 0..<2 { try await broker.fill(batches: 20) }
        try await broker.engine.settle()
        let record = try #require(try await bench.records().first { $0.baseOffset == .zero })
        // The record goes while the read is on its way to the object.
        let isDeleted = Mutex(false)
        bench.store.setFault { operation in
            guard operation.kind == .get, !isDeleted.withLock({ $0 }) else { return nil }
            return .delay(.seconds(5))
        }
        let reading = Task { await failure { _ = try await broker.readAll(from: .zero) } }
        let key = TierKey.segment(record.id, at: record.baseOffset, of: bench.partition)
        _ = try await bench.metadata.commit(Transaction(conditions: [], operations: [.delete(key)]))
        try await bench.store.delete(TierKey.all(record))
        isDeleted.withLock { $0 = true }
        #expect(try await bench.world.clock.autoAdvancing { await reading.value } == .offsetOutOfRange)
        await broker.engine.shutdown()
    }

    @Test func aStoreThatIsAwayIsWorthAnotherTry() async throws {
        let bench = TierBench()
        let broker = try await bench.start()
        try await broker.fill(batches: 20)
        let before = try await broker.readAll()
        try await broker.engine.settle()
        bench.store.setFault { $0.kind == .get ? .fail(.timedOut) : nil }
        #expect(await failure { _ = try await broker.readAll() } == .notAvailable)
        bench.store.setFault(nil)
        #expect(try await broker.readAll() == before)
        await broker.engine.shutdown()
    }
}
