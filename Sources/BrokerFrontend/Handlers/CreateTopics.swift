//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import KafkaProtocol
internal import LogModel
internal import RuntimeEnvironment

/// CreateTopics (19). Answered when this broker's own image has the topics.
enum CreateTopicsHandler: Handler {
    static let versions: ClosedRange<Int16> = 2...7

    static func handle(_ request: CreateTopicsRequest, _ context: RequestContext) -> Handling<CreateTopicsResponse> {
        let names = Dictionary(request.topics.map { ($0.name, 1) }, uniquingKeysWith: +)
        return .later {
            var response = CreateTopicsResponse()
            var revision: Int64 = 0
            for (name, count) in names.sorted(by: { $0.key < $1.key }) {
                guard count == 1, let asked = request.topics.first(where: { $0.name == name }) else {
                    response.topics.append(failed(name, .invalidRequest, "the request names the topic \(count) times"))
                    continue
                }
                let (result, at) = await create(asked, request, context)
                revision = max(revision, at)
                response.topics.append(result)
            }
            if revision > 0 {
                let patience = Duration.milliseconds(max(request.timeoutMs, 0))
                _ = await context.frontend.metadata.wait(for: revision, timeout: min(patience, Frontend.imageTimeout))
            }
            return response
        }
    }

    private static func create(
        _ asked: CreateTopicsRequest.CreatableTopic, _ request: CreateTopicsRequest, _ context: RequestContext
    ) async -> (CreateTopicsResponse.CreatableTopicResult, revision: Int64) {
        let configuration = context.frontend.configuration
        var configs: [String: String] = [:]
        let mode: String
        do throws(ConfigProblem) {
            for config in asked.configs {
                guard let value = config.value else { throw ConfigProblem("\(config.name) has no value") }
                configs[config.name] = value
            }
            try TopicConfigs.check(configs)
            mode = try TopicConfigs.mode(configs, brokerDefault: configuration.storageMode)
        } catch {
            return (failed(asked.name, .invalidConfig, error.description), 0)
        }
        let layout: NewTopic.Layout
        if asked.assignments.isEmpty {
            guard context.version >= 4 || (asked.numPartitions != -1 && asked.replicationFactor != -1) else {
                return (failed(asked.name, .invalidRequest, "defaults are asked for with -1 since version 4"), 0)
            }
            layout = .automatic(
                partitionCount: asked.numPartitions == -1 ? configuration.partitionCount : asked.numPartitions,
                replicationFactor: asked.replicationFactor == -1 ? configuration.replicationFactor : asked.replicationFactor)
        } else {
            guard asked.numPartitions == -1, asked.replicationFactor == -1 else {
                return (failed(asked.name, .invalidRequest, "partitions and replication factor are -1 where brokers are named"), 0)
            }
            var assignments: [Int32: [BrokerID]] = [:]
            for assignment in asked.assignments {
                guard assignments.updateValue(assignment.brokerIds.map(BrokerID.init(_:)), forKey: assignment.partitionIndex) == nil
                else {
                    return (
                        failed(asked.name, .invalidReplicaAssignment, "partition \(assignment.partitionIndex) is named twice"), 0
                    )
                }
            }
            layout = .manual(assignments)
        }
        let topic = NewTopic(
            name: asked.name, layout: layout, storageMode: mode, configs: configs, isInternal: asked.name == GroupCoordinator.topic)
        do throws(MetadataOperationError) {
            let created: (topic: TopicRecord, partitions: [PartitionRecord], revision: Int64)
            do throws(MetadataOperationError) {
                created = try await context.frontend.operations.createTopic(topic, validateOnly: request.validateOnly)
            } catch {
                // A topic of that name may be on its way out.
                guard error.code == .topicExists, context.frontend.metadata.current.topic(named: topic.name) == nil,
                    await context.frontend.metadata.waitUntil(
                        timeout: .milliseconds(max(request.timeoutMs, 0)), { $0.storedTopic(named: topic.name) == nil }) != nil
                else { throw error }
                created = try await context.frontend.operations.createTopic(topic, validateOnly: request.validateOnly)
            }
            return (succeeded(created.topic, request, context), created.revision)
        } catch {
            return (failed(asked.name, ErrorCode(error), error.message), 0)
        }
    }

    private static func succeeded(
        _ topic: TopicRecord, _ request: CreateTopicsRequest, _ context: RequestContext
    ) -> CreateTopicsResponse.CreatableTopicResult {
        var result = CreateTopicsResponse.CreatableTopicResult(name: topic.name, errorMessage: nil)
        if context.version >= 7 { result.topicId = request.validateOnly ? .zero : topic.id }
        guard context.version >= 5 else { return result }
        result.numPartitions = topic.partitionCount
        result.replicationFactor = topic.requestedReplicationFactor
        let sources = ConfigSources(
            topic: topic, of: context.frontend.brokerID, in: context.frontend.metadata.current,
            file: context.frontend.configuration.file)
        result.configs = TopicConfigs.definitions.map { definition in
            let entry = TopicConfigs.entries(definition, of: topic, sources)[0]
            return CreateTopicsResponse.CreatableTopicConfigs(
                name: definition.name, value: entry.value, configSource: entry.source.rawValue, isSensitive: definition.isSensitive)
        }
        return result
    }

    private static func failed(_ name: String, _ code: ErrorCode, _ message: String) -> CreateTopicsResponse.CreatableTopicResult {
        CreateTopicsResponse.CreatableTopicResult(name: name, errorCode: code, errorMessage: message)
    }
}
