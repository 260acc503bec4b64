//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import LogEngine
internal import LogModel
internal import NIOCore
internal import Metering
internal import ObjectStore
internal import RuntimeEnvironment
internal import Synchronization

/// Takes streams' batches through an object's first life: announced in the ledger, put, committed.
///
/// A crash between the steps leaves an announced object, which is found and destroyed later; what it was to hold is still in a WAL.
final class ObjectPutter: Sendable {

    /// Where all of the engine's objects lie in the store.
    static let prefix = "shared/"

    private let store: any ObjectStore
    private let metadata: SharedMetadata
    private let settings: SharedStorageSettings
    private let reader: ObjectReader
    private let meters: Meters
    private let nextNumber = Atomic<UInt64>(0)
    /// Announced by this run and neither committed nor given up: what else it has announced is garbage.
    private let inFlight = Mutex<Set<ObjectID>>([])

    init(store: any ObjectStore, metadata: SharedMetadata, settings: SharedStorageSettings, reader: ObjectReader, meters: Meters) {
        self.meters = meters
        self.store = store
        self.metadata = metadata
        self.settings = settings
        self.reader = reader
    }

    /// Runs `body` with ids for `count` new objects, which are protected from the garbage collection meanwhile.
    func withIDs<Value>(_ count: Int, _ body: ([ObjectID]) async throws(LogError) -> Value) async throws(LogError) -> Value {
        let ids = (0..<count).map { _ in
            ObjectID(
                broker: metadata.writer.broker, epoch: metadata.writer.epoch,
                number: nextNumber.wrappingAdd(1, ordering: .relaxed).oldValue)
        }
        inFlight.withLock { $0.formUnion(ids) }
        defer { inFlight.withLock { $0.subtract(ids) } }
        return try await body(ids)
    }

    func isInFlight(_ id: ObjectID) -> Bool { inFlight.withLock { $0.contains(id) } }

    /// `shared/<two hex digits>/<id>.nine`: the digits spread keys over an S3 store's partitions.
    static func key(of id: ObjectID) -> String {
        let hash = id.text.utf8.reduce(UInt32(2_166_136_261)) { ($0 ^ UInt32($1)) &* 16_777_619 }
        let digits = String((hash ^ hash >> 16) & 0xFF, radix: 16)
        return "\(prefix)\(digits.count < 2 ? "0" : "")\(digits)/\(id.text).nine"
    }

    /// Uploads `cuts`, whose data come from `source`'s WAL.
    ///
    /// - Returns: What became of each stream, and the ranges that are committed.
    func upload(
        _ cuts: [UploadCut], from source: StreamWriter, requiring conditions: [Transaction.Condition]
    ) async throws(LogError) -> (outcome: CommitOutcome, ranges: [StreamID: RangeRecord]) {
        let plan = UploadPlan.objects(
            of: cuts, splitBytes: Int64(settings.streamObjectSplitBytes), streamsMax: settings.streamsPerObjectMax)
        return try await withIDs(plan.count) { ids throws(LogError) in
            let named = zip(ids, plan).map { (id: $0, cuts: $1) }
            try await prepare(named.map { ($0.id, $0.cuts.reduce(0) { $0 + $1.bytes }) }, requiring: conditions)
            let objects = try await putAll(named)
            let outcome = try await metadata.commitUpload(objects, from: source, requiring: conditions)
            var ranges: [StreamID: RangeRecord] = [:]
            for piece in objects.flatMap(\.pieces) where outcome.committed.contains(piece.stream) {
                ranges[piece.stream] = piece.range
            }
            return (outcome, ranges)
        }
    }

    func prepare(_ objects: [(id: ObjectID, recordBytes: Int64)], requiring conditions: [Transaction.Condition])
        async throws(LogError)
    {
        let expires = metadata.clock.wallMilliseconds() + settings.preparedObjectTTL.inMilliseconds
        try await metadata.prepare(
            objects.map {
                (
                    $0.id,
                    PreparedObject(key: Self.key(of: $0.id), writer: metadata.writer, recordBytes: $0.recordBytes, expires: expires)
                )
            }, requiring: conditions)
    }

    private func putAll(_ objects: [(id: ObjectID, cuts: [UploadCut])]) async throws(LogError) -> [CommitObject] {
        let concurrency = settings.uploadConcurrency
        let results = await withTaskGroup(of: Result<CommitObject, LogError>.self) { group in
            var results: [Result<CommitObject, LogError>] = []
            for (index, object) in objects.enumerated() {
                if index >= concurrency, let done = await group.next() { results.append(done) }
                group.addTask {
                    do throws(LogError) {
                        return .success(try await self.putOne(object.id, object.cuts))
                    } catch { return .failure(error) }
                }
            }
            for await done in group { results.append(done) }
            return results
        }
        var committed: [CommitObject] = []
        for result in results { committed.append(try result.get()) }
        return committed
    }

    private func putOne(_ id: ObjectID, _ cuts: [UploadCut]) async throws(LogError) -> CommitObject {
        var builder = ObjectBuilder(blockBytes: settings.blockBytes)
        for cut in cuts { builder.add(cut.stream, cut.chunks) }
        let built = builder.finish()
        try await put(id, built, as: cuts.count == 1 ? .stream : .streamSet)
        var pieces: [CommitPiece] = []
        for (cut, piece) in zip(cuts, built.pieces) {
            let range = range(id, built, piece, start: cut.start, end: cut.end)
            pieces.append(CommitPiece(stream: cut.stream, range: range, producers: cut.producers, epochs: cut.epochs))
        }
        return CommitObject(id: id, key: Self.key(of: id), objectBytes: built.size, pieces: pieces)
    }

    func range(_ id: ObjectID, _ built: ObjectBuilder.Built, _ piece: ObjectBuilder.Piece, start: Offset, end: Offset)
        -> RangeRecord
    {
        RangeRecord(
            object: id, key: Self.key(of: id), isStreamObject: built.pieces.count == 1, start: start, end: end,
            recordBytes: piece.recordBytes, maxTimestamp: piece.maxTimestamp, objectBytes: built.size,
            indexPosition: built.indexPosition)
    }

    func put(_ id: ObjectID, _ built: ObjectBuilder.Built, as reason: ObjectWrite) async throws(LogError) {
        let key = Self.key(of: id)
        do throws(ObjectStoreError) {
            try await store.put(key, built.body, condition: .always)
        } catch {
            let code: LogError.Code = error.code == .noSpace ? .diskFull : .notAvailable
            throw LogError(code, "the object \(key) cannot be put to \(store.url); the upload is tried again", cause: error)
        }
        meters.objectRecordBytes[reason]?.add(built.pieces.reduce(0) { $0 + $1.recordBytes })
        reader.keep(built.index, of: id)
    }
}
