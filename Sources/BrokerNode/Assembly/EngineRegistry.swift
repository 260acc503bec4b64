//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import ClusterMetadata
package import LogEngine
package import LogModel

/// The engines of one broker, by the name that `storage.mode` takes: the plug into which a fourth engine goes.
package struct EngineRegistry: Sendable {
    package struct Entry: Sendable {
        package var engine: any LogEngine
        package var placement: ReplicaPlacement
    }

    private var entries: [String: Entry] = [:]
    let replicated = ReplicatedEngines()

    package init() {}

    package mutating func register(_ engine: any LogEngine, placement: ReplicaPlacement) {
        entries[engine.name] = Entry(engine: engine, placement: placement)
    }

    package subscript(mode: String) -> (any LogEngine)? { entries[mode]?.engine }
    package var engines: [any LogEngine] { entries.values.map(\.engine).sorted { $0.name < $1.name } }
    package var names: [String] { entries.keys.sorted() }

    package func log(for partition: PartitionID) -> (any PartitionLog)? {
        for entry in entries.values { if let log = entry.engine.log(for: partition) { return log } }
        return nil
    }

    /// How a mode's partitions are placed, known even where the mode has no engine on this broker.
    package static func placement(of mode: String) -> ReplicaPlacement {
        mode == "shared" || mode == "memory" ? .singleOwner : .replicated
    }

    /// Whether a partition of the mode can be led elsewhere without loss: what is only in memory cannot.
    package static func handsOver(_ mode: String) -> Bool { mode != "memory" }
}

extension PartitionAssignment {
    package init(_ partition: PartitionID, _ record: PartitionRecord) {
        self.init(
            partition: partition, leader: record.leader, leaderEpoch: record.leaderEpoch, partitionEpoch: record.partitionEpoch,
            replicas: record.replicas, inSyncReplicas: record.inSyncReplicas, addingReplicas: record.addingReplicas,
            removingReplicas: record.removingReplicas)
    }
}
