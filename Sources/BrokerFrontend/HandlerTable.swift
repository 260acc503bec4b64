//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// Everything that is served: also what ApiVersions answers.
///
/// The ranges are those of Kafka 3.7, for clients infer a release from them; lower ends are what the codec reads (Kafka 4.2's).
enum HandlerTable {
    /// By key.
    static let entries: [HandlerEntry] = [
        HandlerEntry(ProduceHandler.self),
        HandlerEntry(FetchHandler.self),
        HandlerEntry(ListOffsetsHandler.self),
        HandlerEntry(MetadataHandler.self),
        HandlerEntry(OffsetCommitHandler.self),
        HandlerEntry(OffsetFetchHandler.self),
        HandlerEntry(FindCoordinatorHandler.self),
        HandlerEntry(JoinGroupHandler.self),
        HandlerEntry(HeartbeatHandler.self),
        HandlerEntry(LeaveGroupHandler.self),
        HandlerEntry(SyncGroupHandler.self),
        HandlerEntry(DescribeGroupsHandler.self),
        HandlerEntry(ListGroupsHandler.self),
        HandlerEntry(ApiVersionsHandler.self),
        HandlerEntry(CreateTopicsHandler.self),
        HandlerEntry(DeleteTopicsHandler.self),
        HandlerEntry(DeleteRecordsHandler.self),
        HandlerEntry(InitProducerIdHandler.self),
        HandlerEntry(OffsetForLeaderEpochHandler.self),
        HandlerEntry(DescribeConfigsHandler.self),
        HandlerEntry(AlterConfigsHandler.self),
        HandlerEntry(AlterReplicaLogDirsHandler.self),
        HandlerEntry(DescribeLogDirsHandler.self),
        HandlerEntry(CreatePartitionsHandler.self),
        HandlerEntry(DeleteGroupsHandler.self),
        HandlerEntry(ElectLeadersHandler.self),
        HandlerEntry(IncrementalAlterConfigsHandler.self),
        HandlerEntry(AlterPartitionReassignmentsHandler.self),
        HandlerEntry(ListPartitionReassignmentsHandler.self),
        HandlerEntry(OffsetDeleteHandler.self),
        HandlerEntry(DescribeClusterHandler.self),
    ]

    private static let byKey: [HandlerEntry?] = {
        let last = Int(entries.map(\.apiKey).max() ?? -1)
        var table = [HandlerEntry?](repeating: nil, count: last + 1)
        for entry in entries { table[Int(entry.apiKey)] = entry }
        return table
    }()

    static func entry(for apiKey: Int16) -> HandlerEntry? {
        apiKey >= 0 && Int(apiKey) < byKey.count ? byKey[Int(apiKey)] : nil
    }
}
