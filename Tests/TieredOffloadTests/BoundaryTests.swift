//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import ClusterMetadata
import LogEngine
import LogModel
import LogSegments
import NIOCore
import ObjectStore
import RuntimeEnvironment
import SimulationKit
import Synchronization
import Testing
import TieredOffload

@Suite struct BoundaryTests {
    @Test func readsCrossTheBoundaryByteForByte() async throws {
        let bench = TierBench()
        let broker = try await bench.start()
        for _ in 0..<4 { try await broker.fill(batches: 20) }
        try await broker.fill(batches: 7, seals: false)
        let before = try await broker.readAll()
        #expect(bench.store.keys.isEmpty)
        try await broker.engine.settle()

        #expect(broker.log.offsets.logStart == .zero)
        #expect(broker.log.offsets.localStart == Offset(400))
        #expect(broker.log.offsets.latestTiered == Offset(399))
        #expect(bench.store.keys.count == 12)
        for maxBytes in [1, 1_000, 4_097, 1 << 20] {
            #expect(try await broker.readAll(maxBytes: maxBytes) == before, "by \(maxBytes) bytes")
        }
        // From every offset, also inside batches.
        for offset in stride(from: Int64(0), to: 435, by: 7) {
            let batches = try await broker.readAll(from: Offset(offset), maxBytes: 900)
            let first = try RecordBatches(verifying: batches).entries[0].header.baseOffset
            #expect(first == Offset(offset / 5 * 5))
        }
        try await bench.expectNoOrphans()
        await broker.engine.shutdown()
    }

    @Test func aBatchLargerThanTheReadComesWhole() async throws {
        let bench = TierBench()
        let broker = try await bench.start()
        try await broker.fill(batches: 3, valueBytes: 9_000)
        try await broker.fill(batches: 1, seals: false)
        let before = try await broker.readAll()
        try await broker.engine.settle()
        #expect(try await broker.readAll(maxBytes: 100) == before)
        let empty = try await broker.log.read(
            from: .zero, maxBytes: 100, minOneBatch: false, bound: .highWatermark, reader: .consumer, currentLeaderEpoch: nil)
        #expect(empty.records.sizeInBytes == 0)
        await broker.engine.shutdown()
    }

    @Test func aSegmentLargerThanAPartGoesUpInParts() async throws {
        let bench = TierBench()
        var settings = TieredSettings.test
        settings.partBytes = 5 << 20
        let broker = try await bench.start(settings: settings)
        try await broker.fill(batches: 60, valueBytes: 40_000)
        let before = try await broker.readAll(maxBytes: 1 << 20)
        try await broker.engine.settle()
        #expect(bench.store.requestCount(.multipart) == 1)
        #expect(broker.log.offsets.localStart == broker.log.offsets.logEnd)
        #expect(try await broker.readAll(maxBytes: 1 << 20) == before)
        await broker.engine.shutdown()
    }

    @Test func readingInOrderTakesOneGetPerReadAhead() async throws {
        let bench = TierBench()
        let broker = try await bench.start()
        try await broker.fill(batches: 200)
        try await broker.engine.settle()
        let size = try await bench.records()[0].sizeInBytes
        let before = bench.store.requestCount(.get)
        _ = try await broker.readAll(maxBytes: 1_500)
        // One for the index; the log by runs of four chunks.
        let runs = Int((size + 16_383) / 16_384)
        #expect(bench.store.requestCount(.get) - before <= runs + 2)
        await broker.engine.shutdown()
    }

    @Test func onlyWhatIsBelowTheHighWatermarkGoesUp() async throws {
        let bench = TierBench()
        let broker = try await bench.start()
        for _ in 0..<3 { try await broker.fill(batches: 4) }
        broker.tailLog.content.state.withLock { $0.highWatermark = Offset(39) }
        try await broker.engine.settle()
        #expect(broker.log.offsets.latestTiered == Offset(19))
        broker.tailLog.content.state.withLock { $0.highWatermark = nil }
        // The watermark that a segment waits for is noticed by itself.
        try await broker.fill(batches: 1, seals: false)
        try await eventually("the segments below the high watermark are copied") { broker.log.offsets.latestTiered == Offset(59) }
        await broker.engine.shutdown()
    }

