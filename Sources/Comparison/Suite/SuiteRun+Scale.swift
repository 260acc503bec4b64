//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation
internal import KafkaNetwork
internal import KafkaProtocol
internal import LogModel
internal import NIOCore
internal import NIOPosix
internal import RuntimeEnvironment

/// How cost grows with partitions and connections.
extension SuiteRun {
    /// The same for every size: 20,000 records of 1 KB a second.
    static var constantLoad: SuiteRow.Produce {
        var load = SuiteRow.Produce()
        load.recordsPerSecond = 20_000
        load.batchBytes = 131_072
        return load
    }

    /// A broker that was killed waits at its start until its earlier run's lease is over.
    static let shortLease = ["broker.session.timeout.ms": "2000"]

    func partitions(_ count: Int, _ turn: Turn) async throws -> Figures {
        try await withCluster(turn, properties: Self.shortLease) { cluster in
            var figures = Figures()
            let before = Self.usage(of: cluster.pids)
            let begun = ContinuousClock.now
            try await createTopic("idle", partitions: count, cluster)
            // A leader that is named may not have opened its log yet.
            try await withClient(cluster) { client in
                for partition in 0..<count {
                    _ = try await client.listOffset(of: "idle", partition: Int32(partition), timestamp: -1)
                }
            }
            figures.add(Figure.made, (ContinuousClock.now - begun).inSeconds, "s")
            if let before, let after = Self.usage(of: cluster.pids) {
                figures.add(Figure.perPartition, Double(after.residentBytes - before.residentBytes) / Double(count), "B")
            }
            figures.add(try await produceConstantly(to: "idle", turn, cluster))
            figures.add(Figure.startClean, try await cluster.secondsToStart(after: SIGTERM), "s")
            figures.add(Figure.startKilled, try await cluster.secondsToStart(after: SIGKILL), "s")
            return figures
        }
    }

    func connections(_ count: Int, _ turn: Turn) async throws -> Figures {
        try await withCluster(turn) { cluster in
            try await createTopic("busy", partitions: 1, cluster)
            let before = Self.usage(of: cluster.pids)
            var open: [KafkaConnection] = []
            let address = try BrokerAddress.list(parsing: cluster.bootstrap)[0]
            for _ in 0..<count {
                open.append(
                    try await KafkaConnection.connect(
                        to: address, group: MultiThreadedEventLoopGroup.singleton, clientID: "idle", timeout: .seconds(5)))
            }
            var figures = Figures()
            let idle = Self.usage(of: cluster.pids)
            if let before, let idle {
                figures.add(Figure.perConnection, Double(idle.residentBytes - before.residentBytes) / Double(count), "B")
            }
            figures.add(try await produceConstantly(to: "busy", turn, cluster))
            if let before, let after = Self.usage(of: cluster.pids) {
                figures.add(Figure.growth, Double(after.residentBytesMax - before.residentBytes), "B")
            }
            for connection in open { await connection.close() }
            return figures
        }
    }

    // MARK: Parts

    func produceConstantly(to topic: String, _ turn: Turn, _ cluster: SuiteCluster) async throws -> Figures {
        var bench = bench(Self.constantLoad, turn, cluster, seconds: min(3, plan.seconds ?? turn.row.seconds))
        bench.workload.existingTopicList = [topic]
        return try Self.figures(of: try await runBench(bench) { _ in }, Self.constantLoad)
    }

    func createTopic(
        _ name: String, partitions: Int, _ cluster: SuiteCluster, configuration: [String: String] = [:]
    ) async throws {
        try await withClient(cluster) { client in
            try await client.createTopic(name, partitions: partitions, replicationFactor: 1, configuration: configuration)
            _ = try await client.waitForLeaders(of: [name: partitions])
        }
    }

    /// A patient client.
    func withClient<Value: Sendable>(_ cluster: SuiteCluster, _ body: (KafkaClient) async throws -> Value) async throws -> Value {
        let client = KafkaClient(
            bootstrap: try BrokerAddress.list(parsing: cluster.bootstrap), clientID: "ninefold-bench",
            group: MultiThreadedEventLoopGroup.singleton, clock: RuntimeEnvironment.system.clock, requestTimeout: .seconds(120),
            retryLimit: .seconds(20))
        do {
            let value = try await body(client)
            await client.close()
            return value
        } catch {
            await client.close()
            throw error
        }
    }

    /// Fetches one batch at each of the offsets and asks for as many offsets by time.
    func lookUp(_ offsets: [Int64], times: [Int64], topic: String, _ cluster: SuiteCluster) async throws -> Figures {
        try await withClient(cluster) { client in
            var (byOffset, byTime) = (LatencyHistogram(), LatencyHistogram())
            let clock = ContinuousClock()
            for offset in offsets {
                var asked = FetchRequest.FetchTopic(topic: topic)
                asked.partitions.append(.init(partition: 0, fetchOffset: offset, partitionMaxBytes: 1))
                let request = FetchRequest(maxWaitMs: 0, minBytes: 1, maxBytes: 1, topics: [asked])
                let start = clock.now
                let answer = try await client.callLeader(of: topic, partition: 0, request, versionMax: 12) {
                    (answer) throws(KafkaClientError) in
                    for partition in answer.responses.first?.partitions ?? [] {
                        try KafkaClientError.check(partition.errorCode, "offset \(offset) of \(topic) was not read")
                    }
                }
                byOffset.record(nanoseconds: (clock.now - start).inNanoseconds)
                guard let records = try answer.responses.first?.partitions.first?.records?.contiguous(),
                    let header = try? RecordBatchHeader(in: records, at: records.readerIndex),
                    header.baseOffset.rawValue <= offset, header.endOffset.rawValue > offset
                else { throw Failure("\(topic) answered another batch than the one that holds offset \(offset)") }
            }
            for time in times {
                let start = clock.now
                guard try await client.listOffset(of: topic, partition: 0, timestamp: time) >= 0 else {
                    throw Failure("\(topic) knows no record at or after \(time)")
                }
                byTime.record(nanoseconds: (clock.now - start).inNanoseconds)
            }
            var figures = Figures()
            figures.add(Figure.lookupP50, byOffset.seconds(at: 0.5), "s")
            figures.add(Figure.lookupP99, byOffset.seconds(at: 0.99), "s")
            if !times.isEmpty { figures.add(Figure.timeLookupP50, byTime.seconds(at: 0.5), "s") }
            return figures
        }
    }
}

extension SuiteCluster {
    /// Ends all brokers by a signal, and starts them again on what they left, on other ports.
    ///
    /// - Returns: Until all serve.
    mutating func restart(after number: Int32) async throws -> Double {
        guard let own else { throw SuiteRun.Failure("only brokers of ours are started again") }
        for broker in own.brokers { _ = await broker.process.terminate(number, limit: .seconds(60)) }
        let start = ContinuousClock.now
        try await own.start()
        let seconds = (ContinuousClock.now - start).inSeconds
        bootstrap = own.bootstrap
        pids = own.brokers.map(\.process.pid)
        return seconds
    }

    func secondsToStart(after number: Int32) async throws -> Double {
        var copy = self
        return try await copy.restart(after: number)
    }
}
