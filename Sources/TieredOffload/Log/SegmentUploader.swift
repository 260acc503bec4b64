//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import Foundation
internal import LogEngine
internal import LogModel
internal import LogSegments
internal import NIOCore
internal import ObjectStore
internal import RuntimeEnvironment
internal import Synchronization

/// Copies one sealed segment to the object store: metadata first, objects, metadata again.
///
/// ```
///  1 COPY_STARTED  committed, with a new id     a crash from here on leaves an orphan that is named
///  2 .log .indexes .manifest put
///  3 COPY_FINISHED committed                    from here on it may be read, and the local segment freed
/// ```
/// Steps 1 and 3 hold on to the leader's claim.
struct SegmentUploader: Sendable {
    let metadata: TierMetadata
    let store: any ObjectStore
    let settings: TieredSettings
    let environment: RuntimeEnvironment
    let broker: BrokerID
    let memories: PartMemories

    /// - Parameters:
    ///   - history: All epochs of the log.
    ///   - attempts: Told of the attempt's key for as long as it lasts.
    func upload(
        _ segment: SealedSegment, of partition: PartitionID, history: [EpochStart], leaderEpoch: LeaderEpoch,
        claim: Transaction.Condition, catalog: RemoteCatalog, attempts: LiveAttempts, worker: any Worker
    ) async throws(LogError) {
        var (record, indexes) = try await prepare(
            segment, of: partition, history: history, leaderEpoch: leaderEpoch, worker: worker)
        let key = TierKey.segment(record.id, at: record.baseOffset, of: partition)
        attempts.begin(key)
        defer { attempts.end(key) }
        guard let started = try await metadata.commit([claim, .absent(key)], [.put(key, TierMetadata.encode(record))]) else {
            throw Self.fenced(partition)
        }
        catalog.note(key, record, revision: started)
        do throws(LogError) {
            record.crc32c = try await putLog(segment, &record, worker: worker)
            record.state = .copyFinished
            record.eventTime = now
            try await put(TierKey.indexes(record), indexes.parts)
            try await put(TierKey.manifest(record), [ByteBuffer(bytes: manifest(record, partition))])
            guard
                let finished = try await metadata.commit(
                    [claim, .revision(key, started)], [.put(key, TierMetadata.encode(record))])
            else {
                throw Self.fenced(partition)
            }
            catalog.note(key, record, revision: finished)
        } catch {
            // A commit without an answer may have been carried out: then the copy is good, and the watch tells of it.
            guard !(error.cause is MetadataStoreError) else { throw error }
            if (error.cause as? ObjectStoreError)?.mayTakeEffectLater == true {
                // The record stays, and by it what comes late is found.
                attempts.giveUp(key, at: environment.clock.now())
                try? await store.delete(TierKey.all(record))
            } else {
                await abandon(key, record, revision: started, catalog: catalog)
            }
            throw error
        }
    }

    private var now: Timestamp { Timestamp(environment.clock.wallMilliseconds()) }

    private func prepare(
        _ segment: SealedSegment, of partition: PartitionID, history: [EpochStart], leaderEpoch: LeaderEpoch, worker: any Worker
    ) async throws(LogError) -> (RemoteSegment, IndexObject) {
        let files: (offset: ByteBuffer, time: ByteBuffer, transaction: ByteBuffer?, snapshot: ByteBuffer?)
        do throws(DiskError) {
            files = try await worker.run { () throws(DiskError) in
                (
                    try segment.disk.readFile(segment.offsetIndexPath), try segment.disk.readFile(segment.timeIndexPath),
                    try segment.transactionIndexPath.map { path throws(DiskError) in try segment.disk.readFile(path) },
                    try segment.producerSnapshotPath.map { path throws(DiskError) in try segment.disk.readFile(path) }
                )
            }
        } catch {
            throw LogError(
                error.code == .notFound ? .notAvailable : .storageFailure,
                "the indexes of segment \(segment.logPath) cannot be read",
                cause: error)
        }
        var indexes = IndexObject()
        let layout = IndexLayout(
            offset: indexes.add(files.offset), time: indexes.add(files.time),
            transaction: files.transaction.map { indexes.add($0) },
            producerSnapshot: files.snapshot.map { indexes.add($0) },
            epochs: indexes.add(EpochCheckpoint.encode(history.filter { $0.startOffset < segment.endOffset })))
        let id = TopicID(high: environment.randomness.next(), low: environment.randomness.next()).hex
        return (
            RemoteSegment(
                id: id, state: .copyStarted, objectKey: TierKey.object(id, at: segment.baseOffset, of: partition),
                baseOffset: segment.baseOffset, endOffset: segment.endOffset,
                maxTimestamp: segment.maxTimestamp, sizeInBytes: segment.sizeInBytes, crc32c: 0, broker: broker,
                leaderEpoch: leaderEpoch,
                eventTime: now, epochs: segment.epochs, indexes: layout),
            indexes
        )
    }

