//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ArgumentParser
internal import BrokerNode
internal import Foundation

struct ImportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Takes the topics of Apache Kafka's log directories over into a broker that is not running.",
        discussion: """
            Copies the partitions' files (Kafka must not be writing to them; they are only read), recovers what an unclean stop left as
            Kafka would, and makes the topics under their own ids, with one replica each: add others by reassignment. A log directory
            tells no topic's settings: every topic gets retention.ms=-1, so that nothing is deleted before you say so. Kafka's
            own topics (__consumer_offsets, __transaction_state) are left out.
            """)

    @Argument(help: "Kafka's log.dirs; of several brokers, if no single one has all partitions.") var directories: [String]
    @Option(help: "The broker's server.properties; storage.mode isr or tiered.") var config: String
    @Option(help: "Settings over those of the file: KEY=VALUE; may be repeated.", transform: { $0 }) var override: [String] = []
    @Option(help: "Only these topics, separated by commas.") var topics: String?
    @Option(help: "A setting of the topics made: KEY=VALUE; may be repeated.", transform: { $0 }) var topicConfig: [String] = []
    @Flag(help: "Look and tell; write nothing.") var dryRun = false
    @Option(help: "table or json, on standard output.") var format = "table"

    func validate() throws {
        guard !directories.isEmpty else { throw ValidationError("name at least one of Kafka's log directories") }
        guard ["table", "json"].contains(format) else { throw ValidationError("--format \(format): allowed are table and json") }
    }

    func run() async throws {
        let settings = try BrokerSettings.read(config, overrides: override)
        var job = KafkaImport(directories: directories)
        job.topics = Set((topics ?? "").split(separator: ",").map(String.init))
        job.configs = try BrokerSettings.pairs(topicConfig, option: "--topic-config")
        job.isDryRun = dryRun
        let report: KafkaImportReport
        do {
            report = try await job.run(into: settings) { line in FileHandle.standardError.write(Data("ninefold: \(line)\n".utf8)) }
        } catch { throw CommandFailure("\(error)") }
        if format == "json" {
            FileHandle.standardOutput.write(try report.encoded())
            print()
        } else {
            print(report.table)
        }
    }
}
