//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ClusterMetadata

extension TopicConfigs {
    /// Every layer's value of a topic's setting, the one that counts first.
    ///
    /// The storage mode is the topic's own, wherever it came from at its creation: it does not change with the broker's default.
    static func entries(_ definition: ConfigDefinition, of topic: TopicRecord, _ sources: ConfigSources) -> [ConfigSources.Entry] {
        let entries = sources.entries(definition, isTopicConfig: true)
        switch definition.name {
        case storageMode:
            if entries.first?.source == .topic { return entries }
            return [ConfigSources.Entry(name: storageMode, value: topic.storageMode, source: .topic)] + entries
        case remoteStorageEnable:
            if entries.first?.source == .topic { return entries }
            guard topic.storageMode == "tiered" else { return entries }
            return [ConfigSources.Entry(name: remoteStorageEnable, value: "true", source: .topic)] + entries
        default: return entries
        }
    }

    /// Settings that stay as they were made.
    static func isReadOnly(_ name: String) -> Bool { name == storageMode || name == remoteStorageEnable }
}
