//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogEngine
internal import LogModel
internal import LogSegments
internal import NIOCore
internal import RuntimeEnvironment
internal import Synchronization

/// Reads a sealed segment from its volume, part by part, and checks every batch on the way: what is damaged here must not replace, in the
/// tier, what other replicas still have whole.
actor SegmentReader {
    private let segment: SealedSegment
    private let partBytes: Int
    private let worker: any Worker
    private var file: (any DiskFile)?
    private var position: Int64 = 0
    /// Bytes of a batch whose end has not been read yet.
    private var rest = ByteBuffer()
    private var check: BatchCheck
    private let memories: PartMemories
    private let memory: PartMemory

    init(_ segment: SealedSegment, partBytes: Int, worker: any Worker, memories: PartMemories) {
        self.segment = segment
        self.partBytes = partBytes
        self.worker = worker
        self.memories = memories
        memory = memories.take()
        check = BatchCheck(segment.baseOffset..<segment.endOffset)
    }

    deinit {
        file?.close()
        memories.giveBack(memory)
    }

    /// Of the whole batches handed out so far: of the segment, once ``next()`` has said nil.
    var crc32c: UInt32 { check.crc32c }

    /// The next at most `partBytes`; nil at the end. The memory of the last part but one serves again if nobody holds it any more.
    ///
    /// - Throws: ``LogError/Code/corruptLog``, ``LogError/Code/storageFailure``; a segment that was removed meanwhile is `notAvailable`.
    func next() async throws(LogError) -> ByteBuffer? {
        guard position < segment.sizeInBytes else {
            guard rest.readableBytes == 0 else { throw damaged("it ends in the middle of a batch") }
            return nil
        }
        let length = Int(min(Int64(partBytes), segment.sizeInBytes - position))
        let start = position
        let (segment, open, memory, rest, before) = (segment, file, memory, rest, check)
        let read: (file: any DiskFile, whole: ByteBuffer, check: BatchCheck, failure: BatchCheck.Failure?)
        do throws(DiskError) {
            read = try await worker.run { () throws(DiskError) -> (any DiskFile, ByteBuffer, BatchCheck, BatchCheck.Failure?) in
                let file: any DiskFile
                if let open { file = open } else { file = try segment.disk.open(segment.logPath, .readOnly) }
                var check = before
                var failure: BatchCheck.Failure?
                let whole = try memory.read(file, at: start, length: length, behind: rest) { whole, from in
                    do throws(BatchCheck.Failure) { return try check.take(whole, from: from) } catch {
                        failure = error
                        return nil
                    }
                }
                return (file, whole, check, failure)
            }
        } catch {
            throw LogError(
                error.code == .notFound ? .notAvailable : .storageFailure, "segment \(segment.logPath) cannot be read", cause: error
            )
        }
        if let failure = read.failure {
            let begin = start - Int64(rest.readableBytes)
            throw damaged("the batch at byte \(begin + Int64(failure.position)) \(failure.reason)")
        }
        file = read.file
        position += Int64(length)
        let taken = Int(read.check.sizeInBytes - before.sizeInBytes)
        check = read.check
        self.rest = ByteBuffer()
        var tail = read.whole
        tail.moveReaderIndex(forwardBy: taken)
        self.rest.writeImmutableBuffer(tail)
        return read.whole.getSlice(at: read.whole.readerIndex + rest.readableBytes, length: length)
    }

    private func damaged(_ what: String) -> LogError {
        LogError(.corruptLog, "segment \(segment.logPath) is not uploaded: \(what); move the partition away from this broker")
    }
}

/// Checks a segment's batches one after another, and sums the segment by their own checksums instead of looking at its bytes twice.
private struct BatchCheck: Sendable {
    struct Failure: Error {
        /// From the first readable byte.
        var position: Int
        var reason: String
    }

    private(set) var crc32c: UInt32 = 0
    /// Of the whole batches seen.
    private(set) var sizeInBytes: Int64 = 0
    private var nextOffset: Offset
    private let endOffset: Offset
    /// The length met last: batches that are full are much alike.
    private var combiner = (length: 0, combiner: CRC32C.Combiner(appending: 0))

    /// Shorter batches are summed again rather than combined, which costs some hundred nanoseconds.
    private static let combinedMin = 8 << 10

    init(_ offsets: Range<Offset>) {
        nextOffset = offsets.lowerBound
        endOffset = offsets.upperBound
    }

