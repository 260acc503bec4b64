//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import KafkaProtocol
import LogModel
import RuntimeEnvironment
import SimulationKit

/// Makes, moves and deletes. Touched on the loop's thread only.
final class SimulatedAdministrator: @unchecked Sendable {
    let client: SimulatedClient

    init(client: SimulatedClient) { self.client = client }

    func create(_ topic: String, partitions: Int32, configs: [String: String]) async throws -> TopicID {
        let world = client.world
        let replicas: Int16 = world.mode == .shared ? 1 : 3
        let deadline = world.clock.now() + .seconds(60)
        while world.clock.now() < deadline {
            let request = CreateTopicsRequest(
                topics: [
                    .init(
                        name: topic, numPartitions: partitions, replicationFactor: replicas,
                        configs: configs.sorted { $0.key < $1.key }.map { .init(name: $0.key, value: $0.value) })
                ], timeoutMs: 2_000)
            if let result = try? await client.ask(request, version: 7, of: client.anyBroker).topics.first {
                if result.errorCode == .none { return result.topicId }
                world.event("\(client.name): create \(topic): \(result.errorCode.name) \(result.errorMessage ?? "")")
                if result.errorCode == .topicAlreadyExists {
                    let metadata = try? await client.ask(
                        MetadataRequest(topics: [.init(name: topic)]), version: 10, of: client.anyBroker)
                    if let id = metadata?.topics.first?.topicId, id != .zero { return id }
                }
            }
            await client.pause()
        }
        throw Violation(.recovers, "topic \(topic) could not be made within a minute")
    }

    func move(_ topic: String, _ partition: Int32, to replicas: [Int32]) async {
        let request = AlterPartitionReassignmentsRequest(
            timeoutMs: 2_000, topics: [.init(name: topic, partitions: [.init(partitionIndex: partition, replicas: replicas)])])
        let answer = try? await client.ask(request, version: 0, of: client.anyBroker)
        let code = answer?.responses.first?.partitions.first?.errorCode ?? answer?.errorCode
        client.world.event("\(client.name): move \(topic)-\(partition) to \(replicas): \(code?.name ?? "no answer")")
    }

    /// - Returns: Whether it is gone.
    func delete(_ topic: String) async -> Bool {
        let answer = try? await client.ask(
            DeleteTopicsRequest(topics: [.init(name: topic)], timeoutMs: 2_000), version: 6, of: client.anyBroker)
        let code = answer?.responses.first?.errorCode
        client.world.event("\(client.name): delete \(topic): \(code?.name ?? "no answer")")
        return code == ErrorCode.none || code == .unknownTopicOrPartition
    }
}
