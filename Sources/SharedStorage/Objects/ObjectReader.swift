//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogEngine
package import LogModel
internal import NIOCore
package import ObjectStore
internal import Synchronization

/// Reads streams out of objects: index cached, blocks cached, adjacent blocks in one GET, a GET under way shared by all who want its
/// blocks, every checksum looked at before a byte is served.
package final class ObjectReader: Sendable {
    struct BlockKey: Hashable {
        var object: ObjectID
        var position: Int64
    }

    let store: any ObjectStore
    private struct IndexTable {
        var cached: LRUCache<ObjectID, ObjectIndex>
        var underWay: [ObjectID: Flight<ObjectIndex>] = [:]
    }

    private let indexes: Mutex<IndexTable>
    let blocks: Mutex<BlockTable>

    package init(store: any ObjectStore, settings: SharedStorageSettings) {
        self.store = store
        indexes = Mutex(IndexTable(cached: LRUCache(costMax: settings.indexCacheBytes)))
        blocks = Mutex(BlockTable(costMax: settings.blockCacheBytes))
    }

    /// Remembers the index of an object that this broker has just made.
    func keep(_ index: ObjectIndex, of object: ObjectID) {
        indexes.withLock { $0.cached.insert(index, for: object, cost: index.entries.count * ObjectFormat.indexEntrySize + 64) }
    }

    /// Bytes of memory that cached blocks take.
    package var cachedBlockBytes: Int { blocks.withLock { $0.cached.cost } }

    func index(of range: RangeRecord) async throws(LogError) -> ObjectIndex {
        while true {
            let (index, flight, isOwn) = indexes.withLock { table -> (ObjectIndex?, Flight<ObjectIndex>?, Bool) in
                if let index = table.cached.value(range.object) { return (index, nil, false) }
                if let flight = table.underWay[range.object] { return (nil, flight, false) }
                let flight = Flight<ObjectIndex>()
                table.underWay[range.object] = flight
                return (nil, flight, true)
            }
            if let index { return index }
            guard isOwn else {
                if let index = await flight?.value { return index }
                continue
            }
            let outcome: Result<ObjectIndex, LogError>
            do throws(LogError) { outcome = .success(try await fetchIndex(of: range)) } catch { outcome = .failure(error) }
            indexes.withLock { $0.underWay[range.object] = nil }
            flight?.land(try? outcome.get())
            return try outcome.get()
        }
    }

    private func fetchIndex(of range: RangeRecord) async throws(LogError) -> ObjectIndex {
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
    /// - Returns: Empty if no block of the range ends above `offset`. `missed` is the first offset for which this read had to begin a
    ///   GET of its own.
    package func blocks(
        of stream: StreamID, in range: RangeRecord, from offset: Offset, bytesMax: Int, fetchBytes: Int, keepsBlocks: Bool = true
    ) async throws(LogError) -> (blocks: [DataBlock], missed: Offset?) {
        let entries = try await index(of: range).entries(of: stream, from: offset)
        var found: [DataBlock] = []
        var missed: Offset?
        var bytes = 0
        var position = entries.startIndex
        while position < entries.endIndex, found.isEmpty || bytes + Int(entries[position].length) <= bytesMax {
            let entry = entries[position]
            let fetched: [DataBlock]
            switch claim(entries[position...], of: range, bytesMax: max(fetchBytes, Int(entry.length)), isShared: keepsBlocks) {
            case .cached(let block):
                found.append(block)
                bytes += block.data.readableBytes
                position += 1
                continue
            case .underWay(let flight):
                // What failed for another is tried again.
                guard let others = await flight.value else { continue }
                fetched = others
            case .own(let stretch, let flight):
                missed = missed ?? entry.start
                fetched = try await fetch(stretch, of: range, flight)
            }
            for block in fetched where block.start >= entry.start {
                guard found.isEmpty || bytes + block.data.readableBytes <= bytesMax else { return (found, missed) }
                found.append(block)
                bytes += block.data.readableBytes
                position += 1
            }
        }
        return (found, missed)
    }

    func get(_ range: RangeRecord, _ bytes: Range<Int64>) async throws(LogError) -> ByteBuffer {
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

    func corrupt(_ range: RangeRecord, _ error: ObjectFormatError) -> LogError {
        LogError(.corruptLog, "the object \(range.key) in \(store.url) is damaged: \(error)", cause: error)
    }
}
