//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogEngine
internal import LogSegments
internal import NIOCore
internal import ObjectStore
internal import RuntimeEnvironment
internal import Synchronization

extension SegmentUploader {
    /// Puts the segment chunk by chunk, each compressed by itself.
    ///
    /// - Returns: The checksum of the segment's own bytes, and where its chunks lie.
    func putCompressedLog(
        _ segment: SealedSegment, _ record: RemoteSegment, _ codec: ChunkCompression.Codec, worker: any Worker
    ) async throws(LogError) -> (crc32c: UInt32, compression: ChunkCompression) {
        let key = TierKey.log(record)
        let frames = FrameSource(segment, chunkBytes: settings.chunkBytes, worker: worker, memories: memories)
        if segment.sizeInBytes <= Int64(settings.partBytes) {
            var parts: [ByteBuffer] = []
            while let frame = try await frames.next() { parts.append(frame) }
            try await put(key, parts)
        } else {
            let failure = FirstFailure()
            let partBytes = settings.partBytes
            let parts = AsyncThrowingStream<ByteBuffer, any Error> {
                do throws(LogError) { return try await frames.nextPart(ofBytes: partBytes) } catch {
                    failure.note(error)
                    throw error
                }
            }
            do throws(ObjectStoreError) {
                try await store.putMultipart(key, parts: parts)
            } catch { throw failure.first ?? Self.failed(key, error) }
        }
        return (
            await frames.crc32c,
            ChunkCompression(codec: codec, chunkBytes: settings.chunkBytes, lengths: await frames.lengths)
        )
    }
}

/// A segment's chunks as frames.
private actor FrameSource {
    private let reader: SegmentReader
    private let worker: any Worker
    private(set) var lengths: [Int] = []

    init(_ segment: SealedSegment, chunkBytes: Int, worker: any Worker, memories: PartMemories) {
        reader = SegmentReader(segment, partBytes: chunkBytes, worker: worker, memories: memories)
        self.worker = worker
    }

    var crc32c: UInt32 { get async { await reader.crc32c } }

    func next() async throws(LogError) -> ByteBuffer? {
        guard let chunk = try await reader.next() else { return nil }
        let frame = await worker.run { ChunkCompression.compress(chunk) }
        lengths.append(frame.readableBytes)
        return frame
    }

    /// Whole frames of at least `bytes`, but for the last.
    func nextPart(ofBytes bytes: Int) async throws(LogError) -> ByteBuffer? {
        guard var part = try await next() else { return nil }
        while part.readableBytes < bytes, let frame = try await next() { part.writeImmutableBuffer(frame) }
        return part
    }
}
