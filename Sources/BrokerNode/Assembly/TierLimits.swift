//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import LogModel
internal import TieredOffload

extension EngineRegistry {
    private var tiered: TieredEngine? { self["tiered"] as? TieredEngine }

    /// Takes the rates at which segments go to the tier and come from it from the brokers' settings (KIP-956).
    func followTierLimits(_ image: MetadataImage, broker: BrokerID, file: [String: String]) {
        func rate(_ direction: String) -> Int64? {
            ReplicatedEngines.rate("remote.log.manager.\(direction).max.bytes.per.second", of: broker, image, file)
        }
        tiered?.setTransferLimits(copyBytesPerSecond: rate("copy"), fetchBytesPerSecond: rate("fetch"))
    }

    /// Sealed segments of partitions led here that are not in the tier yet.
    var copyLag: (bytes: Int64, segments: Int64) { tiered?.copyLag ?? (0, 0) }
}
