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

    @Option(
        help: ArgumentHelp(
            "Storage modes, separated by commas, and variants of them.",
            discussion: ModeVariant.all.filter { !$0.meaning.isEmpty }.map { "\($0.name): \($0.meaning)" }.joined(separator: "\n")))
    var modes = ModeVariant.standardNames.joined(separator: ",")
    @Option(help: "Of steady, footprint, reassignment, failover; separated by commas.")
    var scenarios = Scenario.allCases.map(\.rawValue).joined(separator: ",")
    @Option(help: "OpenMessaging Benchmark workload file: its record size, rate, partitions and clients replace the defaults.")
    var workload: String?
    @Option(help: "DIR, a mount, or replicated:N:DIR. Default: replicated:3: below the data directory.") var volume: String?
    @Option(
        help:
            "DIR,DIR,...: where the file system mounted at --volume keeps its bytes, as a GlusterFS volume's bricks: physical bytes are counted there."
    )
    var backing: String?
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
        _ = try backingList()
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
            throw ValidationError("--modes: name at least one of \(ModeVariant.names.joined(separator: ", "))")
        }
        for mode in list where !ModeVariant.names.contains(mode) {
            throw ValidationError("--modes \(mode): allowed are \(ModeVariant.names.joined(separator: ", "))")
        }
        guard Set(list).count == list.count else { throw ValidationError("--modes \(modes): name each mode once") }
        return list
    }

    /// The backing directories, absolute: there, apart from each other and from the mount.
    private func backingList() throws -> [String] {
        guard let backing else { return [] }
        guard let volume, !volume.hasPrefix("replicated:") else {
            throw ValidationError("--backing: name the mounted directory it belongs to with --volume DIR")
        }
        let list = backing.split(separator: ",", omittingEmptySubsequences: false).map { Self.absolute(String($0)) }
        for (index, path) in list.enumerated() {
            var isDirectory: ObjCBool = false
            guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory), isDirectory.boolValue else {
                throw ValidationError("--backing \(backing): \(path) is not a directory")
            }
            for other in list[(index + 1)...] + [Self.absolute(volume)]
            where (path + "/").hasPrefix(other + "/") || (other + "/").hasPrefix(path + "/") {
                throw ValidationError(
                    "--backing \(backing): \(path) and \(other) lie within each other, so bytes would be counted twice")
            }
        }
        return list
    }

    private static func absoluteVolume(_ specification: String) -> String {
        switch try? Volume.Kind(parsing: specification) {
        case .replicated(let copies, let directory): "replicated:\(copies):\(absolute(directory))"
        case .directory(let directory): absolute(directory)
        case nil: specification
        }
    }

    private static func absolute(_ path: String) -> String { URL(fileURLWithPath: path).standardizedFileURL.path }

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
        let directory = Self.absolute(dataDir ?? "ninefold-data")
        var plan = ComparePlan(
            modes: try modeList(), scenarios: try scenarioList(), quick: quick, keep: keep, executable: Executable.path,
            version: Ninefold.version, commandLine: ["ninefold"] + CommandLine.arguments.dropFirst(), dataDirectory: directory,
            volume: volume.map(Self.absoluteVolume), objectStoreURL: objectStore,
            priceSheets: prices.split(separator: ",").map(String.init), seed: seed)
        plan.backing = try backingList()
        plan.runName = "ninefold-\(Int(Date().timeIntervalSince1970))-\(getpid())"
        if let workload {
            do { try plan.apply(workloadFile: workload) } catch { throw CommandFailure("\(error)") }
        }
        let settled = plan
        try OutputDirectory.check(output)
        let objects = ObjectStoreTools()
        Interrupt.handle {
            ChildProcesses.endAll()
            CompareRun.clean(settled)
            objects.cleanNow(settled)
        }
        do {
            let result = try await CompareRun(settled, objectStore: objects, progress: Progress()).execute()
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
            let left =
                settled.objectStoreURL == nil || error is ObjectStoreTools.Refusal
                ? [] : await CompareRun.cleanObjects(settled, objects)
            let remains = left.isEmpty ? "" : "; objects of this run may be left below \(left.joined(separator: " and "))"
            throw CommandFailure("\(error)\(logs)\(remains)")
        }
    }
}
