//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import LogEngine
internal import LogModel
internal import Metering
internal import ObjectStore
internal import RuntimeEnvironment
internal import Synchronization

/// What the parts of one running engine share.
final class EngineParts: Sendable {
    let settings: SharedStorageSettings
    let environment: RuntimeEnvironment
    let meters: Meters
    let store: any ObjectStore
    let metadata: SharedMetadata
    let wal: any WALWriter
    /// The bytes of this broker's own ``WALOwnership``: a condition of all that it commits.
    let ownership: Transaction.Condition
    let reader: ObjectReader
    let cacheBudget: LogCacheBudget
    let dirty: DirtyLogs
    let uploader: Uploader
    let putter: ObjectPutter
    let upkeep: UpkeepReport
    let undeletable = UndeletableObjects()

    init(
        settings: SharedStorageSettings, environment: RuntimeEnvironment, meters: Meters, store: any ObjectStore,
        metadata: SharedMetadata,
        wal: any WALWriter, ownership: Transaction.Condition, reader: ObjectReader, putter: ObjectPutter, uploader: Uploader,
        upkeep: UpkeepReport
    ) {
        self.upkeep = upkeep
        self.settings = settings
        self.environment = environment
        self.meters = meters
        self.store = store
        self.metadata = metadata
        self.wal = wal
        self.ownership = ownership
        self.reader = reader
        self.putter = putter
        self.uploader = uploader
        cacheBudget = LogCacheBudget(bytesMax: settings.logCacheBytes, pinnedBytesMax: settings.pinnedBytesMax)
        dirty = DirtyLogs()
    }
}

/// Logs with batches that are in no object yet. Never locked while a log's lock is asked for.
final class DirtyLogs: Sendable {
    private let logs = Mutex<[ObjectIdentifier: SharedLog]>([:])

    func insert(_ log: SharedLog) { logs.withLock { $0[ObjectIdentifier(log)] = log } }
    func remove(_ log: SharedLog) { logs.withLock { $0[ObjectIdentifier(log)] = nil } }
    /// In the order of their partitions, which a run repeats.
    var all: [SharedLog] { logs.withLock { Array($0.values) }.sorted { $0.partition < $1.partition } }
}
