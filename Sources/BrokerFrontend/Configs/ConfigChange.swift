//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata
internal import KafkaProtocol
internal import LogModel
internal import RuntimeEnvironment

/// A change of one setting. Raw values are Kafka's (KIP-339).
enum ConfigOperation: Int8, Sendable {
    case set = 0
    case delete = 1
    case append = 2
    case subtract = 3
}

/// A change of the settings of a topic, a broker, or all brokers.
enum ConfigChange: Sendable {
    case incremental([(name: String, operation: ConfigOperation, value: String?)])
    /// AlterConfigs: what is not named goes back to its default.
    case replacement([String: String])

    /// The settings after the change.
    func applied(
        to configs: [String: String], definition: (String) -> ConfigDefinition?
    ) throws(ConfigProblem) -> [String: String] {
        switch self {
        case .replacement(let replacement): return replacement
        case .incremental(let changes):
            var configs = configs
            for change in changes {
                guard change.operation != .delete else {
                    configs[change.name] = nil
                    continue
                }
                guard let value = change.value else { throw ConfigProblem("\(change.name) has no value") }
                guard change.operation != .set else {
                    configs[change.name] = value
                    continue
                }
                guard let known = definition(change.name), known.kind == .list else {
                    throw ConfigProblem("\(change.name) is not a list: it can be set and deleted, not added to or taken from")
                }
                var items = ConfigDefinition.items(of: configs[change.name] ?? known.defaultValue ?? "")
                let named = ConfigDefinition.items(of: value)
                if change.operation == .append {
                    items += named.filter { !items.contains($0) }
                } else {
                    items.removeAll(where: named.contains)
                }
                configs[change.name] = items.joined(separator: ",")
            }
            return configs
        }
    }
}

extension Frontend {
    /// Carries out a change, or only checks it.
    ///
    /// - Returns: What is wrong; nil if it is done, and seen in this broker's own image.
    func change(_ resource: ConfigResource, _ change: ConfigChange, validateOnly: Bool) async -> (code: ErrorCode, message: String)?
    {
        let image = metadata.current
        do {
            let revision: Int64
            switch resource {
            case .topic(let name):
                guard let topic = image.topic(named: name) else { return (.unknownTopicOrPartition, "there is no topic '\(name)'") }
                let checked: @Sendable ([String: String]) throws(ConfigProblem) -> [String: String] = {
                    configs throws(ConfigProblem) in
                    let changed = try change.applied(to: configs, definition: TopicConfigs.definition)
                    try TopicConfigs.check(changed)
                    try Self.checkMode(of: topic, changed)
                    return changed
                }
                _ = try checked(topic.configs)
                revision = try await operations.alterTopicConfigs(name, validateOnly: validateOnly) {
                    (configs) throws(MetadataOperationError) in configs = try Self.again(checked, configs)
                }.revision
            case .broker, .allBrokers:
                let broker: BrokerID? = if case .broker(let id) = resource { id } else { nil }
                let checked: @Sendable ([String: String]) throws(ConfigProblem) -> [String: String] = {
                    configs throws(ConfigProblem) in
                    let changed = try change.applied(to: configs, definition: BrokerConfigs.definition)
                    try BrokerConfigs.check(changed)
                    return changed
                }
                _ = try checked(image.brokerConfigs[broker] ?? [:])
                revision = try await operations.alterBrokerConfigs(broker, validateOnly: validateOnly) {
                    (configs) throws(MetadataOperationError) in configs = try Self.again(checked, configs)
                }.revision
            case .brokerLogger: return (.invalidRequest, "log levels are set in the broker's environment")
            case .refused(let code, let message): return (code, message)
            }
            if revision > 0 { _ = await metadata.wait(for: revision, timeout: Self.imageTimeout) }
            return nil
        } catch let problem as ConfigProblem {
            return (.invalidConfig, problem.description)
        } catch let error as MetadataOperationError {
            return (ErrorCode(error), error.message)
        } catch {
            return (.unknownServerError, "\(error)")
        }
    }

    /// The store may know newer settings than the image did.
    private static func again(
        _ checked: ([String: String]) throws(ConfigProblem) -> [String: String], _ configs: [String: String]
    ) throws(MetadataOperationError) -> [String: String] {
        do throws(ConfigProblem) { return try checked(configs) } catch {
            throw MetadataOperationError(.invalidRequest, error.description)
        }
    }

    private static func checkMode(of topic: TopicRecord, _ configs: [String: String]) throws(ConfigProblem) {
        if let mode = configs[TopicConfigs.storageMode], mode != topic.storageMode {
            throw ConfigProblem(
                name: TopicConfigs.storageMode, value: mode,
                allowed: "\(topic.storageMode): the mode is fixed at creation (make another topic and copy)")
        }
        if let remote = configs[TopicConfigs.remoteStorageEnable],
            (remote.lowercased() == "true") != (topic.storageMode == "tiered")
        {
            throw ConfigProblem(
                name: TopicConfigs.remoteStorageEnable, value: remote,
                allowed: "\(topic.storageMode == "tiered"): the storage mode (\(topic.storageMode)) is fixed at creation")
        }
    }
}
