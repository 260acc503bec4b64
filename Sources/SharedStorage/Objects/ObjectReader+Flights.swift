//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogEngine
internal import LogModel
internal import NIOCore
internal import Synchronization

/// A GET of adjacent blocks.
typealias BlockFlight = Flight<[DataBlock]>

/// Blocks that are here, and those that are on their way.
struct BlockTable {
    var cached: LRUCache<ObjectReader.BlockKey, DataBlock>
    var underWay: [ObjectReader.BlockKey: BlockFlight] = [:]
    /// Bytes of the GETs under way that nobody has asked for yet.
    var bytesAhead = 0
    let bytesAheadMax: Int

    init(costMax: Int) {
        cached = LRUCache(costMax: costMax)
        // What comes must not push out what came before it is read.
        bytesAheadMax = costMax / 2
    }

    mutating func begin(_ entries: ArraySlice<ObjectIndex.Entry>, of range: RangeRecord) -> BlockFlight {
        let flight = BlockFlight()
        for entry in entries { underWay[ObjectReader.BlockKey(object: range.object, position: entry.position)] = flight }
        return flight
    }
}

extension ObjectReader {
    enum Claim {
        case cached(DataBlock)
        /// Another's GET brings it.
        case underWay(BlockFlight)
        /// To be fetched by the caller, for others too if there is a flight.
        case own(ArraySlice<ObjectIndex.Entry>, BlockFlight?)
    }

    /// Where the first of `entries` is, or who is to fetch it and those behind it.
    func claim(_ entries: ArraySlice<ObjectIndex.Entry>, of range: RangeRecord, bytesMax: Int, isShared: Bool) -> Claim {
        let first = entries[entries.startIndex]
        return blocks.withLock { table in
            let key = BlockKey(object: range.object, position: first.position)
            if let block = table.cached.value(key) { return .cached(block) }
            if let flight = table.underWay[key] { return .underWay(flight) }
            let stretch = Self.stretch(entries, of: range, bytesMax: bytesMax, &table)
            return .own(stretch, isShared ? table.begin(stretch, of: range) : nil)
        }
    }

    /// Begins to read the first of `entries` that fit in `bytesMax`, at least one, unless they are here or on their way already.
    ///
    /// - Returns: Where the blocks end that nobody need ask for any more, and their bytes; nil if too much is on its way already.
    func fetchAhead(_ entries: ArraySlice<ObjectIndex.Entry>, of range: RangeRecord, bytesMax: Int) -> (end: Offset, bytes: Int)? {
        let first = entries[entries.startIndex]
        let begun = blocks.withLock { table -> (stretch: ArraySlice<ObjectIndex.Entry>, flight: BlockFlight?, bytes: Int)? in
            let key = BlockKey(object: range.object, position: first.position)
            if table.cached.value(key) != nil || table.underWay[key] != nil { return ([first], nil, Int(first.length)) }
            let stretch = Self.stretch(entries, of: range, bytesMax: bytesMax, &table)
            let bytes = stretch.reduce(0) { $0 + Int($1.length) }
            guard table.bytesAhead == 0 || table.bytesAhead + bytes <= table.bytesAheadMax else { return nil }
            table.bytesAhead += bytes
            return (stretch, table.begin(stretch, of: range), bytes)
        }
        guard let begun else { return nil }
        if let flight = begun.flight {
            Task {
                _ = try? await self.fetch(begun.stretch, of: range, flight)
                self.blocks.withLock { $0.bytesAhead -= begun.bytes }
            }
        }
        return (begun.stretch[begun.stretch.endIndex - 1].end, begun.bytes)
    }

    /// The adjacent entries from the first on that are neither here nor on their way and fit in one GET.
    private static func stretch(
        _ entries: ArraySlice<ObjectIndex.Entry>, of range: RangeRecord, bytesMax: Int, _ table: inout BlockTable
    ) -> ArraySlice<ObjectIndex.Entry> {
        var end = entries.startIndex + 1
        var bytes = entries[entries.startIndex].length
        while end < entries.endIndex, bytes + entries[end].length <= Int64(bytesMax),
            entries[end].position == entries[end - 1].position + entries[end - 1].length
        {
            let key = BlockKey(object: range.object, position: entries[end].position)
            guard table.underWay[key] == nil, table.cached.value(key) == nil else { break }
            bytes += entries[end].length
            end += 1
        }
        return entries[entries.startIndex..<end]
    }

    /// - Parameter flight: Lands here, with the blocks in the cache; nil if nobody else is to have them.
    func fetch(
        _ entries: ArraySlice<ObjectIndex.Entry>, of range: RangeRecord, _ flight: BlockFlight?
    ) async throws(LogError) -> [DataBlock] {
        guard let flight else { return try await fetch(entries, of: range) }
        let outcome: Result<[DataBlock], LogError>
        do throws(LogError) {
            outcome = .success(try await fetch(entries, of: range).map(Self.unbound))
        } catch {
            outcome = .failure(error)
        }
        let fetched = try? outcome.get()
        blocks.withLock { table in
            for entry in entries { table.underWay[BlockKey(object: range.object, position: entry.position)] = nil }
            for (entry, block) in zip(entries, fetched ?? []) {
                // Booked with all the memory that it holds on to.
                let cost = block.data.storageCapacity + Self.blockOverheadBytes
                table.cached.insert(block, for: BlockKey(object: range.object, position: entry.position), cost: cost)
            }
        }
        flight.land(fetched)
        return try outcome.get()
    }

    /// A slice keeps the whole answer alive: unless the block is a good part of it, it gets memory of its own.
    private static func unbound(_ block: DataBlock) -> DataBlock {
        guard block.data.storageCapacity > 2 * block.data.readableBytes + 2 * blockOverheadBytes else { return block }
        var block = block
        block.data = ByteBuffer(copyToSizeOf: block.data)
        return block
    }

    /// What the cache keeps beside a block's bytes, about.
    private static let blockOverheadBytes = 128

    private func fetch(_ entries: ArraySlice<ObjectIndex.Entry>, of range: RangeRecord) async throws(LogError) -> [DataBlock] {
        guard let first = entries.first, let last = entries.last else { return [] }
        let bytes = try await get(range, first.position..<last.position + last.length)
        var fetched: [DataBlock] = []
        fetched.reserveCapacity(entries.count)
        for entry in entries {
            guard
                let slice = bytes.getSlice(at: bytes.readerIndex + Int(entry.position - first.position), length: Int(entry.length))
            else {
                throw corrupt(range, ObjectFormatError(position: entry.position, problem: "the object ends too early"))
            }
            do throws(ObjectFormatError) { fetched.append(try DataBlock(decoding: slice, entry: entry)) } catch {
                throw corrupt(range, error)
            }
        }
        return fetched
    }
}
