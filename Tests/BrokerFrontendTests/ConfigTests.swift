//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import BrokerFrontend
import ClusterMetadata
import KafkaProtocol
import LogEngine
import LogModel
import Testing

@Suite struct ConfigTests {
    private typealias Entry = DescribeConfigsResponse.DescribeConfigsResourceResult

    private func describe(
        _ broker: TestBroker, type: Int8 = 2, _ name: String, keys: [String]? = nil, version: Int16 = 4
    ) async throws -> [String: Entry] {
        let result = try await broker.ask(
            DescribeConfigsRequest(
                resources: [
                    DescribeConfigsRequest.DescribeConfigsResource(resourceType: type, resourceName: name, configurationKeys: keys)
                ], includeSynonyms: true, includeDocumentation: version >= 3), version: version
        ).results[0]
        #expect(result.errorCode == .none, "\(result.errorMessage ?? "")")
        return Dictionary(uniqueKeysWithValues: result.configs.map { ($0.name, $0) })
    }

    private func alter(
        _ broker: TestBroker, type: Int8 = 2, _ name: String, _ changes: [(String, Int8, String?)], validateOnly: Bool = false
    ) async throws -> (code: ErrorCode, message: String?) {
        let answer = try await broker.ask(
            IncrementalAlterConfigsRequest(
                resources: [
                    IncrementalAlterConfigsRequest.AlterConfigsResource(
                        resourceType: type, resourceName: name,
                        configs: changes.map {
                            IncrementalAlterConfigsRequest.AlterableConfig(name: $0.0, configOperation: $0.1, value: $0.2)
                        })
                ], validateOnly: validateOnly), version: 1
        ).responses[0]
        return (answer.errorCode, answer.errorMessage)
    }

    @Test(arguments: Int16(1)...4) func everySettingOfATopicIsToldWithItsSource(_ version: Int16) async throws {
        let broker = try await TestCluster().broker(settings: ["log.retention.hours": "2"])
        try await broker.createTopic("t", configs: ["segment.bytes": "1000000"])
        let configs = try await describe(broker, "t", version: version)
        #expect(configs.count == TopicConfigs.definitions.count)
        #expect(configs["segment.bytes"]?.value == "1000000")
        #expect(configs["segment.bytes"]?.configSource == 1)
        #expect(configs["segment.bytes"]?.synonyms.map(\.source) == [1, 5])
        #expect(configs["retention.ms"]?.value == "7200000")
        #expect(configs["retention.ms"]?.configSource == 4)
        #expect(configs["cleanup.policy"]?.configSource == 5)
        #expect(configs["storage.mode"]?.value == "memory")
        #expect(configs["storage.mode"]?.readOnly == true)
        if version >= 3 {
            #expect(configs["retention.ms"]?.configType == 5)
            #expect(configs["retention.ms"]?.documentation?.isEmpty == false)
        }
    }

    @Test func brokersTellTheirSettingsAndTheirRelease() async throws {
        let broker = try await TestCluster().broker(3)
        let configs = try await describe(broker, type: 4, "3")
        #expect(configs["inter.broker.protocol.version"]?.value == "3.7")
        #expect(configs["num.partitions"]?.value == "2")
        #expect(configs["num.partitions"]?.configSource == 4)
        #expect(configs["log.retention.ms"]?.readOnly == false)
        #expect(configs["num.partitions"]?.readOnly == true)
        #expect(try await describe(broker, type: 4, "").isEmpty)
        #expect(try await describe(broker, type: 4, "3", keys: ["num.partitions"]).count == 1)
    }

    @Test func unknownResourcesAreRefused() async throws {
        let broker = try await TestCluster().broker()
        for (type, name, code) in [
            (Int8(2), "none", ErrorCode.unknownTopicOrPartition), (4, "seven", .invalidRequest), (4, "-1", .invalidRequest),
            (99, "x", .invalidRequest),
            (2, "a b", .invalidTopicException),
        ] {
            let answer = try await broker.ask(
                DescribeConfigsRequest(resources: [
                    DescribeConfigsRequest.DescribeConfigsResource(resourceType: type, resourceName: name, configurationKeys: nil)
                ]), version: 4)
            #expect(answer.results[0].errorCode == code)
        }
    }

