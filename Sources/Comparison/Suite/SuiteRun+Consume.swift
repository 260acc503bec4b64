//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation
internal import KafkaNetwork
internal import Synchronization

extension SuiteRun {
    /// Fills a topic that stays in the page cache, and reads it over and over.
    func consume(_ load: SuiteRow.Consume, _ turn: Turn) async throws -> Figures {
        try await withCluster(turn) { cluster in
            try await LoadGenerator.withOwnLoops(progress: { _ in }) { generator in
                let topic = "bench-read-\(UInt64.random(in: 0...UInt64.max))"
                let client = try generator.client(cluster.bootstrap)
                try await client.createTopic(
                    topic, partitions: 1, replicationFactor: turn.row.replicationFactor,
                    configuration: ["segment.bytes": String(64 << 20)])
                _ = try await generator.fill(
                    FillLoad(
                        topic: topic, partition: 0, bytes: load.bytes, recordBytes: load.recordBytes, compressibleTo: 0.5,
                        acks: turn.row.acks, seed: 1), bootstrap: cluster.bootstrap)
                let looks = Mutex<[ProcessUsage?]>([])
                let outcome = try await generator.reread(
                    topic: topic, bootstrap: cluster.bootstrap, warmupSeconds: plan.warmupSeconds,
                    seconds: plan.seconds ?? turn.row.seconds
                ) { looks.withLock { $0.append(Self.usage(of: cluster.pids)) } }
                if turn.mode == SuitePlan.againstName { try await client.deleteTopics([topic]) }
                guard outcome.bytes > 0 else { throw Failure("nothing was read: \(outcome.firstFailure ?? "no reason was given")") }
                guard outcome.damaged == 0 else { throw Failure("\(outcome.damaged) records arrived with a wrong CRC") }
                var figures = Figures()
                figures.add(Figure.throughput, Double(outcome.bytes) / 1e6 / outcome.seconds, "MB/s")
                figures.add(Figure.loadCPU, outcome.loadCPUSeconds / (Double(outcome.bytes) / 1e9), MachineLimits.cpuUnit)
                let usages = looks.withLock { $0 }
                if let before = usages.first ?? nil, let after = usages.last ?? nil {
                    figures.add(after - before, bytes: outcome.bytes)
                }
                return figures
            }
        }
    }

    /// Of all together; nil if one cannot be looked at, or there is none.
    static func usage(of pids: [Int32]) -> ProcessUsage? {
        let each = pids.map { ProcessUsage.of(pid: $0) }
        return each.isEmpty || each.contains(nil) ? nil : each.compactMap { $0 }.reduce(ProcessUsage(), +)
    }
}
