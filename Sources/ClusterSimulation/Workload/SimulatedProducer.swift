//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import KafkaProtocol
import LogModel
import NIOCore
import RuntimeEnvironment
import SimulationKit

/// Sends numbered records with acks=all, each batch again and again until it is acknowledged, as an idempotent producer does: with up
/// to `depth` requests under way on one connection, and the same sequence numbers at each try. Touched on the loop's thread only.
final class SimulatedProducer: @unchecked Sendable {
    private struct Batch {
        var values: [String]
        var sequence: Int32
    }

    private enum Answer {
        case acknowledged
        case retry
        case outOfOrder(ErrorCode, Int32)
    }

    let client: SimulatedClient
    let topic: String
    let partition: Int32
    let history: PartitionHistory
    private let batchCount: Int
    private let depth: Int
    private(set) var isDone = false

    /// - Parameter depth: Requests under way at once, up to 5: a broker remembers no more batches of a producer.
    init(
        client: SimulatedClient, topic: String, partition: Int32, history: PartitionHistory, batchCount: Int, depth: Int = 1
    ) {
        self.client = client
        self.topic = topic
        self.partition = partition
        self.history = history
        self.batchCount = batchCount
        self.depth = depth
    }

    func run() async throws {
        guard var id = await producerID() else { return }
        var losses = history.losses
        var sequence: Int32 = 0
        var number = 0
        var made = 0
        /// Not acknowledged yet, in order.
        var window: [Batch] = []
        while made < batchCount || !window.isEmpty {
            while window.count < depth, made < batchCount {
                let count = 1 + Int(client.randomness.next(below: 4))
                let padding = String(repeating: "x", count: Int(client.randomness.next(below: 700)))
                window.append(
                    Batch(values: (0..<count).map { "\(client.name) \(number + $0) \(padding)" }, sequence: sequence))
                number += count
                sequence += Int32(count)
                made += 1
            }
            guard !client.world.isOver else { return }
            let answers = try await deliver(window, id: id)
            if case .outOfOrder(let code, let leader)? = answers.first {
                // Kafka's producers begin a new epoch then. That something was lost must be known, though; or the batch may be one of several
                // that were under way when a broker ended, of which its snapshot keeps the last alone, as Kafka's does.
                let wasForgotten = client.world.mode != .shared && depth > 1 && history.wasSentBefore(window[0].values[0])
                if wasForgotten { history.mayRepeat(window.flatMap(\.values)) }
                guard wasForgotten || history.losses > losses else {
                    throw Violation(
                        .acknowledgedSurvives,
                        "\(history.name): broker \(leader) answers \(code.name) to sequence \(window[0].sequence) of \(client.name), which follows what was acknowledged"
                    )
                }
                client.world.event("\(client.name): begins anew after \(code.name) from \(leader)")
                losses = history.losses
                guard let next = await producerID() else { return }
                id = next
                sequence = 0
                for index in window.indices {
                    window[index].sequence = sequence
                    sequence += Int32(window[index].values.count)
                }
            }
            var left: [Batch] = []
            for (batch, answer) in zip(window, answers) {
                if case .acknowledged = answer { continue }
                left.append(batch)
            }
            if left.isEmpty {
                try? await client.world.clock.sleep(
                    for: .milliseconds(Int64(client.randomness.next(below: 400) * UInt64(window.count))))
            } else {
                await client.pause()
            }
            window = left
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

    /// Sends all of `window`, one behind the other, and waits for all answers.
    private func deliver(_ window: [Batch], id: Int64) async throws -> [Answer] {
        let leader: Int32
        do { leader = try await client.leader(of: topic, partition) } catch {
            client.forgetLeader(of: topic, partition)
            return window.map { _ in .retry }
        }
        if window.count > 1 { client.world.tally.add(.pipelined, window.count - 1) }
        let losses = history.losses
        var requests: [SimulatedClient.Pending<ProduceRequest>] = []
        for batch in window {
            history.sending(batch.values)
            requests.append(try send(batch, id: id, to: leader))
        }
        var answers: [Answer] = []
        for (batch, request) in zip(window, requests) { answers.append(try await take(request, of: batch, leader, losses)) }
        return answers
    }

    private func send(_ batch: Batch, id: Int64, to leader: Int32) throws -> SimulatedClient.Pending<ProduceRequest> {
        let timestamp = Timestamp(client.world.clock.wallMilliseconds())
        let bytes = RecordBatchBuilder.batch(
            of: batch.values.map { Record(timestamp: timestamp, key: nil, value: ByteBuffer(string: $0)) }, producerID: id,
            producerEpoch: 0, baseSequence: batch.sequence)
        return try client.send(
            ProduceRequest(
                acks: -1, timeoutMs: 2_000,
                topicData: [.init(name: topic, partitionData: [.init(index: partition, records: LogSlices(bytes))])]),
            version: 9, to: leader)
    }

    private func take(
        _ request: SimulatedClient.Pending<ProduceRequest>, of batch: Batch, _ leader: Int32, _ losses: Int
    ) async throws -> Answer {
        do {
            let answer = try await request.answer()
            guard let told = answer.responses.first?.partitionResponses.first else {
                throw SimulatedClient.Failure(description: "an answer without the partition")
            }
            switch told.errorCode {
            case .none, .duplicateSequenceNumber:
                let offset = told.errorCode == .none ? told.baseOffset : -1
                // Told by what has lost its memory since.
                if history.losses == losses { try history.acknowledged(batch.values, at: offset, by: leader) }
                client.world.event("\(client.name): \(batch.values.count) from \(batch.sequence) at \(offset) by \(leader)")
                return .acknowledged
            case .outOfOrderSequenceNumber, .unknownProducerId, .invalidProducerEpoch: return .outOfOrder(told.errorCode, leader)
            case .corruptMessage, .messageTooLarge, .invalidRecord, .unsupportedForMessageFormat:
                throw Violation(.honest, "\(history.name): broker \(leader) answers \(told.errorCode.name) to a good batch")
            default:
                client.world.event("\(client.name): \(told.errorCode.name) from \(leader)")
            }
        } catch let violation as Violation {
            throw violation
        } catch {}
        client.forgetLeader(of: topic, partition)
        return .retry
    }
}
