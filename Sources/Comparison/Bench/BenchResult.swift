//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import Foundation

/// What OpenMessaging's result has no place for: written beside it, as `….extra.json`.
///
/// Seconds and bytes are plain SI numbers. What was not measured is null, with the reason in ``notMeasured``.
package struct BenchResult: Codable, Sendable, Hashable {
    package static let schemaName = "ninefold/bench/1"

    /// How the client was set: what a reader must know before comparing.
    package struct Settings: Codable, Sendable, Hashable {
        package var bootstrapServers: String
        package var acks: Int16
        package var lingerSeconds: Double
        package var batchBytes: Int
        package var inflightRequestsPerConnection: Int
        package var idempotent: Bool
        package var replicationFactor: Int
        package var topicConfiguration: [String: String]
        /// Records per second asked for; 0 is as fast as acknowledged.
        package var targetRecordsPerSecond: Double
        package var recordBytes: Int
        package var compressibleTo: Double
        package var topics: Int
        package var partitions: Int
        package var producers: Int
        package var consumers: Int
        package var warmupSeconds: Double
        package var seed: UInt64
    }

    package struct BrokerCPU: Codable, Sendable, Hashable {
        package var pid: Int32
        package var seconds: Double
    }

    package var schema = BenchResult.schemaName
    /// ISO 8601, UTC.
    package var startedAt: String
    package var workload: String
    package var settings: Settings
    /// The counted time.
    package var seconds: Double
    package var records: Int64
    /// Batch bytes acknowledged, and arrived at consumers.
    package var bytesProduced: Int64
    package var bytesConsumed: Int64
    package var recordsConsumed: Int64
    package var errors: Int64
    /// Records that arrived in a batch with a wrong CRC.
    package var damaged: Int64
    /// From the intended send to the acknowledgement: OpenMessaging's publish delay and publish latency together, which its result
    /// does not hold. With a rate of 0 there is no schedule, and this is the publish latency.
    @OrNull package var responseSeconds: Percentiles?
    @OrNull package var publishSeconds: Percentiles?
    @OrNull package var endToEndSeconds: Percentiles?
    /// (quantile 0 to 1, seconds).
    package var responseCurve: [[Double]]
    /// Of this process, and of the brokers whose process ids were given.
    package var loadCPUSeconds: Double
    package var brokerCPU: [BrokerCPU]
    /// CPU seconds per 10^9 batch bytes produced.
    @OrNull package var loadCPUSecondsPerGB: Double?
    @OrNull package var brokerCPUSecondsPerGB: Double?
    package var environment: EnvironmentCapture
    package var notMeasured: [String: String]

    /// The first failure the client met, if it met any.
    @OrNull package var firstFailure: String?

    package func json() throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        return try encoder.encode(self)
    }

    package var producedMBPerSecond: Double { Double(bytesProduced) / 1e6 / seconds }
    package var consumedMBPerSecond: Double { Double(bytesConsumed) / 1e6 / seconds }

    /// For the terminal.
    package var table: String {
        func line(_ name: String, _ value: String) -> String {
            "  \(name.padding(toLength: 26, withPad: " ", startingAt: 0))\(value)"
        }
        func latencies(_ name: String, _ key: String, _ values: Percentiles?) -> String {
            guard let values else { return line(name, "not measured: \(notMeasured[key] ?? "")") }
            let texts = [
                ("p50", values.p50), ("p95", values.p95), ("p99", values.p99), ("p99.9", values.p999), ("max", values.max),
            ]
            .map { "\($0.0) \(Format.seconds($0.1))" }
            return line(name, texts.joined(separator: "  "))
        }
        func perGB(_ name: String, _ total: Double?, _ perGB: Double?) -> String {
            guard let total else { return line(name, "not measured: \(notMeasured["brokerCPUSeconds"] ?? "")") }
            return line(
                name, String(format: "%.2f s", total) + (perGB.map { String(format: ", %.2f s per GB produced", $0) } ?? ""))
        }
        let brokerTotal = brokerCPU.isEmpty ? nil : brokerCPU.reduce(0) { $0 + $1.seconds }
        return [
            "\(workload): \(Int(seconds)) s counted, acks=\(settings.acks == -1 ? "all" : "\(settings.acks)"), "
                + "\(settings.recordBytes) B records, \(settings.partitions) partitions, replication factor \(settings.replicationFactor)",
            line("produced", String(format: "%.0f records/s, %.1f MB/s", Double(records) / seconds, producedMBPerSecond)),
            line("consumed", String(format: "%.0f records/s, %.1f MB/s", Double(recordsConsumed) / seconds, consumedMBPerSecond)),
            latencies("response", "responseSeconds", responseSeconds), latencies("end to end", "endToEndSeconds", endToEndSeconds),
            line("errors", "\(errors)"),
            perGB("brokers' CPU", brokerTotal, brokerCPUSecondsPerGB),
            perGB("load generator's CPU", loadCPUSeconds, loadCPUSecondsPerGB),
        ].joined(separator: "\n")
    }
}
