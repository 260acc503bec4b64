//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import ClusterMetadata
package import LogModel

/// What a broker that is about to stop waits for.
package enum Handover {
    /// Partitions the broker leads and which another one, alive and not itself about to stop, can take over.
    package static func remaining(of broker: BrokerID, in image: MetadataImage) -> [PartitionRecord] {
        let heirs = image.liveBrokers.subtracting(image.drainingBrokers).subtracting([broker])
        guard !heirs.isEmpty else { return [] }
        return image.partitions(ledBy: broker).filter { partition in
            guard let mode = image.topic(partition.topicID)?.storageMode, EngineRegistry.handsOver(mode) else { return false }
            switch EngineRegistry.placement(of: mode) {
            case .singleOwner: return true
            case .replicated: return !heirs.isDisjoint(with: partition.inSyncReplicas)
            }
        }
    }
}
