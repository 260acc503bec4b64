//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import KafkaProtocol
internal import LogModel

/// OffsetFetch (9): what a group, or since version 8 several, have committed; -1 where they have not.
enum OffsetFetchHandler: Handler {
    static let versions: ClosedRange<Int16> = 1...9

    private typealias Partition = OffsetFetchResponse.OffsetFetchResponsePartitions
    private typealias Topic = OffsetFetchResponse.OffsetFetchResponseTopics

    static func handle(_ request: OffsetFetchRequest, _ context: RequestContext) -> Handling<OffsetFetchResponse> {
        if context.version >= 8 {
            return .respond(
                OffsetFetchResponse(
                    groups: request.groups.map { group in
                        let (topics, error) = fetch(
                            group.groupId, group.topics?.map { ($0.name, $0.partitionIndexes) }, context)
                        return OffsetFetchResponse.OffsetFetchResponseGroup(
                            groupId: group.groupId, topics: topics, errorCode: error)
                    }))
        }
        let (topics, error) = fetch(request.groupId, request.topics?.map { ($0.name, $0.partitionIndexes) }, context)
        var response = OffsetFetchResponse()
        response.topics = topics.map { topic in
            OffsetFetchResponse.OffsetFetchResponseTopic(
                name: topic.name,
                partitions: topic.partitions.map {
                    OffsetFetchResponse.OffsetFetchResponsePartition(
                        partitionIndex: $0.partitionIndex, committedOffset: $0.committedOffset,
                        committedLeaderEpoch: context.version >= 5 ? $0.committedLeaderEpoch : -1, metadata: $0.metadata,
                        // Version 1 has no place for an error of the whole.
                        errorCode: context.version >= 2 ? $0.errorCode : error)
                })
        }
        if context.version >= 2 { response.errorCode = error }
        return .respond(response)
    }

    private static func fetch(
        _ id: String, _ asked: [(name: String, partitions: [Int32])]?, _ context: RequestContext
    ) -> ([Topic], ErrorCode) {
        let keys = asked?.flatMap { topic in topic.partitions.map { OffsetKey(topic: topic.name, partition: $0) } }
        let found: [OffsetKey: CommittedOffset]
        let all: [OffsetKey]
        switch context.group(id, allowsEmpty: true).flatMap({ $0.committedOffsets(id, keys) }) {
        case .failure(let why):
            let topics = (asked ?? []).map { topic in Topic(name: topic.name, partitions: topic.partitions.map { none($0) }) }
            return (context.version >= 2 ? [] : topics, why.error)
        case .success(let offsets):
            found = Dictionary(offsets.compactMap { key, value in value.map { (key, $0) } }, uniquingKeysWith: { $1 })
            all = offsets.map(\.0)
        }
        var topics: [Topic] = []
        for key in all {
            if topics.last?.name != key.topic { topics.append(Topic(name: key.topic)) }
            topics[topics.count - 1].partitions.append(
                found[key].map {
                    Partition(
                        partitionIndex: key.partition, committedOffset: $0.offset.rawValue,
                        committedLeaderEpoch: $0.leaderEpoch.rawValue, metadata: $0.metadata)
                } ?? none(key.partition))
        }
        return (topics, .none)
    }

    private static func none(_ partition: Int32) -> Partition {
        Partition(partitionIndex: partition, committedOffset: -1, committedLeaderEpoch: -1, metadata: "")
    }
}
