//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation

extension SuiteRun {
    /// Figures of one run of a produce row.
    func produce(_ load: SuiteRow.Produce, _ turn: Turn) async throws -> Figures {
        try await withCluster(turn) { cluster in
            let outcome = try await runBench(bench(load, turn, cluster, seconds: plan.seconds ?? turn.row.seconds)) { _ in }
            var figures = try Self.figures(of: outcome, load)
            if let counters = try? await cluster.counters() {
                // Since the cluster began, warm-up included, as what is uploaded lags behind what is produced.
                let produced = Double(counters["logical.bytes"] ?? 0)
                let uploaded = Double(counters["written.object"] ?? 0)
                if produced > 0, turn.mode != "isr" { figures.add(Figure.uploaded, uploaded / produced, "B per B") }
            }
            return figures
        }
    }

    /// A short run against brokers whose allocations are counted.
    func allocationsPerRequest(_ load: SuiteRow.Produce, _ turn: Turn) async throws -> Double {
        guard let counter else { throw Failure("no counter") }
        let counts = "\(turn.directory)/counts-{broker}"
        return try await withCluster(turn, environment: counter.environment(countsPath: counts)) { cluster in
            var bench = bench(load, turn, cluster, seconds: min(1, plan.seconds ?? turn.row.seconds))
            bench.allocationCounts = cluster.brokers.map { counts.replacingOccurrences(of: "{broker}", with: "\($0.id)") }
            let outcome = try await runBench(bench) { _ in }
            guard let allocations = outcome.allocations else {
                throw Failure("the brokers did not load the counting library (LD_PRELOAD)")
            }
            guard outcome.requests > 0 else { throw Failure("no produce request was answered") }
            return Double(allocations) / Double(outcome.requests)
        }
    }

    func bench(_ load: SuiteRow.Produce, _ turn: Turn, _ cluster: SuiteCluster, seconds: Double) -> BenchRun {
        var workload = WorkloadFile()
        workload.name = turn.row.name
        workload.partitionsPerTopic = load.partitions
        workload.messageSize = load.recordBytes
        workload.producersPerTopic = load.producers
        workload.producerRate = load.recordsPerSecond ?? 0
        workload.subscriptionsPerTopic = load.consumers > 0 ? 1 : 0
        workload.consumerPerSubscription = load.consumers
        workload.warmupDurationMinutes = plan.warmupSeconds / 60
        workload.testDurationMinutes = seconds / 60
        // One interval: nothing but the load goes on meanwhile.
        workload.intervalMilliseconds = max(100, Int(seconds * 1_000))
        var bench = BenchRun(workload: workload, bootstrap: cluster.bootstrap)
        bench.replicationFactor = turn.row.replicationFactor
        bench.topicConfiguration = plan.topicConfiguration(mode: turn.mode)
        bench.acks = turn.row.acks
        bench.batchBytesMax = load.batchBytes
        bench.inflightRequestsMax = load.inflight
        bench.brokerPIDs = cluster.pids
        bench.version = plan.version
        return bench
    }

    /// What a run of the load generator comes to.
    static func figures(of outcome: BenchRun.Outcome, _ load: SuiteRow.Produce) throws -> Figures {
        let extra = outcome.extra
        guard extra.bytesProduced > 0 else {
            throw Failure("nothing was acknowledged: \(extra.firstFailure ?? "no broker refused anything")")
        }
        guard extra.errors == 0 else {
            throw Failure("\(extra.errors) records were not acknowledged: \(extra.firstFailure ?? "no reason was given")")
        }
        var figures = Figures()
        let (megabytes, gigabytes) = (Double(extra.bytesProduced) / 1e6, Double(extra.bytesProduced) / 1e9)
        figures.add(Figure.throughput, megabytes / extra.seconds, "MB/s")
        figures.add(Figure.loadCPU, extra.loadCPUSeconds / gigabytes, MachineLimits.cpuUnit)
        if let response = extra.responseSeconds {
            figures.add(Figure.responseP50, response.p50, "s")
            figures.add(Figure.responseP99, response.p99, "s")
            figures.add(Figure.responseP999, response.p999, "s")
        }
        if let endToEnd = extra.endToEndSeconds {
            figures.add(Figure.endToEndP50, endToEnd.p50, "s")
            figures.add(Figure.endToEndP99, endToEnd.p99, "s")
            figures.add(Figure.endToEndP999, endToEnd.p999, "s")
        }
        if let usage = outcome.brokerUsage { figures.add(usage, bytes: extra.bytesProduced) }
        return figures
    }
}

extension Figures {
    /// What the brokers used to move so many bytes.
    mutating func add(_ usage: ProcessUsage, bytes: Int64) {
        let megabytes = Double(bytes) / 1e6
        add(Figure.brokerCPU, usage.cpuSeconds / megabytes * 1_000, MachineLimits.cpuUnit)
        add(Figure.readCalls, Double(usage.readCalls) / megabytes, "per MB")
        add(Figure.writeCalls, Double(usage.writeCalls) / megabytes, "per MB")
        add(Figure.bytesWritten, Double(usage.bytesWritten) / Double(bytes), "B per B")
        add(Figure.voluntarySwitches, Double(usage.voluntarySwitches) / megabytes, "per MB")
        add(Figure.involuntarySwitches, Double(usage.involuntarySwitches) / megabytes, "per MB")
        add(Figure.resident, Double(usage.residentBytes), "B")
        add(Figure.residentMax, Double(usage.residentBytesMax), "B")
    }
}
