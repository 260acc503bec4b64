//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import KafkaProtocol
import LogModel
import NIOCore
import RuntimeEnvironment
import SimulationKit

/// Reads a partition from its start, and goes on. Touched on the loop's thread only.
final class SimulatedConsumer: @unchecked Sendable {
    let client: SimulatedClient
    let topic: String
    let partition: Int32
    let history: PartitionHistory
    private(set) var position: Int64 = 0
    /// As of the last fetch.
    private var losses = 0
    /// As the last answer had it.
    private(set) var highWatermark: Int64 = -1
    /// Bytes of the media have changed by themselves.
    var mayFindDamage: Bool {
        get { isAmongDamage || !client.world.rotten.isEmpty }
        set { isAmongDamage = newValue }
    }
    private var isAmongDamage = false
    private(set) var lastProblem = "nothing was answered yet"

    init(client: SimulatedClient, topic: String, partition: Int32, history: PartitionHistory) {
        self.client = client
        self.topic = topic
        self.partition = partition
        self.history = history
    }

    /// Follows until the workload is over.
    func follow() async throws {
        while !client.world.isOver {
            if try await poll(wait: 300) {
                // Readers that lag behind read what lies in other places than the newest.
                if client.randomness.chance(0.1) {
                    try? await client.world.clock.sleep(for: .milliseconds(Int64(client.randomness.next(below: 1_500))))
                }
            } else {
                await client.pause()
            }
        }
    }

    /// One fetch.
    ///
    /// - Returns: Whether it was answered without an error.
    func poll(wait: Int32) async throws -> Bool {
        do {
            let leader = try await client.leader(of: topic, partition)
            if losses != history.losses {
                // What lay there may be another record now.
                losses = history.losses
                position = min(position, history.seenEnd)
            }
            let answer = try await client.ask(
                FetchRequest(
                    maxWaitMs: wait, minBytes: 1, maxBytes: 1 << 16,
                    topics: [
                        .init(
                            topic: topic,
                            partitions: [.init(partition: partition, fetchOffset: position, partitionMaxBytes: 1 << 14)])
                    ]), version: 12, of: leader)
            guard losses == history.losses else { return true }
            guard let data = answer.responses.first?.partitions.first else {
                throw SimulatedClient.Failure(description: "an answer without the partition")
            }
            switch data.errorCode {
            case .none: break
            case .offsetOutOfRange:
                // Nothing is ever removed from the topics that are read, so whatever was read is there.
                throw Violation(
                    .committedIsStable,
                    "\(history.name): broker \(leader) knows no offset \(position), up to which \(client.name) has read (high watermark \(data.highWatermark), start \(data.logStartOffset))"
                )
            default:
                client.world.event("\(client.name): \(data.errorCode.name) from \(leader)")
                throw SimulatedClient.Failure(description: data.errorCode.name)
            }
            try take(data, from: leader)
            return true
        } catch let violation as Violation {
            throw violation
        } catch {
            lastProblem = "\(error)"
            client.forgetLeader(of: topic, partition)
            return false
        }
    }

    private func take(_ data: FetchResponse.PartitionData, from leader: Int32) throws {
        highWatermark = data.highWatermark
        guard let records = data.records, !records.isEmpty else { return }
        let bytes = try records.contiguous()
        let batches: RecordBatches
        do { batches = try RecordBatches(verifying: bytes, allowsPartialTail: true) } catch {
            // Segments go from the disk to the socket unread, as in Kafka: it is the client that finds the damage, by the checksum.
            if mayFindDamage, client.world.mode != .shared {
                throw SimulatedClient.Failure(description: "a damaged batch at \(position)")
            }
            throw Violation(.corruption, "\(history.name): broker \(leader) serves a damaged batch at \(position): \(error)")
        }
        var read: [(offset: Int64, value: String, epoch: Int32)] = []
        for entry in batches.entries {
            for record in try batches.records(of: entry) {
                read.append(
                    (
                        record.offset.rawValue, String(buffer: record.value ?? ByteBuffer()),
                        entry.header.partitionLeaderEpoch.rawValue
                    ))
            }
        }
        if let last = read.last, last.offset >= data.highWatermark {
            // A damaged base offset, as below: no checksum covers it.
            if mayFindDamage, client.world.mode != .shared, read.allSatisfy({ history.wasSent($0.value) }) {
                throw SimulatedClient.Failure(description: "a batch at \(position) whose base offset is damaged")
            }
            throw Violation(
                .honest,
                "\(history.name): broker \(leader) served \(last.offset), at or above its high watermark \(data.highWatermark)")
        }
        let next: Int64
        do { next = try history.read(read, from: position, by: client.name) } catch let violation as Violation {
            // A batch's checksum does not cover its base offset and leader epoch, in Kafka's format; what it covers must be whole.
            guard mayFindDamage, client.world.mode != .shared, read.allSatisfy({ history.wasSent($0.value) }) else {
                throw violation
            }
            throw SimulatedClient.Failure(description: "a batch at \(position) whose base offset or epoch is damaged")
        }
        if next > position { client.world.event("\(client.name): up to \(next) from \(leader)") }
        position = next
    }
}
