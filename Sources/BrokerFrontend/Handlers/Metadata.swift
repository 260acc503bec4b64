//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import KafkaProtocol
internal import LogModel

/// Metadata (3): brokers, topics, leaders. Asking for a topic that is not there makes it, if broker and client allow.
enum MetadataHandler: Handler {
    static let versions: ClosedRange<Int16> = 0...12

    static func handle(_ request: MetadataRequest, _ context: RequestContext) -> Handling<MetadataResponse> {
        let image = context.frontend.metadata.current
        // In version 0 an empty list asks for all.
        guard let asked = request.topics, !(context.version == 0 && asked.isEmpty) else {
            let topics = image.topics.sorted { $0.name < $1.name }.map { describe($0, request, image, context) }
            return .respond(response(topics, request, image, context))
        }
        let missing = asked.compactMap { topic in
            topic.topicId == .zero ? topic.name.flatMap { image.topic(named: $0) == nil ? $0 : nil } : nil
        }
        let creates = request.allowAutoTopicCreation && context.frontend.configuration.createsTopics
        guard creates, missing.contains(where: { TopicName.fault(in: $0) == nil }) else {
            return .respond(response(asked.map { answer($0, [:], request, image, context) }, request, image, context))
        }
        return .later {
            var failures: [String: ErrorCode] = [:]
            for name in missing where TopicName.fault(in: name) == nil {
                do throws(MetadataOperationError) {
                    // Nil: it is on its way. The client asks again.
                    if try await context.frontend.createTopicAutomatically(name) == nil { failures[name] = .leaderNotAvailable }
                } catch {
                    failures[name] = ErrorCode(error)
                }
            }
            let image = context.frontend.metadata.current
            return response(asked.map { answer($0, failures, request, image, context) }, request, image, context)
        }
    }

    private static func response(
        _ topics: [MetadataResponse.MetadataResponseTopic], _ request: MetadataRequest, _ image: MetadataImage,
        _ context: RequestContext
    ) -> MetadataResponse {
        var response = MetadataResponse()
        response.brokers = image.brokers.values.map(\.record).sorted { $0.id < $1.id }.map {
            MetadataResponse.MetadataResponseBroker(nodeId: $0.id.rawValue, host: $0.host, port: Int32($0.port), rack: $0.rack)
        }
        response.clusterId = image.cluster?.clusterID
        response.controllerId = context.frontend.controller(image)?.rawValue ?? -1
        response.topics = topics
        if request.includeClusterAuthorizedOperations, (8...10).contains(context.version) {
            response.clusterAuthorizedOperations = AuthorizedOperations.cluster
        }
        return response
    }

    private static func answer(
        _ asked: MetadataRequest.MetadataRequestTopic, _ failures: [String: ErrorCode], _ request: MetadataRequest,
        _ image: MetadataImage, _ context: RequestContext
    ) -> MetadataResponse.MetadataResponseTopic {
        if asked.topicId != .zero {
            if let topic = image.topic(asked.topicId) { return describe(topic, request, image, context) }
            return MetadataResponse.MetadataResponseTopic(
                errorCode: .unknownTopicId, name: context.version >= 12 ? nil : "", topicId: asked.topicId)
        }
        let name = asked.name ?? ""
        if let topic = image.topic(named: name) { return describe(topic, request, image, context) }
        let code = TopicName.fault(in: name) == nil ? failures[name] ?? .unknownTopicOrPartition : .invalidTopicException
        return MetadataResponse.MetadataResponseTopic(errorCode: code, name: name)
    }

    private static func describe(
        _ topic: TopicRecord, _ request: MetadataRequest, _ image: MetadataImage, _ context: RequestContext
    ) -> MetadataResponse.MetadataResponseTopic {
        var answer = MetadataResponse.MetadataResponseTopic(name: topic.name, topicId: topic.id, isInternal: topic.isInternal)
        answer.partitions = image.partitions(of: topic.id).map { record in
            let leader = record.leader.flatMap { image.isLive($0) ? $0 : nil }
            return MetadataResponse.MetadataResponsePartition(
                errorCode: leader == nil ? .leaderNotAvailable : .none, partitionIndex: record.partition,
                leaderId: leader?.rawValue ?? -1, leaderEpoch: record.leaderEpoch.rawValue,
                replicaNodes: record.replicas.map(\.rawValue), isrNodes: record.inSyncReplicas.map(\.rawValue),
                offlineReplicas: record.replicas.filter { !image.isLive($0) || record.isOffline($0) }.map(\.rawValue))
        }
        if request.includeTopicAuthorizedOperations, context.version >= 8 {
            answer.topicAuthorizedOperations = AuthorizedOperations.topic
        }
        return answer
    }
}
