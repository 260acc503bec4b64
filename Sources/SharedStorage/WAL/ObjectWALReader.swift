//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

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

    private let store: any ObjectStore
    private let clock: any Clock
    private let broker: BrokerID
    private let epoch: BrokerEpoch
    private var number: Int64
    private var isAtEnd = false

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
            if let object = try await object(key) {
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

    private func object(_ key: String) async throws(LogError) -> ByteBuffer? {
        do throws(ObjectStoreError) {
            return try await persist { () throws(ObjectStoreError) in try await store.get(key, range: nil) }
        } catch {
            if error.code == .notFound { return nil }
            throw unavailable(error)
        }
    }

    /// - Returns: False if the key is taken.
    private func putFence(_ key: String) async throws(LogError) -> Bool {
        let fence = WALObjectHeader(
            kind: .fence, brokerID: broker, epoch: epoch, number: number, records: 0, recordsLength: 0)
        do throws(ObjectStoreError) {
            // One whose answer was lost is found by the next look, as somebody else's would be.
            try await persist { () throws(ObjectStoreError) in
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
            later = try await persist { () throws(ObjectStoreError) in
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

    private func persist<Value>(_ body: () async throws(ObjectStoreError) -> Value) async throws(ObjectStoreError) -> Value {
        var tries = 1
        while true {
            do throws(ObjectStoreError) {
                return try await body()
            } catch {
                guard error.isRetriable, tries < Self.triesMax else { throw error }
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