    /// - Returns: The checksum of the object.
    private func putLog(
        _ segment: SealedSegment, _ record: inout RemoteSegment, worker: any Worker
    ) async throws(LogError) -> UInt32 {
        if let codec = settings.chunkCompression {
            let (crc32c, compression) = try await putCompressedLog(segment, record, codec, worker: worker)
            record.compression = compression
            return crc32c
        }
        let key = TierKey.log(record)
        let reader = SegmentReader(segment, partBytes: settings.partBytes, worker: worker, memories: memories)
        if segment.sizeInBytes <= Int64(settings.partBytes) {
            var parts: [ByteBuffer] = []
            while let part = try await reader.next() { parts.append(part) }
            try await put(key, parts)
        } else {
            let failure = FirstFailure()
            let parts = AsyncThrowingStream<ByteBuffer, any Error> {
                do throws(LogError) { return try await reader.next() } catch {
                    failure.note(error)
                    throw error
                }
            }
            do throws(ObjectStoreError) {
                try await store.putMultipart(key, parts: parts)
            } catch { throw failure.first ?? Self.failed(key, error) }
        }
        return await reader.crc32c
    }

    func put(_ key: String, _ body: [ByteBuffer]) async throws(LogError) {
        do throws(ObjectStoreError) {
            try await store.put(key, body, condition: .always)
        } catch { throw Self.failed(key, error) }
    }

    private func manifest(_ record: RemoteSegment, _ partition: PartitionID) -> [UInt8] {
        TierMetadata.encode(
            SegmentManifest(topic: partition.topic, topicID: partition.topicID, partition: partition.partition, segment: record))
    }

    /// Takes back an attempt that failed, as far as that goes; the rest is for the leader's next round.
    private func abandon(_ key: String, _ record: RemoteSegment, revision: Int64, catalog: RemoteCatalog) async {
        do {
            try await store.delete(TierKey.all(record))
            if let removed = try await metadata.commit([.revision(key, revision)], [.delete(key)]) {
                catalog.note(key, nil, revision: removed)
            }
        } catch {}
    }

    static func failed(_ key: String, _ error: ObjectStoreError) -> LogError {
        LogError(.notAvailable, "object \(key) could not be put; its segment stays local and is tried again", cause: error)
    }

    static func fenced(_ partition: PartitionID) -> LogError {
        LogError(.fencedLeaderEpoch, "\(partition): another broker manages its tier now; refresh the metadata")
    }
}

/// Attempts that this process is at: their records are not orphans.
final class LiveAttempts: Sendable {
    private let state = Mutex((running: Set<String>(), givenUp: [String: MonotonicInstant]()))

    func begin(_ key: String) { state.withLock { _ = $0.running.insert(key) } }
    func end(_ key: String) { state.withLock { _ = $0.running.remove(key) } }
    func contains(_ key: String) -> Bool { state.withLock { $0.running.contains(key) } }

    /// A put of the attempt may yet be carried out.
    func giveUp(_ key: String, at now: MonotonicInstant) { state.withLock { $0.givenUp[key] = now } }
    func givenUp(_ key: String) -> MonotonicInstant? { state.withLock { $0.givenUp[key] } }
    func forget(_ key: String) { state.withLock { _ = $0.givenUp.removeValue(forKey: key) } }
}

extension ObjectStoreError {
    /// The request was sent, and nobody knows what became of it.
    fileprivate var mayTakeEffectLater: Bool {
        switch code {
        case .timedOut, .unreachable: true
        default: false
        }
    }
}

/// What made a stream of parts end, past the store that wraps it.
final class FirstFailure: Sendable {
    private let failure = Mutex<LogError?>(nil)

    func note(_ error: LogError) { failure.withLock { if $0 == nil { $0 = error } } }
    var first: LogError? { failure.withLock { $0 } }
}
