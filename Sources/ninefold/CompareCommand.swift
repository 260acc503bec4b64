//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ArgumentParser
internal import BrokerNode
internal import Comparison
internal import Foundation
internal import RuntimeEnvironment

struct CompareCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare",
        abstract: "Runs the same load through each storage mode on this machine and reports what it cost.",
        discussion: """
            Starts a cluster of broker processes per mode, drives the same load through the same frontend, moves partitions, kills a
            broker, counts the bytes, prints one table and writes report.html and comparison.json. Defaults: 3 brokers, 12 partitions,
            1 KiB half-compressible records, RF 3, min ISR 2, acks=all, on volumes and an object store that keep three copies each.
            """)

    @Option(help: "Storage modes, separated by commas.") var modes = ComparePlan.modeNames.joined(separator: ",")
    @Option(help: "Of steady, footprint, reassignment, failover; separated by commas.")
    var scenarios = Scenario.allCases.map(\.rawValue).joined(separator: ",")
    @Option(help: "OpenMessaging Benchmark workload file: its record size, rate, partitions and clients replace the defaults.")
    var workload: String?
    @Option(help: "DIR, a mount, or replicated:N:DIR. Default: replicated:3: below the data directory.") var volume: String?
    @Option(help: "file:///DIR?copies=N or s3://BUCKET/PREFIX?endpoint=URL. Default: a directory with three copies.")
    var objectStore: String?
    @Option(help: "Where the clusters' data lies while it runs.") var dataDir: String?
    @Option(help: "Where report.html and comparison.json are written.") var output = "ninefold-report"
    @Option(help: "table or json, on standard output.") var format = "table"
    @Option(help: "Price sheets by name or file, separated by commas.") var prices = "aws-us-east-1,onprem"
    @Option(help: "Seed of the payloads.") var seed: UInt64 = 42
    @Flag(help: "A minute instead of five, on less data.") var quick = false
    @Flag(help: "Leave data, configurations and logs where they are.") var keep = false

    func validate() throws {
        _ = try modeList()
        _ = try scenarioList()
        if let volume {
            do { _ = try Volume.Kind(parsing: volume) } catch { throw ValidationError("--volume: \(error)") }
        }
        if let objectStore {
            do { try BrokerConfiguration.checkObjectStoreURL(objectStore) } catch {
                throw ValidationError("--object-store: \(error)")
            }
        }
        guard ["table", "json"].contains(format) else { throw ValidationError("--format \(format): allowed are table and json") }
    }

    private func modeList() throws -> [String] {
        let list = modes.split(separator: ",").map(String.init)
        guard !list.isEmpty else {
            throw ValidationError("--modes: name at least one of \(ComparePlan.modeNames.joined(separator: ", "))")
        }
        for mode in list where !ComparePlan.modeNames.contains(mode) {
            throw ValidationError("--modes \(mode): allowed are \(ComparePlan.modeNames.joined(separator: ", "))")
        }
        guard Set(list).count == list.count else { throw ValidationError("--modes \(modes): name each mode once") }
        return list
    }

    private func scenarioList() throws -> [Scenario] {
        let list = try scenarios.split(separator: ",").map { name in
            guard let scenario = Scenario(rawValue: String(name)) else {
                throw ValidationError(
                    "--scenarios \(name): allowed are \(Scenario.allCases.map(\.rawValue).joined(separator: ", "))")
            }
            return scenario
        }
        guard !list.isEmpty else { throw ValidationError("--scenarios: name at least one") }
        return list
    }

    func run() async throws {
        let directory = URL(fileURLWithPath: dataDir ?? "ninefold-data").standardizedFileURL.path
        var plan = ComparePlan(
            modes: try modeList(), scenarios: try scenarioList(), quick: quick, keep: keep, executable: Executable.path,
            version: Ninefold.version, commandLine: ["ninefold"] + CommandLine.arguments.dropFirst(), dataDirectory: directory,
            volume: volume, objectStoreURL: objectStore, priceSheets: prices.split(separator: ",").map(String.init), seed: seed)
        if let workload {
            do { try plan.apply(workloadFile: workload) } catch { throw CommandFailure("\(error)") }
        }
        let settled = plan
        try OutputDirectory.check(output)
        Interrupt.handle {
            ChildProcesses.endAll()
            CompareRun.clean(settled)
        }
        do {
            let result = try await CompareRun(settled, progress: Progress()).execute()
            try CompareRun.write(result, to: output)
            if format == "json" {
                FileHandle.standardOutput.write(try result.encoded())
                print()
            } else {
                print()
                print(TerminalTable(result).text, terminator: "")
                print("\nReport: \(output)/report.html   Numbers: \(output)/comparison.json")
            }
            CompareRun.clean(settled)
        } catch {
            // A child that Ctrl-C has killed is no failure to report: the signal's handler cleans up and ends the program.
            while ChildProcesses.isEnding { try? await Task.sleep(for: .seconds(1)) }
            ChildProcesses.killAll()
            let logs = keep ? "" : CompareRun.preserveLogs(settled, to: output).map { "; logs of the brokers: \($0)" } ?? ""
            CompareRun.clean(settled)
            throw CommandFailure("\(error)\(logs)")
        }
    }
}
