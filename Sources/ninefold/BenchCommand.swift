//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ArgumentParser
internal import Comparison
internal import Foundation

struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Runs an OpenMessaging Benchmark workload against any Kafka-compatible cluster.",
        discussion: """
            Records are sent on an open schedule, and response time counts from the moment a record was due. Writes OpenMessaging's own result
            JSON and, beside it, what that lacks: corrected response times, CPU, environment.

            With --suite it starts brokers of its own instead, once per row, mode and repeat, and writes the table of the data path:
            throughput, CPU, system calls and allocations, beside what the machine does without a broker, measured next to each row.
            """)

    @Option(help: "HOST:PORT,… of the cluster.") var bootstrapServer: String?
    @Option(help: "OpenMessaging Benchmark workload file (upstream's keys, AutoMQ's and Redpanda's too).") var workload: String?
    @Option(help: "Where the results are written.") var output = "ninefold-bench"
    @Option(help: "-1 or all, 0, 1.") var acks = "all"
    @Option(help: "Replicas of the topics it creates.") var replicationFactor = 3
    @Option(help: "Milliseconds a batch waits for more records.") var lingerMs = 1
    @Option(help: "Bytes of a batch at most.") var batchSize = 131_072
    @Option(help: "A setting of the topics it creates: KEY=VALUE; may be repeated.") var topicConfig: [String] = []
    @Option(help: "Processes of the brokers, whose CPU is told: PID,PID,…") var brokerPids = ""
    @Option(help: "What the result calls the cluster.") var driver = "Kafka"
    @Option(help: "Seed of the payloads.") var seed: UInt64 = 1
    @Flag(help: "Leave the topics it created; of a suite the data, configurations and logs.") var keep = false
    @OptionGroup(title: "The table of the data path") var suite: SuiteOptions

    func validate() throws {
        if suite.suite { return try suite.check() }
        guard bootstrapServer != nil else { throw ValidationError("--bootstrap-server: name the cluster, or ask for --suite") }
        guard workload != nil else { throw ValidationError("--workload: name a workload file, or ask for --suite") }
        guard ["all", "-1", "0", "1"].contains(acks) else { throw ValidationError("--acks \(acks): allowed are all, -1, 0 and 1") }
        for pair in topicConfig where !pair.contains("=") { throw ValidationError("--topic-config \(pair): wants KEY=VALUE") }
        for pid in brokerPids.split(separator: ",") where Int32(pid) == nil {
            throw ValidationError("--broker-pids \(pid): not a process id")
        }
    }

    func run() async throws {
        if suite.suite { return try await suite.run(output: output, keep: keep) }
        guard let workload, let bootstrapServer else { return }
        let progress = Progress()
        do {
            let file = try WorkloadFile(path: workload)
            for warning in file.warnings { progress("warning: \(warning)") }
            var bench = BenchRun(workload: file, bootstrap: bootstrapServer)
            bench.replicationFactor = replicationFactor
            bench.topicConfiguration = Dictionary(
                topicConfig.map { pair in
                    let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                    return (String(parts[0]), String(parts[1]))
                }, uniquingKeysWith: { $1 })
            bench.acks = acks == "all" ? -1 : Int16(acks) ?? -1
            bench.linger = .milliseconds(lingerMs)
            bench.batchBytesMax = batchSize
            bench.brokerPIDs = brokerPids.split(separator: ",").compactMap { Int32($0) }
            bench.seed = seed
            bench.keepsTopics = keep
            bench.driver = driver
            bench.version = Ninefold.version
            bench.commandLine = ["ninefold"] + CommandLine.arguments.dropFirst()
            let outcome = try await runBench(bench) { progress($0) }
            print(outcome.extra.table)
            let paths = try outcome.write(into: output)
            print("OpenMessaging result: \(paths.omb)\nThe rest: \(paths.extra)")
        } catch { throw CommandFailure("\(error)") }
    }
}
