//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import ClusterMetadata
public import LogEngine
public import LogModel
public import ObjectStore

/// What the `tiered` engine's metadata say of its objects, for an audit from outside any broker.
public enum TierAudit {
    /// All that the engine's brokers put lies below these.
    public static let prefixes = [TierKey.objects]

    /// Every object the metadata know, by key.
    public static func expectations(in store: any MetadataStore) async throws(LogError) -> ObjectExpectations {
        var expected: [String: ObjectExpectation] = [:]
        let known = try await TierMetadata(store: store).all()
        for entry in known.segments {
            let segment = entry.segment
            switch segment.state {
            case .copyStarted: for key in TierKey.all(segment) { expected[key] = ObjectExpectation(.announced) }
            case .deleteStarted: for key in TierKey.all(segment) { expected[key] = ObjectExpectation(.dying) }
            case .copyFinished:
                guard let place = TierKey.partition(of: entry.key) else { continue }
                let holds = [
                    HeldOffsets(
                        topic: TierKey.topic(ofObject: segment.objectKey) ?? place.topicID.hex, partition: place.partition,
                        startOffset: segment.baseOffset.rawValue, endOffset: segment.endOffset.rawValue)
                ]
                expected[TierKey.log(segment)] = ObjectExpectation(.committed(size: segment.objectBytes), holds: holds)
                expected[TierKey.indexes(segment)] = ObjectExpectation(.committed(size: segment.indexes.totalBytes), holds: holds)
                // Nothing reads it in service, and its size is in no record.
                expected[TierKey.manifest(segment)] = ObjectExpectation(.committed(size: nil), holds: holds)
            }
        }
        var all = ObjectExpectations()
        all.objects = expected
        all.formerDirectories = Set(known.deletions.map { TierKey.objects(of: $0.partition) })
        return all
    }

    /// Forgets what was deleted before `bound`, by the wall clock: nothing of it can come any more.
    public static func forgetDeletions(in store: any MetadataStore, before bound: Timestamp) async throws(LogError) {
        let metadata = TierMetadata(store: store)
        for deletion in try await metadata.all().deletions where deletion.deletedAt < bound { try await metadata.forget(deletion) }
    }
}
