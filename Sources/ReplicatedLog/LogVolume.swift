//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import LogEngine
internal import LogModel
internal import LogSegments
internal import NIOCore
internal import RuntimeEnvironment
internal import Synchronization

/// One log directory and the threads that work in it: one writes (all that changes files, in order), one reads, one syncs, one unlinks what
/// has been renamed for removal, which may take long where a file system gives blocks back to its device at once.
final class LogVolume: Sendable {
    /// Its place among the broker's.
    let number: Int
    /// As the operator named it.
    let specification: String
    let directory: LogDirectory
    /// The ends of all logs of the directory.
    let tail: TailCache
    let writer: any Worker
    let reader: any Worker
    let synchronizer: any Worker
    let sweeper: any Worker
    private let environment: RuntimeEnvironment
    /// Why nothing can be read or written here any more, until a restart; nil while all is well.
    private let failed = Mutex<SegmentError?>(nil)
    private let queuedBytes = Atomic<Int>(0)
    private let retired = Mutex<[(path: String, removeAt: MonotonicInstant)]>([])
    private let stored = Mutex<[OffsetCheckpoint.File: OffsetCheckpoint]>([:])

    var disk: any Disk { directory.disk }

    init(_ volume: Volume, number: Int, settings: ReplicatedLogSettings, environment: RuntimeEnvironment) {
        self.number = number
        specification = volume.specification
        directory = LogDirectory(disk: volume.disk, root: settings.directory)
        self.environment = environment
        tail = TailCache(bytesMax: settings.tailCacheBytesMax)
        writer = environment.workers.makeWorker(named: "\(settings.name)-write-\(number)")
        reader = environment.workers.makeWorker(named: "\(settings.name)-read-\(number)")
        sweeper = environment.workers.makeWorker(named: "\(settings.name)-sweep-\(number)")
        synchronizer = environment.workers.makeWorker(named: "\(settings.name)-sync-\(number)")
    }

    /// `directory.id` of its `meta.properties`; nil before it has been opened.
    private let identity = Mutex<String?>(nil)
    var id: String? { identity.withLock { $0 } }
    func setID(_ id: String) { identity.withLock { $0 = id.isEmpty ? nil : id } }

    var failure: SegmentError? { failed.withLock { $0 } }

    /// - Returns: True if it is this failure that puts the directory out of use.
    func fail(_ error: SegmentError) -> Bool {
        failed.withLock { failed in
            guard failed == nil else { return false }
            failed = error
            return true
        }
    }

    /// Takes room for bytes that wait to be written; false if there is none.
    func takeRoom(_ bytes: Int, max: Int) -> Bool {
        let before = queuedBytes.wrappingAdd(bytes, ordering: .relaxed).oldValue
        // One append at least, whatever its size.
        guard before == 0 || before + bytes <= max else {
            queuedBytes.wrappingSubtract(bytes, ordering: .relaxed)
            return false
        }
        return true
    }

    func giveRoom(_ bytes: Int) { queuedBytes.wrappingSubtract(bytes, ordering: .relaxed) }

    /// Reads a checkpoint file, and remembers what it says.
    func load(_ file: OffsetCheckpoint.File) throws(SegmentError) -> [String: Int64] {
        let checkpoint = try directory.checkpoint(file)
        stored.withLock { $0[file] = checkpoint }
        return checkpoint.offsets
    }

    /// What a checkpoint file says of a partition's directory.
    func storedOffset(_ file: OffsetCheckpoint.File, _ directoryName: String) -> Int64? {
        stored.withLock { $0[file]?.offsets[directoryName] }
    }

    /// Replaces a checkpoint file if it says anything new. From any thread: what is stored last was made last.
    func store(as file: OffsetCheckpoint.File, _ make: () -> OffsetCheckpoint) throws(SegmentError) {
        let outcome = stored.withLock { stored -> Result<Void, SegmentError> in
            let checkpoint = make()
            guard stored[file] != checkpoint else { return .success(()) }
            do throws(SegmentError) { try directory.store(checkpoint, as: file) } catch { return .failure(error) }
            stored[file] = checkpoint
            return .success(())
        }
        try outcome.get()
    }

    /// Takes a partition's directory away: the name is free on return, the files go after `delay`. On the writer.
    func retire(_ directoryName: String, delay: Duration) throws(SegmentError) {
        let path = try directory.retire(directoryName, token: environment.randomness.next())
        let removeAt = environment.clock.now() + delay
        retired.withLock { $0.append((path, removeAt)) }
    }

    /// Takes a partition's directory away and keeps it under another name. On the writer.
    ///
    /// - Returns: The new name.
    func setAside(_ directoryName: String) throws(SegmentError) -> String {
        try directory.retire(
            directoryName, token: environment.randomness.next(), suffix: SegmentFileKind.strayDirectorySuffix)
    }

    /// Removes what was retired long enough ago; all of it with `now` nil. On the sweeper.
    func removeRetired(at now: MonotonicInstant?) throws(SegmentError) {
        let due = retired.withLock { retired in
            let due = retired.filter { entry in now.map { entry.removeAt <= $0 } ?? true }
            retired.removeAll { entry in now.map { entry.removeAt <= $0 } ?? true }
            return due
        }
        for entry in due {
            do { try disk.removeTree(entry.path) } catch { throw .disk(error) }
        }
    }

    var retiredPaths: [String] { retired.withLock { $0.map(\.path) } }
}