    @Test func settingsAreSetDeletedAddedToAndTakenFrom() async throws {
        let broker = try await TestCluster().broker()
        try await broker.createTopic("t")
        let list = "follower.replication.throttled.replicas"
        func configs() -> [String: String]? { broker.metadata.current.topic(named: "t")?.configs }
        #expect(try await alter(broker, "t", [("retention.ms", 0, "5000"), (list, 2, "0:1,0:2")]).code == .none)
        #expect(configs() == ["retention.ms": "5000", list: "0:1,0:2"])
        #expect(try await alter(broker, "t", [(list, 2, "0:2,1:1")]).code == .none)
        #expect(configs()?[list] == "0:1,0:2,1:1")
        #expect(try await alter(broker, "t", [(list, 3, "0:1"), ("retention.ms", 1, nil)]).code == .none)
        #expect(configs() == [list: "0:2,1:1"])
        // The policy's default is a list too: adding what is there changes nothing.
        #expect(try await alter(broker, "t", [("cleanup.policy", 2, "delete")]).code == .none)
        #expect(configs()?["cleanup.policy"] == "delete")
    }

    @Test func badChangesAreRefusedAndChangeNothing() async throws {
        let broker = try await TestCluster().broker()
        try await broker.createTopic("t")
        let cases: [([(String, Int8, String?)], ErrorCode)] = [
            ([("no.such", 0, "1")], .invalidConfig), ([("retention.ms", 0, "x")], .invalidConfig),
            ([("retention.ms", 0, nil)], .invalidConfig), ([("retention.ms", 2, "1")], .invalidConfig),
            ([("storage.mode", 0, "shared")], .invalidConfig), ([("remote.storage.enable", 0, "true")], .invalidConfig),
            ([("cleanup.policy", 2, "compact")], .invalidConfig), ([("compression.type", 0, "gzip")], .invalidConfig),
            ([("retention.ms", 9, "1")], .invalidRequest), ([("retention.ms", 0, "1"), ("retention.ms", 0, "2")], .invalidRequest),
            ([("min.insync.replicas", 0, "0")], .invalidConfig), ([("preallocate", 0, "maybe")], .invalidConfig),
            ([("min.cleanable.dirty.ratio", 0, "1.5")], .invalidConfig),
        ]
        for (changes, code) in cases {
            let answer = try await alter(broker, "t", changes)
            #expect(answer.code == code, "\(changes): \(answer.message ?? "")")
            #expect(answer.message?.isEmpty == false)
        }
        #expect(broker.metadata.current.topic(named: "t")?.configs == [:])
        #expect(try await alter(broker, "none", [("retention.ms", 0, "1")]).code == .unknownTopicOrPartition)
        #expect(try await alter(broker, "t", [("retention.ms", 0, "1")], validateOnly: true).code == .none)
        #expect(broker.metadata.current.topic(named: "t")?.configs == [:])
    }

    @Test func oldToolsReplaceAllSettings() async throws {
        let broker = try await TestCluster().broker()
        try await broker.createTopic("t", configs: ["retention.ms": "1", "segment.bytes": "1000"])
        let answer = try await broker.ask(
            AlterConfigsRequest(resources: [
                AlterConfigsRequest.AlterConfigsResource(
                    resourceType: 2, resourceName: "t",
                    configs: [AlterConfigsRequest.AlterableConfig(name: "retention.bytes", value: "9")])
            ]), version: 2)
        #expect(answer.responses[0].errorCode == .none)
        #expect(broker.metadata.current.topic(named: "t")?.configs == ["retention.bytes": "9"])
    }

