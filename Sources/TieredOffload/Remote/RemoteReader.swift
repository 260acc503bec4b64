//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogEngine
internal import LogModel
internal import NIOCore
internal import ObjectStore
internal import Synchronization

/// The store has no object of this key.
struct MissingObject: Error, CustomStringConvertible {
    var key: String
    var description: String { "the store has no object \(key)" }
}

/// Reads segments from the object store: finds batches by the segment's index, fetches ranges through the chunk cache, and lets no batch
/// pass whose checksum fails. One per broker.
final class RemoteReader: Sendable {
    /// A stretch of whole batches of a segment, checked.
    struct Stretch {
        var batches: RecordBatches
        /// Byte positions in the `.log` object.
        var range: Range<Int64>
    }

    let store: any ObjectStore
    private let chunks: ChunkCache
    private let indexes: Mutex<RecencyCache<String, RemoteOffsetIndex>>
    /// Where readers will go on if they read in order: the last few ends.
    private let ends = Mutex<[(object: String, position: Int64)]>([])

    /// Past the batches asked for: most reads begin up to an index interval before their batch.
    private static let slackBytes = 8 << 10
    private static let endsMax = 256

    /// Objects that were told of as missing.
    private let missing = Mutex<Set<String>>([])
    private static let missingMax = 10_000

    init(store: any ObjectStore, settings: TieredSettings) {
        self.store = store
        chunks = ChunkCache(store: store, settings: settings)
        indexes = Mutex(RecencyCache(costMax: settings.indexCacheBytes))
    }

    // MARK: Batches

    /// Whole batches of `segment` from the one that holds `offset`, up to `maxBytes`; the first whole even if larger, if `minOneBatch`.
    ///
    /// - Parameter end: Batches from there on are not served.
    /// - Throws: ``LogError/Code/corruptLog`` naming object and byte; ``LogError/Code/notAvailable`` while the store does not answer;
    ///   ``LogError/Code/storageFailure`` caused by a ``MissingObject`` if the store does not have it.
    func read(
        _ segment: RemoteSegment, from offset: Offset, below end: Offset, maxBytes: Int, minOneBatch: Bool
    ) async throws(LogError) -> Stretch {
        let object = TierKey.log(segment)
        do throws(LogError) {
            return try await read(segment, object, from: offset, below: end, maxBytes: maxBytes, minOneBatch: minOneBatch)
        } catch {
            guard error.code == .corruptLog else { throw error }
            // Perhaps what was received, not what is stored: ask once more.
            await chunks.forget(object)
            return try await read(segment, object, from: offset, below: end, maxBytes: maxBytes, minOneBatch: minOneBatch)
        }
    }

    private func read(
        _ segment: RemoteSegment, _ object: String, from offset: Offset, below bound: Offset, maxBytes: Int, minOneBatch: Bool
    ) async throws(LogError) -> Stretch {
        let size = segment.sizeInBytes
        var position = try await offsetIndex(of: segment).position(of: offset)
        guard position < size else { throw Self.corrupt(object, position, "its index points past its end") }
        var window = Int64(max(0, maxBytes) + Self.slackBytes)
        while true {
            let bytes = try await fetch(segment, object, position..<min(size, position + window))
            switch try Self.locate(offset, in: bytes, at: position, isLast: position + Int64(bytes.readableBytes) == size, object) {
            case .after(let next):
                guard next < size else { throw Self.corrupt(object, position, "it has no batch with offset \(offset)") }
                position = next
            case .needs(let length):
                window = Int64(length)
            case .found(let skipped, let first):
                let start = position + Int64(skipped)
                let limit = max(maxBytes, minOneBatch ? first : 0)
                guard limit >= first else { return Stretch(batches: Self.none, range: start..<start) }
                let wanted = min(size, start + Int64(limit))
                guard wanted <= position + Int64(bytes.readableBytes) else {
                    (position, window) = (start, wanted - start)
                    continue
                }
                let slice = bytes.getSlice(at: bytes.readerIndex + skipped, length: Int(wanted - start)) ?? ByteBuffer()
                let batches = try Self.verified(slice, at: start, of: segment, below: bound, object)
                let end = start + Int64(batches.sizeInBytes)
                note(end, of: object, from: start)
                return Stretch(batches: batches, range: start..<end)
            }
        }
    }

    private enum Location {
        /// The batch begins `skipped` bytes on and has `length` bytes.
        case found(skipped: Int, length: Int)
        /// Not in these bytes; go on at this position.
        case after(Int64)
        /// A batch in the way is longer than these bytes.
        case needs(Int)
    }

    private static func locate(
        _ offset: Offset, in bytes: ByteBuffer, at position: Int64, isLast: Bool, _ object: String
    ) throws(LogError) -> Location {
        var skipped = 0
        while bytes.readableBytes - skipped >= RecordBatchHeader.size {
            let header: RecordBatchHeader
            do throws(RecordBatchError) {
                header = try RecordBatchHeader(in: bytes, at: bytes.readerIndex + skipped)
            } catch { throw corrupt(object, position + Int64(skipped), "no batch begins there (\(error))") }
            if header.lastOffset >= offset { return .found(skipped: skipped, length: header.sizeInBytes) }
            skipped += header.sizeInBytes
        }
        if isLast, skipped < bytes.readableBytes {
            throw corrupt(object, position + Int64(skipped), "it ends in the middle of a batch")
        }
        if skipped == 0 { return .needs(max(RecordBatchHeader.size, bytes.readableBytes * 2)) }
        return .after(position + Int64(skipped))
    }

