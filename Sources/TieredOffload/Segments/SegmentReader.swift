//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogEngine
internal import LogModel
internal import LogSegments
internal import NIOCore
internal import RuntimeEnvironment

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

    init(_ segment: SealedSegment, partBytes: Int, worker: any Worker) {
        self.segment = segment
        self.partBytes = partBytes
        self.worker = worker
        nextOffset = segment.baseOffset
    }

    deinit { file?.close() }

    /// The next at most `partBytes`; nil at the end.
    ///
    /// - Throws: ``LogError/Code/corruptLog``, ``LogError/Code/storageFailure``; a segment that was removed meanwhile is `notAvailable`.
    func next() async throws(LogError) -> ByteBuffer? {
        guard position < segment.sizeInBytes else {
            guard rest.readableBytes == 0 else { throw damaged("it ends in the middle of a batch") }
            return nil
        }
        let length = Int(min(Int64(partBytes), segment.sizeInBytes - position))
        let start = position
        let (segment, open) = (segment, file)
        let (opened, part): (any DiskFile, ByteBuffer)
        do throws(DiskError) {
            (opened, part) = try await worker.run { () throws(DiskError) -> (any DiskFile, ByteBuffer) in
                let file: any DiskFile
                if let open { file = open } else { file = try segment.disk.open(segment.logPath, .readOnly) }
                return (file, try file.readBytes(at: start, length: length))
            }
        } catch {
            throw LogError(
                error.code == .notFound ? .notAvailable : .storageFailure, "segment \(segment.logPath) cannot be read", cause: error
            )
        }
        file = opened
        position += Int64(length)
        crc32c = CRC32C.extend(crc32c, with: part, at: part.readerIndex, length: length)
        try check(part, from: start)
        return part
    }

    private func check(_ part: ByteBuffer, from start: Int64) throws(LogError) {
        var whole = part
        var begin = start
        if rest.readableBytes > 0 {
            begin -= Int64(rest.readableBytes)
            whole = rest
            whole.writeImmutableBuffer(part)
        }
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
        whole.moveReaderIndex(forwardBy: batches.sizeInBytes)
        rest = ByteBuffer()
        rest.writeImmutableBuffer(whole)
    }

    private func damaged(_ what: String) -> LogError {
        LogError(.corruptLog, "segment \(segment.logPath) is not uploaded: \(what); move the partition away from this broker")
    }
}
