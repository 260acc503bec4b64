//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation
internal import KafkaNetwork
internal import KafkaProtocol
internal import LogModel

/// Follows one record to every physical copy of its batch: each broker names the places it knows and reads the bytes back.
package struct TraceRun: Sendable {
    package struct Failure: Error, CustomStringConvertible {
        package var description: String
    }

    /// As a broker's `/v1/copies` tells it.
    package struct Copy: Codable, Sendable, Hashable {
        package var medium: String
        package var location: String
        /// Half-open; two numbers.
        package var byteRange: [Int64]
        package var crc32c: UInt32?
        package var problem: String?
    }

    package struct Trace: Sendable {
        package var copies: [(broker: Int32, copy: Copy)]
        /// Brokers that could not be asked, and why.
        package var silent: [(broker: Int32, reason: String)]
    }

    private let bootstrap: String
    private let topic: String
    private let partition: Int32
    private let offset: Int64

    package init(bootstrap: String, topic: String, partition: Int32, offset: Int64) {
        self.bootstrap = bootstrap
        self.topic = topic
        self.partition = partition
        self.offset = offset
    }

    package func execute() async throws -> Trace {
        let client = try ModeRun.client(of: bootstrap)
        do {
            let trace = try await trace(client)
            await client.close()
            return trace
        } catch {
            await client.close()
            throw error
        }
    }

    private func trace(_ client: KafkaClient) async throws -> Trace {
        let view = try await client.refresh(topics: [topic])
        guard let known = view.topics[topic] else { throw Failure(description: "topic \(topic): not known to \(bootstrap)") }
        guard known.partitions[partition] != nil else {
            throw Failure(description: "partition \(partition): topic \(topic) has \(known.partitions.count), from 0")
        }
        let start = try await client.listOffset(of: topic, partition: partition, timestamp: -2)
        let end = try await client.listOffset(of: topic, partition: partition, timestamp: -1)
        guard (start..<end).contains(offset) else {
            throw Failure(description: "offset \(offset): \(topic)-\(partition) holds \(start) up to \(end - 1)")
        }
        var trace = Trace(copies: [], silent: [])
        var seen: Set<String> = []
        for broker in view.brokers.keys.sorted() {
            do {
                guard let admin = try await adminClient(of: broker, client) else {
                    trace.silent.append((broker.rawValue, "it has no metrics.listener"))
                    continue
                }
                let name = topic.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? topic
                let copies = try await admin.get(
                    "/v1/copies?topic=\(name)&partition=\(partition)&offset=\(offset)", as: [Copy].self)
                // What lies in shared places is named by every broker that knows it, and counted once.
                for copy in copies where seen.insert("\(copy.location) \(copy.byteRange)").inserted {
                    trace.copies.append((broker.rawValue, copy))
                }
            } catch { trace.silent.append((broker.rawValue, "\(error)")) }
        }
        return trace
    }

    private func adminClient(of broker: BrokerID, _ client: KafkaClient) async throws -> AdminClient? {
        let request = DescribeConfigsRequest(
            resources: [.init(resourceType: 4, resourceName: String(broker.rawValue), configurationKeys: ["metrics.listener"])])
        let connection = try await client.connection(to: broker)
        let answer = try await connection.send(request)
        let value = answer.results.first?.configs.first { $0.name == "metrics.listener" }?.value
        return value.flatMap(AdminClient.init(url:))
    }
}

extension TraceRun.Trace {
    /// The places as a table, and whether all copies are equal.
    package func text(topic: String, partition: Int32, offset: Int64) -> String {
        var lines = ["\(topic)-\(partition) offset \(offset): \(copies.count) physical copies of its batch"]
        let width = copies.map { TerminalTable.name(ofMedium: $0.copy.medium).count }.max() ?? 0
        for (broker, copy) in copies {
            let medium = TerminalTable.name(ofMedium: copy.medium)
            let found =
                copy.problem.map { "not read back: \($0)" } ?? copy.crc32c.map { "crc32c \(String($0, radix: 16))" }
                ?? "not read back"
            let range = copy.byteRange.count == 2 ? "bytes \(copy.byteRange[0]) ..< \(copy.byteRange[1])" : ""
            lines.append(
                "  broker \(broker)  \(medium)\(String(repeating: " ", count: width - medium.count))  \(copy.location)  \(range)  \(found)"
            )
        }
        for (broker, reason) in silent { lines.append("  broker \(broker): not asked: \(reason)") }
        lines.append(allEqual ? "All copies read back and equal." : "The copies are not all equal, or not all could be read.")
        return lines.joined(separator: "\n") + "\n"
    }

    package var allEqual: Bool {
        !copies.isEmpty && copies.allSatisfy { $0.copy.problem == nil && $0.copy.crc32c != nil }
            && Set(copies.map(\.copy.crc32c)).count == 1
    }
}