    /// The whole batches of `slice`; those after a damaged one are left for the next read to name it.
    private static func verified(
        _ slice: ByteBuffer, at start: Int64, of segment: RemoteSegment, below bound: Offset, _ object: String
    ) throws(LogError) -> RecordBatches {
        var end = 0
        var failure: LogError?
        var next = segment.baseOffset
        slice.withUnsafeReadableBytes { bytes in
            while end < bytes.count {
                let rest = UnsafeRawBufferPointer(rebasing: bytes[end...])
                do throws(RecordBatchError) {
                    let header = try RecordBatchHeader(parsing: rest)
                    guard header.sizeInBytes <= rest.count else { return }
                    guard header.computeCRC(of: rest) == header.crc else {
                        failure = corrupt(
                            object, start + Int64(end), "the batch with offset \(header.baseOffset) fails its checksum")
                        return
                    }
                    // Base offsets lie outside the checksum.
                    guard header.baseOffset >= next, header.endOffset <= segment.endOffset else {
                        failure = corrupt(object, start + Int64(end), "the batch's offset \(header.baseOffset) is out of order")
                        return
                    }
                    guard header.baseOffset < bound else { return }
                    next = header.endOffset
                    end += header.sizeInBytes
                } catch RecordBatchError.truncated { return } catch {
                    failure = corrupt(object, start + Int64(end), "no batch begins there (\(error))")
                    return
                }
            }
        }
        if end == 0, let failure { throw failure }
        do throws(RecordBatchError) {
            return try RecordBatches(verifying: slice.getSlice(at: slice.readerIndex, length: end) ?? ByteBuffer())
        } catch { throw corrupt(object, start, "a batch cannot be read (\(error))") }
    }

    private func fetch(_ segment: RemoteSegment, _ object: String, _ range: Range<Int64>) async throws(LogError) -> ByteBuffer {
        let isSequential =
            range.lowerBound == 0
            || ends.withLock { ends in
                // The index leads a reader that goes on in order to a little before its place.
                ends.contains {
                    $0.object == object && range.contains($0.position)
                        && $0.position - range.lowerBound <= Int64(Self.slackBytes) * 8
                }
            }
        do throws(ObjectStoreError) {
            return try await chunks.read(
                object, size: segment.sizeInBytes, range, isSequential: isSequential, compression: segment.compression)
        } catch { throw Self.failure(error, object) }
    }

    private func note(_ end: Int64, of object: String, from start: Int64) {
        ends.withLock { ends in
            if let index = ends.firstIndex(where: { $0.object == object && $0.position == start }) { ends.remove(at: index) }
            ends.append((object, end))
            if ends.count > Self.endsMax { ends.removeFirst() }
        }
    }

    // MARK: Indexes

    func offsetIndex(of segment: RemoteSegment) async throws(LogError) -> RemoteOffsetIndex {
        if let index = indexes.withLock({ $0.value(segment.id) }) { return index }
        let index = RemoteOffsetIndex(try await section(segment.indexes.offset, of: segment), base: segment.baseOffset)
        indexes.withLock { $0.insert(index, for: segment.id, cost: index.costInBytes) }
        return index
    }

    func timeIndex(of segment: RemoteSegment) async throws(LogError) -> RemoteTimeIndex {
        RemoteTimeIndex(try await section(segment.indexes.time, of: segment), base: segment.baseOffset)
    }

    /// One part of the `.indexes` object, its checksum verified.
    func section(_ section: IndexLayout.Section, of segment: RemoteSegment) async throws(LogError) -> ByteBuffer {
        guard section.length > 0 else { return ByteBuffer() }
        let object = TierKey.indexes(segment)
        let bytes: ByteBuffer
        do throws(ObjectStoreError) {
            bytes = try await store.get(object, range: section.range)
        } catch { throw Self.failure(error, object) }
        guard bytes.readableBytes == section.length, CRC32C.checksum(of: bytes) == section.crc32c else {
            throw Self.corrupt(object, section.start, "the index fails its checksum")
        }
        return bytes
    }

    /// The objects of `segment` are about to go, or are gone.
    func forget(_ segment: RemoteSegment) async {
        indexes.withLock { $0.remove(segment.id) }
        await chunks.forget(TierKey.log(segment))
    }

    // MARK: Errors

    private static let none = try! RecordBatches(verifying: ByteBuffer())

    static func corrupt(_ object: String, _ position: Int64, _ what: String) -> LogError {
        LogError(.corruptLog, "object \(object), byte \(position): \(what); restore the object from a copy of the store")
    }

    /// - Returns: False if that is known.
    func noteMissing(_ object: String) -> Bool {
        missing.withLock { missing in
            if missing.count >= Self.missingMax { missing = [] }
            return missing.insert(object).inserted
        }
    }

    static func failure(_ error: ObjectStoreError, _ object: String) -> LogError {
        switch error.code {
        case .notFound:
            LogError(
                .storageFailure, "object \(object) is missing; restore it from a copy of the store",
                cause: MissingObject(key: object))
        case .corrupt, .invalidRange: LogError(.corruptLog, "object \(object) is damaged", cause: error)
        default: LogError(.notAvailable, "object \(object) cannot be read now; it is worth another try", cause: error)
        }
    }
}
