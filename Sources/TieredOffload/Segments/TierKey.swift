//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import LogModel

/// Where a segment lies, in the metadata store and in the object store.
///
/// ```
/// metadata   /tiered/<topic hex>/<partition>/leader                     TierClaim
///            /tiered/<topic hex>/<partition>/<20-digit base>-<id>       RemoteSegment
/// objects    tiered/<topic>-<topic id>/<partition>/<20-digit base>-<id>.log
///                                                                       .indexes
///                                                                       .manifest
/// ```
package enum TierKey {
    package static let metadata = "/tiered/"
    package static let objects = "tiered/"

    package static func segments(of partition: PartitionID) -> String {
        "\(metadata)\(partition.topicID.hex)/\(partition.partition)/"
    }
    package static func claim(_ partition: PartitionID) -> String { segments(of: partition) + claimSuffix.dropFirst() }
    static let claimSuffix = "/leader"
    package static func segment(_ id: String, at base: Offset, of partition: PartitionID) -> String {
        segments(of: partition) + name(id, base)
    }

    package static func objects(of partition: PartitionID) -> String {
        "\(objects)\(partition.topic)-\(partition.topicID)/\(partition.partition)/"
    }
    package static func object(_ id: String, at base: Offset, of partition: PartitionID) -> String {
        objects(of: partition) + name(id, base)
    }
    package static func log(_ segment: RemoteSegment) -> String { segment.objectKey + ".log" }
    package static func indexes(_ segment: RemoteSegment) -> String { segment.objectKey + ".indexes" }
    package static func manifest(_ segment: RemoteSegment) -> String { segment.objectKey + ".manifest" }
    package static func all(_ segment: RemoteSegment) -> [String] { [log(segment), indexes(segment), manifest(segment)] }

    /// The partition whose key this is: topic id and number; nil for a key of something else.
    static func partition(of key: String) -> (topicID: TopicID, partition: Int32)? {
        let parts = key.split(separator: "/", omittingEmptySubsequences: true)
        guard parts.count == 4, parts[0] == "tiered", let topicID = TopicID(hex: String(parts[1])), let number = Int32(parts[2])
        else { return nil }
        return (topicID, number)
    }

    /// The topic's name in `tiered/<topic>-<topic id>/…`; nil for a key of something else.
    static func topic(ofObject key: String) -> String? {
        let parts = key.split(separator: "/")
        guard parts.count == 4, parts[0] == objects.dropLast(), parts[1].count > 23 else { return nil }
        // A topic id has 22 characters.
        return String(parts[1].dropLast(23))
    }

    private static func name(_ id: String, _ base: Offset) -> String {
        let digits = String(base.rawValue)
        return String(repeating: "0", count: max(0, 20 - digits.count)) + digits + "-" + id
    }
}
