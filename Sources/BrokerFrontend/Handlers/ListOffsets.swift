//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import KafkaProtocol
internal import LogEngine
internal import LogModel

/// ListOffsets (2): the offset for a time, or for one of the times below zero that stand for a log's ends.
enum ListOffsetsHandler: Handler {
    static let versions: ClosedRange<Int16> = 1...9

    private enum Special {
        static let latest: Int64 = -1
        static let earliest: Int64 = -2
        /// Since version 7 (KIP-734).
        static let maxTimestamp: Int64 = -3
        /// Since version 8 (KIP-405).
        static let earliestLocal: Int64 = -4
        /// The last offset in the object store; since version 9 (KIP-1005).
        static let latestTiered: Int64 = -5
    }

    static func handle(_ request: ListOffsetsRequest, _ context: RequestContext) -> Handling<ListOffsetsResponse> {
        .later {
            let image = context.frontend.metadata.current
            var response = ListOffsetsResponse()
            for topic in request.topics {
                var answer = ListOffsetsResponse.ListOffsetsTopicResponse(name: topic.name)
                for partition in topic.partitions {
                    answer.partitions.append(await look(partition, of: topic.name, request, image, context))
                }
                response.topics.append(answer)
            }
            return response
        }
    }

    private static func look(
        _ asked: ListOffsetsRequest.ListOffsetsPartition, of topic: String, _ request: ListOffsetsRequest, _ image: MetadataImage,
        _ context: RequestContext
    ) async -> ListOffsetsResponse.ListOffsetsPartitionResponse {
        var answer = ListOffsetsResponse.ListOffsetsPartitionResponse(partitionIndex: asked.partitionIndex)
        do throws(LogError) {
            guard
                let log = try context.frontend.leading(
                    topic: topic, partition: asked.partitionIndex, clientEpoch: asked.currentLeaderEpoch, image)
            else {
                answer.errorCode = .unknownTopicOrPartition
                return answer
            }
            let end: (LogOffsets) -> Offset = {
                request.replicaId >= 0 ? $0.logEnd : request.isolationLevel == 1 ? $0.lastStable : $0.highWatermark
            }
            let found: TimestampedOffset?
            switch asked.timestamp {
            case Special.latest: found = ended(end(log.offsets), log.assignment.leaderEpoch)
            case Special.earliest: found = began(log.offsets.logStart, log)
            case Special.earliestLocal where context.version >= 8: found = began(log.offsets.localStart, log)
            case Special.latestTiered where context.version >= 9:
                found = log.offsets.latestTiered.map { began($0, log) }
            case Special.maxTimestamp where context.version >= 7: found = try await log.offsetOfMaxTimestamp()
            case ..<0:
                answer.errorCode = .unsupportedVersion
                return answer
            default: found = try await log.offset(forTimestamp: Timestamp(asked.timestamp))
            }
            // A new leader does not know yet how far its predecessor had let readers see: no answer may go back behind that. A replica asks
            // for the log's end itself, and may be the one without which the high watermark cannot rise.
            if request.replicaId < 0, ![Special.earliest, Special.earliestLocal, Special.latestTiered].contains(asked.timestamp),
                let started = try startOfEpoch(log), started > log.offsets.highWatermark,
                found.map({ $0.offset >= log.offsets.highWatermark }) ?? true
            {
                answer.errorCode = context.version >= 5 ? .offsetNotAvailable : .leaderNotAvailable
                return answer
            }
            // A record that the reader may not see yet is not there.
            if let found, asked.timestamp < 0 || found.offset < end(log.offsets) {
                answer.offset = found.offset.rawValue
                answer.timestamp = found.timestamp.rawValue
                if context.version >= 4 { answer.leaderEpoch = found.leaderEpoch.rawValue }
            }
        } catch {
            answer.errorCode = ErrorCode(error)
        }
        return answer
    }

    /// Where the log's leader epoch began: at the end of the one before.
    private static func startOfEpoch(_ log: any PartitionLog) throws(LogError) -> Offset? {
        let epoch = log.assignment.leaderEpoch
        guard epoch > LeaderEpoch(0) else { return nil }
        return try log.endOffset(forEpoch: LeaderEpoch(epoch.rawValue - 1))?.endOffset
    }

    private static func ended(_ offset: Offset, _ epoch: LeaderEpoch) -> TimestampedOffset {
        TimestampedOffset(offset: offset, timestamp: .none, leaderEpoch: epoch)
    }

    private static func began(_ offset: Offset, _ log: any PartitionLog) -> TimestampedOffset {
        TimestampedOffset(offset: offset, timestamp: .none, leaderEpoch: log.leaderEpoch(at: offset) ?? .none)
    }
}
