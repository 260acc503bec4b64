//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogModel
import NIOCore
import ObjectStore
import SharedStorage
import Testing

@Suite struct BlockCacheTests {
    private static let stream = StreamID(topicID: TopicID(high: 1, low: 2), partition: 0)
    /// A little more than a power of two, which is where buffers that grow take the most.
    private static let blockBytes = (64 << 10) + 100
    private static let count = 12

    private static func read(fetchBytes: Int, cacheBytes: Int) async throws -> (reader: ObjectReader, blocks: [DataBlock]) {
        var builder = ObjectBuilder(blockBytes: blockBytes)
        builder.add(
            stream,
            (0..<count).map {
                ObjectBuilder.Chunk(
                    start: Offset(Int64($0)), end: Offset(Int64($0) + 1), batchCount: 1, maxTimestamp: Timestamp(1),
                    data: ByteBuffer(repeating: UInt8($0), count: blockBytes))
            })
        let built = builder.finish()
        let store = MemoryObjectStore()
        try await store.put("object", built.body, condition: .always)
        var settings = SharedStorageSettings()
        settings.blockCacheBytes = cacheBytes
        let reader = ObjectReader(store: store, settings: settings)
        let range = RangeRecord(
            object: ObjectID(broker: BrokerID(1), epoch: BrokerEpoch(1), number: 1), key: "object", isStreamObject: true,
            start: .zero, end: Offset(Int64(count)), recordBytes: built.pieces[0].recordBytes, maxTimestamp: Timestamp(1),
            objectBytes: built.size, indexPosition: built.indexPosition)
        let (blocks, _) = try await reader.blocks(of: stream, in: range, from: .zero, bytesMax: 1 << 30, fetchBytes: fetchBytes)
        return (reader, blocks)
    }

    /// One block per request, and many.
    @Test(arguments: [1, 1 << 30])
    func theCacheBooksWhatItsBlocksHold(fetchBytes: Int) async throws {
        let (reader, blocks) = try await Self.read(fetchBytes: fetchBytes, cacheBytes: 64 << 20)
        #expect(blocks.count == Self.count)
        let held = blocks.reduce(0) { $0 + $1.data.storageCapacity }
        #expect(reader.cachedBlockBytes >= held && reader.cachedBlockBytes <= held + 256 * Self.count)
        #expect(held <= Self.count * Self.blockBytes * 9 / 8)
    }

    @Test func theCacheStaysWithinItsSetting() async throws {
        let (reader, blocks) = try await Self.read(fetchBytes: 1 << 30, cacheBytes: 5 * Self.blockBytes)
        #expect(blocks.count == Self.count)
        #expect(reader.cachedBlockBytes <= 5 * Self.blockBytes && reader.cachedBlockBytes > 3 * Self.blockBytes)
    }
}
