//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogEngine
import LogModel
import NIOCore
import ObjectStore
import RuntimeEnvironment
import SimulationKit
import Testing
import TieredOffload

@Suite struct ChunkCompressionTests {
    private static var settings: TieredSettings {
        var settings = TieredSettings.test
        settings.chunkCompression = .zstd
        return settings
    }

    @Test func compressedChunksAreReadAsWhatTheyWere() async throws {
        let bench = TierBench()
        let broker = try await bench.start(settings: Self.settings)
        for _ in 0..<2 { try await broker.fill(batches: 20, valueBytes: 1_000) }
        let before = try await broker.readAll()
        try await broker.engine.settle()
        #expect(broker.log.offsets.localStart == Offset(200))
        for segment in try await bench.records() {
            let compression = try #require(segment.compression)
            #expect(compression.lengths.count > 10)
            let object = try await bench.store.get(TierKey.log(segment), range: nil)
            #expect(Int64(object.readableBytes) == segment.objectBytes)
            // Values of one byte, over and over.
            #expect(segment.objectBytes * 10 < segment.sizeInBytes)
        }
        #expect(try await broker.readAll() == before)
        #expect(try await broker.readAll(from: Offset(133), maxBytes: 500) == broker.readAll(from: Offset(133)))
        #expect(try await bench.audit().findings.isEmpty)
        let copies = try await broker.log.physicalCopies(of: Offset(133))
        #expect(copies.map(\.medium) == [.object] && copies.allSatisfy { $0.crc32c != nil })

        // Segments of both kinds side by side, whatever is set now.
        await broker.engine.shutdown()
        let plain = try await bench.start(over: broker.tail.storage, epoch: 2)
        try await plain.fill(batches: 20, valueBytes: 1_000)
        try await plain.engine.settle()
        #expect(try await bench.records().map { $0.compression == nil }.filter { $0 }.count == 1)
        #expect(try await plain.readAll(from: .zero).readableBytes > before.readableBytes)
        await plain.engine.shutdown()
    }

    @Test func aLargeSegmentGoesUpInPartsOfWholeFrames() async throws {
        let bench = TierBench()
        var settings = Self.settings
        settings.partBytes = 5 << 20
        settings.chunkBytes = 1 << 20
        settings.readAheadBytes = 4 << 20
        settings.chunkCacheBytes = 64 << 20
        let broker = try await bench.start(settings: settings)
        try await broker.fill(batches: 14, valueBytes: 100_000)
        let before = try await broker.readAll(maxBytes: 1 << 20)
        try await broker.engine.settle()
        #expect(bench.store.requestCount(.multipart) == 1)
        let segment = try #require(try await bench.records().first)
        #expect(segment.sizeInBytes > 6 << 20 && segment.objectBytes < segment.sizeInBytes)
        #expect(try await broker.readAll(maxBytes: 1 << 20) == before)
        await broker.engine.shutdown()
    }

    @Test func aDamagedFrameIsNamedAndNotServed() async throws {
        let bench = TierBench()
        let broker = try await bench.start(settings: Self.settings)
        try await broker.fill(batches: 20, valueBytes: 1_000)
        try await broker.engine.settle()
        let segment = try #require(try await bench.records().first)
        let compression = try #require(segment.compression)
        bench.store.corrupt(TierKey.log(segment), at: compression.lengths[0] / 2)
        bench.store.corrupt(TierKey.log(segment), at: 2)
        #expect(await failure { _ = try await broker.readAll() } == .corruptLog)
        await broker.engine.shutdown()
    }

    @Test func cachesOfChunksAndIndexesStayWithinTheirLimits() async throws {
        let bench = TierBench()
        var settings = TieredSettings.test
        settings.chunkCacheBytes = 16_384
        settings.indexCacheBytes = 1
        let broker = try await bench.start(settings: settings)
        for _ in 0..<4 { try await broker.fill(batches: 20, valueBytes: 1_000) }
        try await broker.engine.settle()
        let content = try await broker.readAll()
        let gets = bench.store.requestCount(.get)
        // Nothing of the first segment can still be there after the last: it is all fetched once more.
        #expect(try await broker.readAll() == content)
        #expect(bench.store.requestCount(.get) - gets > 4 * 20 * 5_000 / 16_384)
        await broker.engine.shutdown()

        // With room for everything, the second reading asks for nothing.
        settings.chunkCacheBytes = 8 << 20
        settings.indexCacheBytes = 1 << 20
        let roomy = try await bench.start(over: broker.tail.storage, epoch: 2, settings: settings)
        #expect(try await roomy.readAll(from: .zero) == content)
        let before = bench.store.requestCount(.get)
        #expect(try await roomy.readAll(from: .zero) == content)
        #expect(bench.store.requestCount(.get) == before)
        await roomy.engine.shutdown()
    }
}
