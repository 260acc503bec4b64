//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import DequeModule
internal import LogEngine
internal import LogModel
internal import NIOCore
internal import ObjectStore
internal import RuntimeEnvironment

/// Reads the object WAL of an ended run, and ends it: where the next object would go it puts a fence, so that a writer which is not
/// as dead as it seems acknowledges nothing more.
final class ObjectWALReader {
    /// Tries of one request at a store that is slowed down: a recovery of many objects must not begin anew for one of them.
    private static let triesMax = 8

    /// Objects fetched side by side, and their bytes: a broker that put four a second for a minute is not read one after the other.
    private static let fetchesMax = 16
    private static let fetchedBytesMax: Int64 = 64 << 20

    private let store: any ObjectStore
    private let clock: any Clock
    private let broker: BrokerID
    private let epoch: BrokerEpoch
    private var number: Int64
    private var isAtEnd = false
    /// Sizes of the objects from the end of `fetched` on that a listing showed; nil before it.
    private var listed: Deque<Int64>?
    /// Objects from `number` on; nil for one that was listed and is not there.
    private var fetched: Deque<ByteBuffer?> = []

    /// - Parameter number: Of the first object that is needed.
    init(store: any ObjectStore, clock: any Clock, broker: BrokerID, epoch: BrokerEpoch, from number: Int64) {
        self.store = store
        self.clock = clock
        self.broker = broker
        self.epoch = epoch
        self.number = number
    }

    private func key(_ number: Int64) -> String { WALObjectHeader.key(of: broker, epoch: epoch, number: number) }

    /// The records of the next objects, at most about `bytesMax` of them (one object at least); empty at the end.
    ///
    /// - Throws: ``LogError/Code/corruptLog`` if an object is damaged, or missing although later ones say that it was acknowledged.
    func nextRecords(bytesMax: Int) async throws(LogError) -> [WALReader.Record] {
        var records: [WALReader.Record] = []
        var bytes = 0
        while !isAtEnd, bytes < bytesMax {
            guard let some = try await next() else {
                isAtEnd = true
                break
            }
            records += some
            bytes += some.reduce(0) { $0 + $1.body.readableBytes }
        }
        return records
    }

    private func next() async throws(LogError) -> [WALReader.Record]? {
        let key = key(number)
        while true {
            if let object = try await nextObject() {
                guard let header = WALObjectHeader(parsing: object), header.brokerID == broker, header.epoch == epoch,
                    header.number == number
                else { throw damaged(key) }
                // Of an earlier recovery, or of another that takes turns with this one.
                if header.kind == .fence {
                    try await checkNothingFollows()
                    return nil
                }
                guard let records = WALObjectGroup.decode(object, header: header) else { throw damaged(key) }
                number += 1
                return records
            }
            if try await putFence(key) {
                try await checkNothingFollows()
                return nil
            }
            // Somebody was first: the writer with its next object, or another recoverer.
        }
    }

    /// The object with `number`, if there is one.
    private func nextObject() async throws(LogError) -> ByteBuffer? {
        do throws(ObjectStoreError) {
            if fetched.isEmpty { try await fetchListed() }
            if let object = fetched.popFirst() {
                // Listed and gone: what was fetched beyond it is not to be taken for it.
                if object == nil { (fetched, listed) = ([], []) }
                return object
            }
            return try await Self.object(key(number), in: store, clock)
        } catch { throw unavailable(error) }
    }

    private func fetchListed() async throws(ObjectStoreError) {
        if listed == nil { listed = try await list() }
        var keys: [String] = []
        var bytes: Int64 = 0
        while keys.count < Self.fetchesMax, let size = listed?.first, keys.isEmpty || bytes + size <= Self.fetchedBytesMax {
            keys.append(key(number + Int64(keys.count)))
            bytes += size
            listed?.removeFirst()
        }
        let (store, clock) = (store, clock)
        let fetches = await withTaskGroup(of: Fetch.self) { group in
            for (index, key) in keys.enumerated() {
                group.addTask {
                    do throws(ObjectStoreError) {
                        return Fetch(index: index, object: try await Self.object(key, in: store, clock))
                    } catch { return Fetch(index: index, failure: error) }
                }
            }
            var fetches: [Fetch] = []
            for await fetch in group { fetches.append(fetch) }
            return fetches.sorted { $0.index < $1.index }
        }
        if let failure = fetches.lazy.compactMap(\.failure).first {
            // Nothing of it is kept: the next try lists anew.
            listed = nil
            throw failure
        }
        for fetch in fetches { fetched.append(fetch.object) }
    }