    /// - Parameter from: Readable bytes that were taken before.
    /// - Returns: Bytes of the whole batches behind them.
    mutating func take(_ whole: ByteBuffer, from: Int) throws(Failure) -> Int {
        var slice = whole
        slice.moveReaderIndex(forwardBy: from)
        let batches: RecordBatches
        do throws(RecordBatchError) {
            batches = try RecordBatches(verifying: slice, allowsPartialTail: true)
        } catch {
            throw Failure(position: from, reason: "or one of those that follow is damaged (\(error))")
        }
        for entry in batches.entries {
            let header = entry.header
            guard header.baseOffset >= nextOffset, header.endOffset <= endOffset else {
                throw Failure(position: from + entry.position, reason: "has offset \(header.baseOffset), out of order")
            }
            nextOffset = header.endOffset
            sum(header, slice, at: slice.readerIndex + entry.position)
        }
        sizeInBytes += Int64(batches.sizeInBytes)
        return batches.sizeInBytes
    }

    private mutating func sum(_ header: RecordBatchHeader, _ buffer: ByteBuffer, at index: Int) {
        guard header.sizeInBytes >= Self.combinedMin else {
            crc32c = CRC32C.extend(crc32c, with: buffer, at: index, length: header.sizeInBytes)
            return
        }
        let length = header.sizeInBytes - RecordBatchHeader.crcStart
        if combiner.length != length { combiner = (length, CRC32C.Combiner(appending: length)) }
        crc32c = CRC32C.extend(crc32c, with: buffer, at: index, length: RecordBatchHeader.crcStart)
        crc32c = combiner.combiner.combine(crc32c, header.crc)
    }
}

/// The memory of uploads that have ended, for those to come: fresh pages cost more than reading into them.
final class PartMemories: Sendable {
    private let keptMax: Int
    private let kept = Mutex<[PartMemory]>([])

    /// - Parameter keptMax: Uploads that run at one time.
    init(keptMax: Int) { self.keptMax = keptMax }

    fileprivate func take() -> PartMemory { kept.withLock { $0.popLast() } ?? PartMemory() }

    fileprivate func giveBack(_ memory: PartMemory) {
        kept.withLock { kept in
            if kept.count < keptMax { kept.append(memory) }
        }
    }
}

/// The memory that one part after another is read into: two by turns, for who wrote the part before may still be about to let go of it.
private final class PartMemory: Sendable {
    private let memory = Mutex((buffers: [ByteBuffer(), ByteBuffer()], next: 0))

    /// So that a disk can write the part past the page cache without another copy of it.
    private static let alignment = 4_096
    /// Read and checked in pieces that stay in the processor's cache.
    private static let pieceBytes = 512 << 10

    /// - Parameter check: Told of all bytes up to here and how many of them it took before; says how many more it takes, or nil to end
    ///   the reading.
    /// - Returns: `rest` and behind it `length` bytes of the file, which begin at a page of memory.
    func read(
        _ file: any DiskFile, at offset: Int64, length: Int, behind rest: ByteBuffer, check: (ByteBuffer, Int) -> Int?
    ) throws(DiskError) -> ByteBuffer {
        let outcome = memory.withLock { memory -> Result<ByteBuffer, DiskError> in
            var buffer = ByteBuffer()
            swap(&buffer, &memory.buffers[memory.next])
            defer {
                memory.buffers[memory.next] = buffer
                memory.next = 1 - memory.next
            }
            // Gives up the memory instead of copying it if its last part is still held.
            buffer.clear(minimumCapacity: Self.alignment + rest.readableBytes + length)
            let padding = buffer.withUnsafeMutableWritableBytes { space in
                -(Int(bitPattern: space.baseAddress) + rest.readableBytes) & (Self.alignment - 1)
            }
            buffer.moveWriterIndex(to: padding)
            buffer.moveReaderIndex(to: padding)
            buffer.writeImmutableBuffer(rest)
            var (failure, done, taken) = (DiskError?.none, 0, 0)
            while done < length, failure == nil {
                let piece = min(Self.pieceBytes, length - done)
                buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: piece) { space in
                    do throws(DiskError) {
                        try file.read(into: UnsafeMutableRawBufferPointer(rebasing: space[..<piece]), at: offset + Int64(done))
                        return piece
                    } catch {
                        failure = error
                        return 0
                    }
                }
                done += piece
                guard failure == nil, let more = check(buffer, taken) else { break }
                taken += more
            }
            if let failure { return .failure(failure) }
            return .success(buffer)
        }
        return try outcome.get()
    }
}
