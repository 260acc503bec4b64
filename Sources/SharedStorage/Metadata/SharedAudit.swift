//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import ClusterMetadata
public import LogEngine
internal import LogModel
public import ObjectStore
public import RuntimeEnvironment

/// What the `shared` engine's metadata say of its objects, for an audit from outside any broker.
public enum SharedAudit {
    /// All that the engine's brokers put lies below these.
    public static let prefixes = [ObjectPutter.prefix, WALObjectHeader.prefix]

    /// Every object the metadata know, by key, out of one consistent snapshot. What the ledger or a stream's range names is expected.
    public static func expectations(
        in store: any MetadataStore, clock: any Clock
    ) async throws(LogError) -> ObjectExpectations {
        let metadata = SharedMetadata(store: store, writer: StreamWriter(broker: BrokerID(-1), epoch: .none), clock: clock)
        let records: [StoredValue]
        do throws(MetadataStoreError) {
            records = try await store.list(prefix: SharedKey.all).values
        } catch {
            throw LogError(.notAvailable, "the metadata store did not tell of the shared engine's objects", cause: error)
        }
        var all = ObjectExpectations()
        var expected: [String: ObjectExpectation] = [:]
        var topics: [StreamID: String] = [:]
        var ranges: [(stream: StreamID, record: RangeRecord)] = []
        for record in records {
            if record.key.hasPrefix(SharedKey.destroyed) {
                expected[try metadata.decode(record, as: DestroyedObject.self).value.key] = ObjectExpectation(.dying)
            } else if record.key.hasPrefix(SharedKey.objects) {
                let object = try metadata.decode(record, as: ObjectRecord.self).value
                expected[object.key] = ObjectExpectation(.committed(size: object.objectBytes))
            } else if record.key.hasPrefix(SharedKey.prepared) {
                expected[try metadata.decode(record, as: PreparedObject.self).value.key] = ObjectExpectation(.announced)
            } else if record.key.hasPrefix(SharedKey.wals) {
                let wal = try metadata.decode(record, as: WALOwnership.self).value
                guard wal.isInObjects == true, wal.state != .recovered else { continue }
                all.announcedPrefixes.append(WALObjectHeader.prefix(of: wal.broker, epoch: wal.epoch))
            } else if record.key.hasPrefix(SharedKey.leftWALs) {
                let left = try metadata.decode(record, as: LeftWAL.self).value
                guard left.isInObjects == true else { continue }
                all.announcedPrefixes.append(WALObjectHeader.prefix(of: left.writer.broker, epoch: left.writer.epoch))
            } else if let stream = SharedKey.stream(of: record.key) {
                topics[stream] = try metadata.decode(record, as: StreamRecord.self).value.topic
            } else if let stream = SharedKey.stream(ofRange: record.key) {
                ranges.append((stream, try metadata.decode(record, as: RangeRecord.self).value))
            }
        }
        for (stream, range) in ranges {
            var object = expected[range.key] ?? ObjectExpectation(.committed(size: range.objectBytes))
            // A stream needs it, whatever the ledger says.
            object.state = .committed(size: range.objectBytes)
            object.holds.append(
                HeldOffsets(
                    topic: topics[stream] ?? stream.topicID.hex, partition: stream.partition,
                    startOffset: range.start.rawValue, endOffset: range.end.rawValue))
            expected[range.key] = object
        }
        all.objects = expected
        return all
    }
}