    private struct Fetch: Sendable {
        var index: Int
        var object: ByteBuffer?
        var failure: ObjectStoreError?
    }

    /// Sizes of the objects from `number` on, up to the first gap.
    private func list() async throws(ObjectStoreError) -> Deque<Int64> {
        let (store, prefix) = (store, WALObjectHeader.prefix(of: broker, epoch: epoch))
        var sizes: Deque<Int64> = []
        var last = number > 0 ? key(number - 1) : nil
        while true {
            let after = last
            let page = try await Self.persist(clock) { () throws(ObjectStoreError) in
                try await store.list(prefix: prefix, startAfter: after, maxKeys: 1_000)
            }
            for object in page.objects {
                guard object.key == key(number + Int64(sizes.count)) else { return sizes }
                sizes.append(object.size)
            }
            last = page.objects.last?.key
            guard page.isTruncated, last != nil else { return sizes }
        }
    }

    private static func object(_ key: String, in store: any ObjectStore, _ clock: any Clock) async throws(ObjectStoreError)
        -> ByteBuffer?
    {
        do throws(ObjectStoreError) {
            return try await persist(clock) { () throws(ObjectStoreError) in try await store.get(key, range: nil) }
        } catch {
            if error.code == .notFound { return nil }
            throw error
        }
    }

    /// - Returns: False if the key is taken.
    private func putFence(_ key: String) async throws(LogError) -> Bool {
        let fence = WALObjectHeader(
            kind: .fence, brokerID: broker, epoch: epoch, number: number, records: 0, recordsLength: 0)
        do throws(ObjectStoreError) {
            // One whose answer was lost is found by the next look, as somebody else's would be.
            try await Self.persist(clock) { () throws(ObjectStoreError) in
                try await store.put(key, fence.encode(), condition: .ifAbsent)
            }
            return true
        } catch {
            if error.code == .preconditionFailed { return false }
            throw unavailable(error)
        }
    }

    /// Objects are put side by side, but no more than ``ObjectWAL/putsMax``: one far behind a gap says that the gap was acknowledged.
    private func checkNothingFollows() async throws(LogError) {
        let later: [ObjectInfo]
        do throws(ObjectStoreError) {
            later = try await Self.persist(clock) { () throws(ObjectStoreError) in
                try await store.list(
                    prefix: WALObjectHeader.prefix(of: broker, epoch: epoch),
                    startAfter: key(number + Int64(ObjectWAL.putsMax) - 1), maxKeys: 1
                ).objects
            }
        } catch { throw unavailable(error) }
        guard let found = later.first else { return }
        throw LogError(
            .corruptLog,
            "the object \(key(number)) of broker \(broker)'s write-ahead log is missing in \(store.url), although \(found.key) was put after it: acknowledged batches are lost"
        )
    }

    private static func persist<Value>(
        _ clock: any Clock, _ body: () async throws(ObjectStoreError) -> Value
    ) async throws(ObjectStoreError) -> Value {
        var tries = 1
        while true {
            do throws(ObjectStoreError) {
                return try await body()
            } catch {
                guard error.isRetriable, tries < triesMax else { throw error }
                try? await clock.sleep(for: .milliseconds(5 << tries))
                tries += 1
            }
        }
    }

    /// Removes the run's objects, all of which are committed or were never acknowledged. The fence stays: the writer may yet wake.
    func removeAll() async {
        let fence = key(number)
        let prefix = WALObjectHeader.prefix(of: broker, epoch: epoch)
        // What stays is found by the audit.
        guard let left = try? await store.listAll(prefix: prefix) else { return }
        let keys = left.map(\.key).filter { $0 != fence }
        if !keys.isEmpty { try? await store.delete(keys) }
    }

    private func damaged(_ key: String) -> LogError {
        LogError(
            .corruptLog,
            "the object \(key) of broker \(broker)'s write-ahead log in \(store.url) is damaged; restore it from a copy of the store"
        )
    }

    private func unavailable(_ error: any Error) -> LogError {
        LogError(
            .notAvailable, "the write-ahead log of broker \(broker) in \(store.url) cannot be read now; it is tried again",
            cause: error)
    }
}