    @Test func brokerSettingsAreChangedForOneOrForAll() async throws {
        let broker = try await TestCluster().broker()
        try await broker.createTopic("t")
        #expect(try await alter(broker, type: 4, "", [("log.retention.ms", 0, "111")]).code == .none)
        var retention = try await describe(broker, "t")["retention.ms"]
        #expect(retention?.value == "111")
        #expect(retention?.configSource == 3)
        #expect(try await alter(broker, type: 4, "0", [("log.retention.ms", 0, "222")]).code == .none)
        retention = try await describe(broker, "t")["retention.ms"]
        #expect(retention?.value == "222")
        #expect(retention?.configSource == 2)
        #expect(retention?.synonyms.map(\.value) == ["222", "111", "604800000"])
        let fixed = try await alter(broker, type: 4, "0", [("num.partitions", 0, "9")])
        #expect(fixed.code == .invalidConfig)
        #expect(fixed.message?.contains("restart") == true)
    }

    @Test func anotherBrokersSettingsAreChangedAndToldHere() async throws {
        let broker = try await TestCluster().broker()
        #expect(try await describe(broker, type: 4, "7").isEmpty)
        #expect(try await alter(broker, type: 4, "7", [("log.retention.ms", 0, "222")]).code == .none)
        #expect(broker.metadata.current.brokerConfigs == [BrokerID(7): ["log.retention.ms": "222"]])
        let told = try await describe(broker, type: 4, "7")
        #expect(told.mapValues(\.value) == ["log.retention.ms": "222"])
        #expect(told["log.retention.ms"]?.configSource == 2)
        #expect(try await describe(broker, type: 4, "0")["log.retention.ms"]?.configSource != 2)
        let replaced = try await broker.ask(
            AlterConfigsRequest(resources: [.init(resourceType: 4, resourceName: "7", configs: [])]), version: 2)
        #expect(replaced.responses[0].errorCode == .none)
        #expect(try await describe(broker, type: 4, "7").isEmpty)
    }

    @Test func aLogGetsWhatTopicAndBrokerSay() throws {
        let topic = TopicRecord(
            name: "t", id: .zero, storageMode: "isr", partitionCount: 1, requestedReplicationFactor: 1,
            configs: ["retention.ms": "-1", "max.message.bytes": "5000", "message.timestamp.type": "LogAppendTime"])
        let log = try TopicConfigs.logConfiguration(
            topic: topic, brokerDefaults: ["log.segment.bytes": "2000000", "log.roll.hours": "1", "min.insync.replicas": "2"])
        #expect(log.retentionTime == nil)
        #expect(log.maxMessageBytes == 5000)
        #expect(log.stampsLogAppendTime)
        #expect(log.segmentBytes == 2_000_000)
        #expect(log.segmentAge == .seconds(3600))
        #expect(log.minInSyncReplicas == 2)
        var defaults = topic
        defaults.configs = [:]
        #expect(try TopicConfigs.logConfiguration(topic: defaults, brokerDefaults: [:]) == LogConfiguration())
        #expect(throws: ConfigProblem.self) {
            try TopicConfigs.logConfiguration(topic: defaults, brokerDefaults: ["log.segment.bytes": "many"])
        }
    }

    @Test func theFrontendsOwnSettingsAreChecked() throws {
        let configuration = try FrontendConfiguration(file: ["num.partitions": "7", "node.id": "1"])
        #expect(configuration.partitionCount == 7)
        #expect(configuration.offsetsTopicReplicationFactor == 3)
        #expect(configuration.groupLimits.initialRebalanceDelay == .seconds(3))
        let problem = #expect(throws: ConfigProblem.self) { try FrontendConfiguration(file: ["num.partitions": "no"]) }
        #expect(problem?.description.contains("num.partitions=no") == true)
        #expect(throws: ConfigProblem.self) { try FrontendConfiguration(file: ["group.min.session.timeout.ms": "9999999"]) }
    }

    @Test func everyDefaultIsAllowed() throws {
        for definition in TopicConfigs.definitions + BrokerConfigs.definitions {
            if let value = definition.defaultValue { try definition.check(value) }
            #expect(!definition.documentation.isEmpty)
        }
        #expect(TopicConfigs.definitions.map(\.name) == TopicConfigs.definitions.map(\.name).sorted())
    }
}
