//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import KafkaProtocol

extension RequestContext {
    /// The part of the coordinator that keeps the group, if this broker is it.
    ///
    /// - Parameter allowsEmpty: The empty name, which old tools commit offsets under.
    func group(_ id: String, allowsEmpty: Bool = false) -> Result<OffsetsPartition, GroupUnavailable> {
        guard allowsEmpty || !id.isEmpty else { return .failure(GroupUnavailable(error: .invalidGroupId)) }
        return frontend.groups.partition(of: id, partitionCount: frontend.offsetsPartitionCount(frontend.metadata.current))
    }
}
