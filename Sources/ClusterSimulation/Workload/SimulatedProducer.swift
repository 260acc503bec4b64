//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import KafkaProtocol
import LogModel
import NIOCore
import RuntimeEnvironment
import SimulationKit

/// Sends numbered records with acks=all, each batch again and again until it is acknowledged, as an idempotent producer does: with
/// one request under way, and the same sequence numbers at each try. Touched on the loop's thread only.
final class SimulatedProducer: @unchecked Sendable {
    let client: SimulatedClient
    let topic: String
    let partition: Int32
    let history: PartitionHistory
    private let batchCount: Int
    private(set) var isDone = false
    /// The topic may be deleted under it.
    var mayLoseTopic = false

    init(client: SimulatedClient, topic: String, partition: Int32, history: PartitionHistory, batchCount: Int) {
        self.client = client
        self.topic = topic
        self.partition = partition
        self.history = history
        self.batchCount = batchCount
    }

    func run() async throws {
        guard let id = await producerID() else { return }
        var sequence: Int32 = 0
        var number = 0
        for _ in 0..<batchCount {
            let count = 1 + Int(client.randomness.next(below: 4))
            let padding = String(repeating: "x", count: Int(client.randomness.next(below: 700)))
            let values = (0..<count).map { "\(client.name) \(number + $0) \(padding)" }
            number += count
            guard try await deliver(values, id: id, sequence: sequence) else { return }
            sequence += Int32(count)
            try? await client.world.clock.sleep(for: .milliseconds(Int64(client.randomness.next(below: 400))))
        }
        isDone = true
    }

    private func producerID() async -> Int64? {
        while !client.world.isOver {
            if let answer = try? await client.ask(
                InitProducerIdRequest(transactionalId: nil, transactionTimeoutMs: 60_000), version: 4, of: client.anyBroker),
                answer.errorCode == .none
            {
                return answer.producerId
            }
            await client.pause()
        }
        return nil
    }

    /// - Returns: False where the workload ended before.
    private func deliver(_ values: [String], id: Int64, sequence: Int32) async throws -> Bool {
        let timestamp = client.world.clock.wallMilliseconds()
        let batch = RecordBatchBuilder.batch(
            of: values.map { Record(timestamp: Timestamp(timestamp), key: nil, value: ByteBuffer(string: $0)) }, producerID: id,
            producerEpoch: 0, baseSequence: sequence)
        while !client.world.isOver {
            do {
                let leader = try await client.leader(of: topic, partition)
                history.sending(values)
                let answer = try await client.ask(
                    ProduceRequest(
                        acks: -1, timeoutMs: 2_000,
                        topicData: [.init(name: topic, partitionData: [.init(index: partition, records: LogSlices(batch))])]),
                    version: 9, of: leader)
                guard let told = answer.responses.first?.partitionResponses.first else {
                    throw SimulatedClient.Failure(description: "an answer without the partition")
                }
                switch told.errorCode {
                case .none, .duplicateSequenceNumber:
                    let offset = told.errorCode == .none ? told.baseOffset : -1
                    try history.acknowledged(values, at: offset, by: leader)
                    client.world.event("\(client.name): \(values.count) from \(sequence) at \(offset) by \(leader)")
                    return true
                case .outOfOrderSequenceNumber, .unknownProducerId, .invalidProducerEpoch:
                    throw Violation(
                        .acknowledgedSurvives,
                        "\(history.name): broker \(leader) answers \(told.errorCode.name) to sequence \(sequence) of \(client.name), which follows what was acknowledged"
                    )
                case .corruptMessage, .messageTooLarge, .invalidRecord, .unsupportedForMessageFormat:
                    throw Violation(.honest, "\(history.name): broker \(leader) answers \(told.errorCode.name) to a good batch")
                default:
                    client.world.event("\(client.name): \(told.errorCode.name) from \(leader)")
                    client.forgetLeader(of: topic, partition)
                }
            } catch let violation as Violation {
                throw violation
            } catch {
                client.forgetLeader(of: topic, partition)
            }
            await client.pause()
        }
        return false
    }
}