    @Test func followersAreSentToTheTierAndOthersToTheLeader() async throws {
        let bench = TierBench()
        let broker = try await bench.start()
        try await broker.fill(batches: 4)
        try await broker.engine.settle()
        func read(_ reader: Reader, epoch: Int32? = nil) async -> LogError.Code? {
            await failure {
                _ = try await broker.log.read(
                    from: .zero, maxBytes: 100, minOneBatch: true, bound: .logEnd, reader: reader,
                    currentLeaderEpoch: epoch.map { LeaderEpoch($0) })
            }
        }
        #expect(await read(.replica(BrokerID(2), brokerEpoch: BrokerEpoch(1), lastFetchedEpoch: .none)) == .offsetMovedToTier)
        #expect(await read(.consumer, epoch: 0) == .fencedLeaderEpoch)
        #expect(await read(.consumer, epoch: 2) == .unknownLeaderEpoch)
        try await bench.apply(broker, leader: 2, epoch: 2, replicas: [1, 2])
        #expect(await read(.consumer) == .notLeader)
        await broker.engine.shutdown()
    }

    @Test func timesAreFoundInBothTiers() async throws {
        let bench = TierBench()
        let broker = try await bench.start()
        for _ in 0..<3 { try await broker.fill(batches: 20) }
        try await broker.fill(batches: 5, seals: false)
        try await broker.engine.settle()
        for offset in stride(from: Int64(0), to: 325, by: 5) {
            // A batch's records are 1 ms apart, batches 1000 ms.
            #expect(
                try await broker.log.offset(forTimestamp: Timestamp(TierBench.time(of: offset) + 2))?.offset == Offset(offset + 2))
            #expect(
                try await broker.log.offset(forTimestamp: Timestamp(TierBench.time(of: offset) - 500))?.offset == Offset(offset))
        }
        #expect(try await broker.log.offset(forTimestamp: Timestamp(TierBench.time(of: 400))) == nil)
        #expect(try await broker.log.offsetOfMaxTimestamp()?.offset == Offset(324))
        await broker.engine.shutdown()
    }

    @Test func highestTimestampIsFoundInTheTier() async throws {
        let bench = TierBench()
        let broker = try await bench.start()
        let late = Record(timestamp: Timestamp(90_000_000), key: nil, value: ByteBuffer(string: "late"))
        _ = try broker.log.append(try RecordBatches(verifying: RecordBatchBuilder.batch(of: [late])), acks: .all, epoch: nil)
        try await broker.fill(batches: 5)
        try await broker.fill(batches: 5, seals: false)
        try await broker.engine.settle()
        #expect(
            try await broker.log.offsetOfMaxTimestamp()
                == TimestampedOffset(offset: .zero, timestamp: Timestamp(90_000_000), leaderEpoch: LeaderEpoch(1)))
        await broker.engine.shutdown()
    }

    @Test func sizeAndPlacesCountBothTiers() async throws {
        let bench = TierBench()
        let broker = try await bench.start()
        for _ in 0..<3 { try await broker.fill(batches: 20) }
        let size = broker.log.sizeInBytes
        try await broker.engine.settle()
        #expect(broker.log.sizeInBytes == size)
        #expect(try await broker.engine.footprint().entries[.hotLog]?.recordBytes == 0)
        #expect(try await broker.engine.objectFootprint().entries[.object]?.recordBytes == size)
        #expect(try await broker.engine.objectFootprint().entries[.garbage] == nil)
        let copies = try await broker.log.physicalCopies(of: Offset(107))
        #expect(copies.map(\.medium) == [.object])
        let batch = try await broker.log.read(
            from: Offset(107), maxBytes: 1, minOneBatch: true, bound: .highWatermark, reader: .consumer, currentLeaderEpoch: nil)
        #expect(copies[0].crc32c == CRC32C.checksum(of: try batch.records.contiguous()))
        await broker.engine.shutdown()
    }
}
