//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import KafkaProtocol
internal import LogModel

/// DescribeConfigs (32): every setting of a topic or of a broker, where it comes from, and what else would give it.
enum DescribeConfigsHandler: Handler {
    static let versions: ClosedRange<Int16> = 1...4

    private typealias Result = DescribeConfigsResponse.DescribeConfigsResult

    static func handle(_ request: DescribeConfigsRequest, _ context: RequestContext) -> Handling<DescribeConfigsResponse> {
        .respond(DescribeConfigsResponse(results: request.resources.map { describe($0, request, context) }))
    }

    private static func describe(
        _ resource: DescribeConfigsRequest.DescribeConfigsResource, _ request: DescribeConfigsRequest, _ context: RequestContext
    ) -> Result {
        var result = Result(errorMessage: nil, resourceType: resource.resourceType, resourceName: resource.resourceName)
        func refuse(_ code: ErrorCode, _ message: String) -> Result {
            result.errorCode = code
            result.errorMessage = message
            return result
        }
        func isWanted(_ definition: ConfigDefinition) -> Bool {
            guard let keys = resource.configurationKeys, !keys.isEmpty else { return true }
            return keys.contains(definition.name)
        }
        let image = context.frontend.metadata.current
        let file = context.frontend.configuration.file
        switch ConfigResource(type: resource.resourceType, name: resource.resourceName) {
        case .topic(let name):
            if let fault = TopicName.fault(in: name) { return refuse(.invalidTopicException, fault) }
            guard let topic = image.topic(named: name) else {
                return refuse(.unknownTopicOrPartition, "there is no topic '\(name)'")
            }
            let sources = ConfigSources(topic: topic, of: context.frontend.brokerID, in: image, file: file)
            result.configs = TopicConfigs.definitions.filter(isWanted).map {
                entry(
                    $0, TopicConfigs.entries($0, of: topic, sources), isReadOnly: TopicConfigs.isReadOnly($0.name), request, context
                )
            }
        case .broker(let broker):
            // Another broker's file is its own: of it only what was set while running is known here.
            let isHere = broker == context.frontend.brokerID
            let sources = ConfigSources(of: broker, in: image, file: isHere ? file : [:])
            func isKnown(_ definition: ConfigDefinition) -> Bool {
                isHere || sources.broker[definition.name] != nil || sources.cluster[definition.name] != nil
            }
            result.configs = BrokerConfigs.definitions.filter { isWanted($0) && isKnown($0) }.map {
                entry(
                    $0, sources.entries($0, isTopicConfig: false), isReadOnly: BrokerConfigs.isReadOnly($0.name), request, context)
            }
        case .allBrokers:
            // Only what was set for all of them, for the rest each broker has its own.
            let sources = ConfigSources(cluster: image.brokerConfigs[nil] ?? [:])
            result.configs = BrokerConfigs.definitions.filter { isWanted($0) && sources.cluster[$0.name] != nil }.map {
                entry(
                    $0, sources.entries($0, isTopicConfig: false), isReadOnly: BrokerConfigs.isReadOnly($0.name), request, context)
            }
        case .brokerLogger: break
        case .refused(let code, let message): return refuse(code, message)
        }
        return result
    }

    private static func entry(
        _ definition: ConfigDefinition, _ entries: [ConfigSources.Entry], isReadOnly: Bool, _ request: DescribeConfigsRequest,
        _ context: RequestContext
    ) -> DescribeConfigsResponse.DescribeConfigsResourceResult {
        var result = DescribeConfigsResponse.DescribeConfigsResourceResult(
            name: definition.name, value: definition.isSensitive ? nil : entries[0].value, readOnly: isReadOnly,
            configSource: entries[0].source.rawValue, isSensitive: definition.isSensitive)
        if request.includeSynonyms {
            result.synonyms = entries.filter { $0.value != nil }.map {
                DescribeConfigsResponse.DescribeConfigsSynonym(
                    name: $0.name, value: definition.isSensitive ? nil : $0.value, source: $0.source.rawValue)
            }
        }
        if context.version >= 3 {
            result.configType = definition.kind.rawValue
            result.documentation = request.includeDocumentation ? definition.documentation : nil
        }
        return result
    }
}
