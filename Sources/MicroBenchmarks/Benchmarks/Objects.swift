//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogModel
internal import NIOCore
internal import ObjectStore
internal import SharedStorage

/// Stream objects laid out, checked and read back: four streams of 256 batches each, in blocks of 64 KiB.
extension MicroBenchmark {
    static let objects: [MicroBenchmark] = [
        MicroBenchmark("objects.build", "lays out an object of 4 streams with 256 batches each", bytes: Content.bytes, counted: 16)
        {
            _, _ in
            let content = Content()
            return { operations in
                for _ in 0..<operations {
                    let built = content.build()
                    guard built.pieces.count == Content.streams.count else { throw BenchmarkFailure("a stream is missing") }
                    blackHole(built)
                }
            }
        },
        MicroBenchmark("objects.decode", "checks an object's index and all of its blocks", bytes: Content.bytes, counted: 16) {
            _, _ in
            let built = Content().build()
            var body = ByteBuffer()
            for part in built.body { body.writeImmutableBuffer(part) }
            let tail = body.getSlice(at: Int(built.indexPosition), length: Int(built.size - built.indexPosition))!
            return { operations in
                for _ in 0..<operations {
                    let index = try ObjectIndex.decode(indexAndFooter: tail, indexPosition: built.indexPosition)
                    for entry in index.entries {
                        let bytes = body.getSlice(at: Int(entry.position), length: Int(entry.length))!
                        blackHole(try DataBlock(decoding: bytes, entry: entry))
                    }
                }
            }
        },
        MicroBenchmark(
            "objects.read.cold", "reads 256 KiB of a stream out of an object of which nothing is cached", bytes: 256 << 10,
            counted: 16,
            operationsMax: 2_048, uses: [.disk, .requests]
        ) { surroundings, _ in
            let place = try await Place(surroundings)
            return { operations in
                for _ in 0..<operations { try await place.read(place.makeReader()) }
            }
        },
        MicroBenchmark(
            "objects.read.cached", "reads 256 KiB of a stream whose blocks are cached", bytes: 256 << 10, counted: 16,
            uses: [.disk, .requests]
        ) { surroundings, _ in
            let place = try await Place(surroundings)
            let reader = place.makeReader()
            try await place.read(reader)
            return { operations in
                for _ in 0..<operations { try await place.read(reader) }
            }
        },
    ]

    private struct Content {
        static let streams = (0..<4).map { StreamID(topicID: Material.topicID, partition: Int32($0)) }
        static let bytes = streams.count * 256 * Material.batch(records: 1).readableBytes

        private let chunks: [ObjectBuilder.Chunk] = {
            let batch = Material.batch(records: 1)
            return (0..<256).map {
                ObjectBuilder.Chunk(
                    start: Offset($0), end: Offset($0 + 1), batchCount: 1, maxTimestamp: Material.timestamp, data: batch)
            }
        }()

        func build() -> ObjectBuilder.Built {
            var builder = ObjectBuilder(blockBytes: 64 << 10)
            for stream in Self.streams { builder.add(stream, chunks) }
            return builder.finish()
        }
    }

    /// The object in a store, and how its second stream is read.
    private final class Place: Sendable {
        private let store: any ObjectStore
        private let range: RangeRecord

        init(_ surroundings: BenchmarkSurroundings) async throws {
            let built = Content().build()
            store = try LocalDirectoryStore(
                url: "file:///objects", disk: surroundings.disk, copies: 1, environment: surroundings.environment,
                meters: surroundings.meters)
            let id = ObjectID(broker: BrokerID(1), epoch: BrokerEpoch(1), number: 1)
            range = RangeRecord(
                object: id, key: "objects/1", isStreamObject: false, start: Offset(0), end: Offset(256),
                recordBytes: built.pieces[1].recordBytes, maxTimestamp: Material.timestamp, objectBytes: built.size,
                indexPosition: built.indexPosition)
            try await store.put(range.key, built.body, condition: .ifAbsent)
        }

        func makeReader() -> ObjectReader { ObjectReader(store: store, settings: SharedStorageSettings()) }

        func read(_ reader: ObjectReader) async throws {
            let (blocks, _) = try await reader.blocks(
                of: Content.streams[1], in: range, from: Offset(0), bytesMax: 512 << 10, fetchBytes: 512 << 10)
            guard blocks.last?.end == Offset(256) else { throw BenchmarkFailure("the stream's end is missing") }
            blackHole(blocks)
        }
    }
}
