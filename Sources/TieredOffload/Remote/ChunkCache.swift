//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogModel
internal import NIOCore
internal import ObjectStore

/// Aligned pieces of objects, fetched by ranged gets, each once however many readers want it; the least recently used go first.
actor ChunkCache {
    private struct Key: Hashable {
        var object: String
        var index: Int64
    }
    private struct Slot {
        var fetch: Task<ByteBuffer, any Error>
        var bytes: Int
        var lastUse: UInt64
    }

    private let store: any ObjectStore
    private let chunkBytes: Int64
    private let runBytes: Int64
    private let bytesMax: Int
    private var slots: [Key: Slot] = [:]
    private var bytes = 0
    private var uses: UInt64 = 0

    init(store: any ObjectStore, settings: TieredSettings) {
        self.store = store
        chunkBytes = Int64(settings.chunkBytes)
        runBytes = Int64(settings.readAheadBytes)
        bytesMax = settings.chunkCacheBytes
    }

    /// The bytes of `range`, which lies inside an object of `size` bytes; decompressed and reckoned in the segment's bytes where its
    /// chunks are compressed.
    ///
    /// - Parameter isSequential: The reader goes on in order: what it will ask for next is fetched with it, or behind it.
    func read(_ object: String, size: Int64, _ range: Range<Int64>, isSequential: Bool, compression: ChunkCompression? = nil)
        async throws(ObjectStoreError) -> ByteBuffer
    {
        let chunkBytes = compression.map { Int64($0.chunkBytes) } ?? chunkBytes
        let first = range.lowerBound / chunkBytes
        let last = (range.upperBound - 1) / chunkBytes
        let end = (size - 1) / chunkBytes
        let ahead = isSequential ? min(end, first + max(last - first, max(1, runBytes / chunkBytes) - 1)) : last
        fetch(object, size: size, chunks: first...(isMissing(object, first...last) ? max(last, ahead) : last), compression)
        let fetches = (first...last).map { ($0, use(Key(object: object, index: $0))) }
        // Behind a sequential reader that is served from the cache, the next run is fetched before it is asked for.
        let next = last + 1
        if isSequential, next <= end, isMissing(object, next...next) {
            fetch(object, size: size, chunks: next...min(end, next + max(1, runBytes / chunkBytes) - 1), compression)
        }
        evict()
        var whole = ByteBuffer()
        whole.reserveCapacity(range.count)
        for (index, fetch) in fetches {
            let chunk: ByteBuffer
            do {
                chunk = try await fetch.value
            } catch {
                throw error as? ObjectStoreError ?? ObjectStoreError(.other, "object \(object) cannot be read: \(error)")
            }
            let start = index * chunkBytes
            let from = max(range.lowerBound, start) - start
            let to = min(range.upperBound, start + chunkBytes) - start
            guard let slice = chunk.getSlice(at: chunk.readerIndex + Int(from), length: Int(to - from)) else {
                throw ObjectStoreError(.corrupt, "object \(object) is shorter than its \(size) bytes; it was cut off or replaced")
            }
            whole.writeImmutableBuffer(slice)
        }
        return whole
    }

    /// Drops what is cached of `object`: it is gone, or its bytes turned out to be bad.
    func forget(_ object: String) {
        for key in slots.keys where key.object == object { remove(key) }
    }

    private func isMissing(_ object: String, _ chunks: ClosedRange<Int64>) -> Bool {
        chunks.contains { slots[Key(object: object, index: $0)] == nil }
    }

    private func use(_ key: Key) -> Task<ByteBuffer, any Error> {
        uses += 1
        // Present: fetched a moment ago, without a suspension in between.
        slots[key]!.lastUse = uses
        return slots[key]!.fetch
    }

    /// Begins to fetch those of `chunks` that are missing, neighbours by one get.
    private func fetch(_ object: String, size: Int64, chunks: ClosedRange<Int64>, _ compression: ChunkCompression?) {
        var next = chunks.lowerBound
        while next <= chunks.upperBound {
            guard slots[Key(object: object, index: next)] == nil else {
                next += 1
                continue
            }
            var last = next
            while last < chunks.upperBound, slots[Key(object: object, index: last + 1)] == nil { last += 1 }
            fetchRun(object, size: size, next...last, compression)
            next = last + 1
        }
    }

    private func fetchRun(_ object: String, size: Int64, _ chunks: ClosedRange<Int64>, _ compression: ChunkCompression?) {
        let store = store
        let chunkBytes = compression.map { Int64($0.chunkBytes) } ?? chunkBytes
        let start = chunks.lowerBound * chunkBytes
        let run = Task {
            guard let compression else {
                return try await store.get(object, range: start..<min(size, (chunks.upperBound + 1) * chunkBytes))
            }
            let frames = try await store.get(object, range: compression.range(of: chunks))
            return try compression.decompressed(frames, chunks: chunks, size: size, object: object)
        }
        for index in chunks {
            let key = Key(object: object, index: index)
            let length = Int(min(chunkBytes, size - index * chunkBytes))
            let task = Task { () async throws -> ByteBuffer in
                do {
                    let bytes = try await run.value
                    guard let slice = bytes.getSlice(at: bytes.readerIndex + Int(index * chunkBytes - start), length: length) else {
                        throw ObjectStoreError(
                            .corrupt, "object \(object) is shorter than its \(size) bytes; it was cut off or replaced")
                    }
                    // A copy, so that one chunk does not keep its whole run.
                    return ByteBuffer(copyToSizeOf: slice)
                } catch {
                    self.remove(key)
                    throw error
                }
            }
            slots[key] = Slot(fetch: task, bytes: length, lastUse: uses)
            bytes += length
        }
    }

    private func remove(_ key: Key) {
        guard let slot = slots.removeValue(forKey: key) else { return }
        bytes -= slot.bytes
    }

    /// A read that has been given a chunk's fetch keeps it, evicted or not.
    private func evict() {
        guard bytes > bytesMax else { return }
        for (key, _) in slots.sorted(by: { $0.value.lastUse < $1.value.lastUse }) {
            guard bytes > bytesMax else { return }
            remove(key)
        }
    }
}
