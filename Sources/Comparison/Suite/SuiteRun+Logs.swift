//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation
internal import KafkaNetwork
internal import LogModel
internal import Metering
internal import NIOCore
internal import ObjectStore
internal import RuntimeEnvironment

/// Long logs: of sparse files, of many objects, read back from the store.
extension SuiteRun {
    func sparseLog(gibibytes: Int, _ turn: Turn) async throws -> Figures {
        try await withCluster(turn, properties: Self.shortLease) { cluster in
            var cluster = cluster
            let topic = "long"
            try await createTopic(
                topic, partitions: 1, cluster, configuration: ["retention.ms": "-1", "segment.bytes": String(1 << 30)])
            try await fill(topic, bytes: 64 << 10, cluster)
            guard let own = cluster.own else { throw Failure("only brokers of ours can be given a log") }
            for broker in own.brokers { _ = await broker.process.terminate(limit: .seconds(60)) }
            let log = SparseLog(segments: gibibytes, segmentBytes: 1 << 30)
            try log.write(topic: topic, into: "\(turn.directory)/data/broker-1")
            var figures = Figures()
            figures.add(Figure.startClean, try await cluster.restart(after: SIGTERM), "s")
            figures.add(Figure.startKilled, try await cluster.restart(after: SIGKILL), "s")
            if let usage = Self.usage(of: cluster.pids) { figures.add(Figure.idleResident, Double(usage.residentBytes), "B") }
            let chosen = (0..<200).map { _ in Int.random(in: 0..<gibibytes) }
            figures.add(
                try await lookUp(
                    // The batch at the segment's beginning, and the last record of the one at its end, which its index names.
                    chosen.flatMap { segment in
                        let base = Int64(segment) * SparseLog.offsetsPerSegment
                        return [base + 3, base + SparseLog.offsetsPerSegment - 1]
                    }, times: chosen.map { SparseLog.timestamps(ofSegment: $0).0 }, topic: topic, cluster))
            return figures
        }
    }

    func objects(_ count: Int, _ turn: Turn) async throws -> Figures {
        let threshold = 64 << 10
        let properties = ["wal.upload.threshold.bytes": String(threshold), "wal.capacity.bytes": String(16 << 20)]
        return try await withCluster(turn, properties: properties) { cluster in
            var cluster = cluster
            let topic = "objects"
            try await createTopic(topic, partitions: 1, cluster)
            // A hundred uploads a second, so that none takes more than one threshold's worth.
            var load = SuiteRow.Produce()
            load.recordsPerSecond = Double(threshold * 100 / 1_024)
            load.batchBytes = 16_384
            var bench = bench(load, turn, cluster, seconds: max(1, Double(count) / 100))
            bench.workload.existingTopicList = [topic]
            bench.workload.warmupDurationMinutes = 0
            _ = try Self.figures(of: try await runBench(bench) { _ in }, load)
            try await cluster.own?.settle()
            var figures = Figures()
            figures.add(Figure.startClean, try await cluster.restart(after: SIGTERM), "s")
            let store = try store(turn)
            let objects = try await store.listAll(prefix: "")
            await store.close()
            figures.add(Figure.objectCount, Double(objects.count), "objects")
            let end = try await withClient(cluster) { try await $0.listOffset(of: topic, partition: 0, timestamp: -1) }
            guard end > 0 else { throw Failure("\(topic) is empty after a restart") }
            figures.add(
                try await lookUp((0..<200).map { _ in Int64.random(in: 0..<end) }, times: [], topic: topic, cluster))
            return figures
        }
    }

    // MARK: Catch-up

    /// A topic that lies in the store alone is read from its start, while another is written at its end.
    func catchUp(_ bytes: Int64, _ turn: Turn) async throws -> Figures {
        try await withCluster(turn) { cluster in
            var cluster = cluster
            try await createTopic("old", partitions: 1, cluster)
            try await createTopic("tail", partitions: 1, cluster)
            try await fill("old", bytes: bytes, cluster)
            try await cluster.own?.settle()
            // What the broker still had in memory is gone with it.
            _ = try await cluster.restart(after: SIGTERM)
            var figures = Figures()
            let bare = try await rangedGets(turn)
            let alone = try await tail(turn, cluster)
            figures.add(Figure.tailAlone, alone, "s")
            let running = cluster
            async let beside = tail(turn, running)
            // The producer's first requests, which open the partition, are behind it.
            try await Task.sleep(for: .seconds(plan.warmupSeconds + 0.1))
            let read = try await LoadGenerator.withOwnLoops(progress: { _ in }) { generator in
                try await generator.readThrough(topic: "old", bootstrap: running.bootstrap)
            }
            let disturbed = try await beside
            let rate = Double(read.bytes) / 1e6 / read.seconds
            figures.add(Figure.catchUpRate, rate, "MB/s")
            figures.add(Figure.getRate, bare, "MB/s")
            figures.add(Figure.getRatio, bare / rate, "×")
            figures.add(Figure.tailBeside, disturbed, "s")
            figures.add(Figure.tailRatio, disturbed / alone, "×")
            return figures
        }
    }

    /// Response p99 of 1,000 records/s.
    private func tail(_ turn: Turn, _ cluster: SuiteCluster) async throws -> Double {
        var load = SuiteRow.Produce()
        load.recordsPerSecond = 1_000
        load.batchBytes = 131_072
        var bench = bench(load, turn, cluster, seconds: 2)
        bench.workload.existingTopicList = ["tail"]
        return try Self.figures(of: try await runBench(bench) { _ in }, load).median(Figure.responseP99)!
    }

    /// MB/s of reading every object by ranges of 1 MiB, four under way.
    private func rangedGets(_ turn: Turn) async throws -> Double {
        let store = try store(turn)
        let ranges = try await store.listAll(prefix: "").flatMap { object in
            stride(from: Int64(0), to: object.size, by: 1 << 20).map { (object.key, $0..<min(object.size, $0 + 1 << 20)) }
        }
        let start = ContinuousClock.now
        let bytes = try await withThrowingTaskGroup(of: Int.self) { group in
            for lane in 0..<4 {
                group.addTask {
                    var bytes = 0
                    for index in stride(from: lane, to: ranges.count, by: 4) {
                        bytes += try await store.get(ranges[index].0, range: ranges[index].1).readableBytes
                    }
                    return bytes
                }
            }
            return try await group.reduce(0, +)
        }
        let seconds = (ContinuousClock.now - start).inSeconds
        await store.close()
        guard bytes > 0 else { throw Failure("nothing lies in the object store") }
        return Double(bytes) / 1e6 / seconds
    }

    private func store(_ turn: Turn) throws -> any ObjectStore {
        try ObjectStoreURL.open(
            plan.objectStore(below: "\(turn.directory)/data"), environment: .system, meters: Meters(),
            credentials: ProcessInfo.processInfo.environment)
    }

    // MARK: Parts

    func fill(_ topic: String, bytes: Int64, _ cluster: SuiteCluster) async throws {
        try await LoadGenerator.withOwnLoops(progress: { _ in }) { generator in
            _ = try await generator.fill(
                FillLoad(topic: topic, partition: 0, bytes: bytes, recordBytes: 1_024, compressibleTo: 0.5, acks: 1, seed: 1),
                bootstrap: cluster.bootstrap)
        }
    }
}
