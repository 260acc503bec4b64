//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogEngine
package import LogModel
internal import NIOCore
package import ObjectStore
internal import Synchronization

/// Reads streams out of objects: index cached, blocks cached, adjacent blocks in one GET, every checksum looked at before a byte is
/// served.
package final class ObjectReader: Sendable {
    private struct BlockKey: Hashable {
        var object: ObjectID
        var position: Int64
    }

    private let store: any ObjectStore
    private let indexes: Mutex<LRUCache<ObjectID, ObjectIndex>>
    private let blocks: Mutex<LRUCache<BlockKey, DataBlock>>

    package init(store: any ObjectStore, settings: SharedStorageSettings) {
        self.store = store
        indexes = Mutex(LRUCache(costMax: settings.indexCacheBytes))
        blocks = Mutex(LRUCache(costMax: settings.blockCacheBytes))
    }

    /// Remembers the index of an object that this broker has just made.
    func keep(_ index: ObjectIndex, of object: ObjectID) {
        indexes.withLock { $0.insert(index, for: object, cost: index.entries.count * ObjectFormat.indexEntrySize + 64) }
    }

    /// Booked with all the memory it holds on to.
    private func keep(_ block: DataBlock, of object: ObjectID, at position: Int64) {
        let cost = block.data.storageCapacity + Self.blockOverheadBytes
        blocks.withLock { $0.insert(block, for: BlockKey(object: object, position: position), cost: cost) }
    }

    /// What the cache keeps beside a block's bytes, about.
    private static let blockOverheadBytes = 128

    /// Bytes of memory that cached blocks take.
    package var cachedBlockBytes: Int { blocks.withLock { $0.cost } }

    func index(of range: RangeRecord) async throws(LogError) -> ObjectIndex {
        if let index = indexes.withLock({ $0.value(range.object) }) { return index }
        let bytes = try await get(range, range.indexPosition..<range.objectBytes)
        do throws(ObjectFormatError) {
            let index = try ObjectIndex.decode(indexAndFooter: bytes, indexPosition: range.indexPosition)
            keep(index, of: range.object)
            return index
        } catch {
            throw corrupt(range, error)
        }
    }

    /// Blocks of `stream` in `range` from the one that holds `offset`: at least one, then more while they fit in `bytesMax`.
    ///
    /// - Parameter fetchBytes: How much one GET may ask for where blocks are missing: what lies beyond `bytesMax` is read ahead.
    /// - Returns: Empty if no block of the range ends above `offset`.
    package func blocks(
        of stream: StreamID, in range: RangeRecord, from offset: Offset, bytesMax: Int, fetchBytes: Int, keepsBlocks: Bool = true
    ) async throws(LogError) -> [DataBlock] {
        let entries = try await index(of: range).entries(of: stream, from: offset)
        var found: [DataBlock] = []
        var bytes = 0
        var position = entries.startIndex
        while position < entries.endIndex, found.isEmpty || bytes + Int(entries[position].length) <= bytesMax {
            let entry = entries[position]
            if let block = blocks.withLock({ $0.value(BlockKey(object: range.object, position: entry.position)) }) {
                found.append(block)
                bytes += block.data.readableBytes
                position += 1
                continue
            }
            let last = stretch(entries[position...], of: range, bytesMax: max(fetchBytes, Int(entry.length)))
            for block in try await fetch(entries[position..<last], of: range, keepsBlocks: keepsBlocks) {
                guard found.isEmpty || bytes + block.data.readableBytes <= bytesMax else { return found }
                found.append(block)
                bytes += block.data.readableBytes
            }
            position = last
        }
        return found
    }

    /// End of the adjacent entries from the first on that are not cached and fit in one GET.
    private func stretch(_ entries: ArraySlice<ObjectIndex.Entry>, of range: RangeRecord, bytesMax: Int) -> Int {
        blocks.withLock { cache in
            var end = entries.startIndex
            var bytes: Int64 = 0
            while end < entries.endIndex, bytes + entries[end].length <= Int64(bytesMax),
                end == entries.startIndex
                    || entries[end].position == entries[end - 1].position + entries[end - 1].length
                        && cache.value(BlockKey(object: range.object, position: entries[end].position)) == nil
            {
                bytes += entries[end].length
                end += 1
            }
            return max(end, entries.startIndex + 1)
        }
    }

    private func fetch(_ entries: ArraySlice<ObjectIndex.Entry>, of range: RangeRecord, keepsBlocks: Bool) async throws(LogError)
        -> [DataBlock]
    {
        guard let first = entries.first, let last = entries.last else { return [] }
        let bytes = try await get(range, first.position..<last.position + last.length)
        var fetched: [DataBlock] = []
        for entry in entries {
            guard
                let slice = bytes.getSlice(at: bytes.readerIndex + Int(entry.position - first.position), length: Int(entry.length))
            else {
                throw corrupt(range, ObjectFormatError(position: entry.position, problem: "the object ends too early"))
            }
            do throws(ObjectFormatError) {
                var block = try DataBlock(decoding: slice, entry: entry)
                if keepsBlocks {
                    // A slice keeps the whole answer alive: unless the block is nearly all of it, what is cached is copied to its size.
                    if block.data.storageCapacity > block.data.readableBytes + block.data.readableBytes / 8 {
                        block.data = ByteBuffer(copyToSizeOf: block.data)
                    }
                    keep(block, of: range.object, at: entry.position)
                }
                fetched.append(block)
            } catch {
                throw corrupt(range, error)
            }
        }
        return fetched
    }

    private func get(_ range: RangeRecord, _ bytes: Range<Int64>) async throws(LogError) -> ByteBuffer {
        do throws(ObjectStoreError) {
            let answer = try await store.get(range.key, range: bytes)
            guard answer.readableBytes == bytes.count else {
                throw ObjectStoreError(.corrupt, "the object \(range.key) ends before byte \(bytes.upperBound)")
            }
            return answer
        } catch {
            switch error.code {
            case .notFound:
                throw LogError(.storageFailure, "the object \(range.key) is gone from \(store.url)", cause: error)
            case .corrupt, .invalidRange:
                throw LogError(.corruptLog, "the object \(range.key) in \(store.url) is damaged", cause: error)
            default:
                throw LogError(.notAvailable, "the object \(range.key) cannot be read from \(store.url) now", cause: error)
            }
        }
    }

    private func corrupt(_ range: RangeRecord, _ error: ObjectFormatError) -> LogError {
        LogError(.corruptLog, "the object \(range.key) in \(store.url) is damaged: \(error)", cause: error)
    }
}
