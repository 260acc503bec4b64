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
    private var nextOffset: Offset
    private(set) var crc32c: UInt32 = 0
    private let memories: PartMemories
    private let memory: PartMemory

    init(_ segment: SealedSegment, partBytes: Int, worker: any Worker, memories: PartMemories) {
        self.segment = segment
        self.partBytes = partBytes
        self.worker = worker
        self.memories = memories
        memory = memories.take()
        nextOffset = segment.baseOffset
    }

    deinit {
        file?.close()
        memories.giveBack(memory)
    }

    /// The next at most `partBytes`; nil at the end. The memory of the part before serves again if nobody holds it any more.
    ///
    /// - Throws: ``LogError/Code/corruptLog``, ``LogError/Code/storageFailure``; a segment that was removed meanwhile is `notAvailable`.
    func next() async throws(LogError) -> ByteBuffer? {
        guard position < segment.sizeInBytes else {
            guard rest.readableBytes == 0 else { throw damaged("it ends in the middle of a batch") }
            return nil
        }
        let length = Int(min(Int64(partBytes), segment.sizeInBytes - position))
        let start = position
        let (segment, open, memory, rest, crc) = (segment, file, memory, rest, crc32c)
        let read: (file: any DiskFile, whole: ByteBuffer, crc: UInt32)
        do throws(DiskError) {
            read = try await worker.run { () throws(DiskError) -> (any DiskFile, ByteBuffer, UInt32) in
                let file: any DiskFile
                if let open { file = open } else { file = try segment.disk.open(segment.logPath, .readOnly) }
                let (whole, crc) = try memory.read(file, at: start, length: length, behind: rest, crc: crc)
                return (file, whole, crc)
            }
        } catch {
            throw LogError(
                error.code == .notFound ? .notAvailable : .storageFailure, "segment \(segment.logPath) cannot be read", cause: error
            )
        }
        file = read.file
        position += Int64(length)
        crc32c = read.crc
        try check(read.whole, from: start - Int64(rest.readableBytes))
        return read.whole.getSlice(at: read.whole.readerIndex + rest.readableBytes, length: length)
    }

    /// - Parameter whole: What was left of the part before, and the new part.
    private func check(_ whole: ByteBuffer, from begin: Int64) throws(LogError) {
        let batches: RecordBatches
        do throws(RecordBatchError) {
            batches = try RecordBatches(verifying: whole, allowsPartialTail: true)
        } catch {
            throw damaged("a batch between byte \(begin) and \(position) is damaged (\(error))")
        }
        for entry in batches.entries {
            guard entry.header.baseOffset >= nextOffset, entry.header.endOffset <= segment.endOffset else {
                throw damaged(
                    "the batch at byte \(begin + Int64(entry.position)) has offset \(entry.header.baseOffset), out of order")
            }
            nextOffset = entry.header.endOffset
        }
        var tail = whole
        tail.moveReaderIndex(forwardBy: batches.sizeInBytes)
        rest = ByteBuffer()
        rest.writeImmutableBuffer(tail)
    }

    private func damaged(_ what: String) -> LogError {
        LogError(.corruptLog, "segment \(segment.logPath) is not uploaded: \(what); move the partition away from this broker")
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

/// The memory that one part after another is read into.
private final class PartMemory: Sendable {
    private let memory = Mutex(ByteBuffer())

    /// So that a disk can write the part past the page cache without another copy of it.
    private static let alignment = 4_096
    /// Read and summed in pieces that stay in the processor's cache.
    private static let pieceBytes = 512 << 10

    /// - Returns: `rest` and behind it `length` bytes of the file, which begin at a page of memory; and `crc` continued over these bytes.
    func read(
        _ file: any DiskFile, at offset: Int64, length: Int, behind rest: ByteBuffer, crc: UInt32
    ) throws(DiskError) -> (ByteBuffer, UInt32) {
        let outcome = memory.withLock { buffer -> Result<(ByteBuffer, UInt32), DiskError> in
            // Gives up the memory instead of copying it if a part before is still held.
            buffer.clear(minimumCapacity: Self.alignment + rest.readableBytes + length)
            let padding = buffer.withUnsafeMutableWritableBytes { space in
                -(Int(bitPattern: space.baseAddress) + rest.readableBytes) & (Self.alignment - 1)
            }
            buffer.moveWriterIndex(to: padding)
            buffer.moveReaderIndex(to: padding)
            buffer.writeImmutableBuffer(rest)
            var (crc, failure, done) = (crc, DiskError?.none, 0)
            while done < length, failure == nil {
                let piece = min(Self.pieceBytes, length - done)
                buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: piece) { space in
                    let space = UnsafeMutableRawBufferPointer(rebasing: space[..<piece])
                    do throws(DiskError) {
                        try file.read(into: space, at: offset + Int64(done))
                        crc = CRC32C.extend(crc, with: UnsafeRawBufferPointer(space))
                        return piece
                    } catch {
                        failure = error
                        return 0
                    }
                }
                done += piece
            }
            if let failure { return .failure(failure) }
            return .success((buffer, crc))
        }
        return try outcome.get()
    }
}
