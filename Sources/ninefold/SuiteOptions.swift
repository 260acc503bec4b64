//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ArgumentParser
internal import BrokerNode
internal import Comparison
internal import Foundation

/// `ninefold bench --suite`.
struct SuiteOptions: ParsableArguments {
    @Flag(help: "Run the table of the data path.") var suite = false
    @Option(help: "Its rows by name, separated by commas. Default: all.") var rows = ""
    @Option(help: "Storage modes, separated by commas.") var modes = ModeVariant.standardNames.joined(separator: ",")
    @Option(name: .customLong("repeat"), help: "Times each row is run in each mode.") var repeats: Int?
    @Option(help: "Counted seconds of a row. Default: the row's own.") var seconds: Double?
    @Flag(help: "The produce rows only, two seconds each, once.") var quick = false
    @Flag(help: "The rows that show how cost grows with partitions, connections, log and objects.") var scale = false
    @Flag(help: "Those, up to 10,000 partitions and 10,000 objects.") var scaleFull = false
    @Option(help: "s3://BUCKET/PREFIX?endpoint=URL. Default: a local directory.") var objectStore: String?
    @Option(help: "HOST:PORT,… of another cluster, put to the rows that start no broker, in turn with ours.") var against: String?
    @Option(help: "Processes of that cluster's brokers, if they run here: PID,PID,…") var againstPids = ""
    @Option(help: "Where the brokers' data lies while they run.") var dataDir = "ninefold-bench-data"

    private func names(_ text: String) -> [String] { text.split(separator: ",").map(String.init) }

    private var offered: [SuiteRow] {
        if scale || scaleFull { return SuiteRow.scale(isFull: scaleFull) }
        return SuiteRow.table.filter { !quick || $0.isQuick }
    }

    func check() throws {
        let known = (SuiteRow.table + SuiteRow.scale(isFull: true)).map(\.name)
        for name in names(rows) where !known.contains(name) {
            throw ValidationError("--rows \(name): allowed are \(known.joined(separator: ", "))")
        }
        for mode in names(modes) where !ModeVariant.standardNames.contains(mode) {
            throw ValidationError("--modes \(mode): allowed are \(ModeVariant.standardNames.joined(separator: ", "))")
        }
        guard !names(modes).isEmpty || against != nil else { throw ValidationError("--modes: name one, or go --against a cluster") }
        if let objectStore {
            do { try BrokerConfiguration.checkObjectStoreURL(objectStore) } catch {
                throw ValidationError("--object-store: \(error)")
            }
        }
        guard repeats ?? 1 >= 1 else { throw ValidationError("--repeat \(repeats ?? 0): at least 1") }
        guard seconds ?? 1 >= 0.1 else { throw ValidationError("--seconds \(seconds ?? 0): at least 0.1") }
        for pid in names(againstPids) where Int32(pid) == nil {
            throw ValidationError("--against-pids \(pid): not a process id")
        }
    }

    private func plan(output: String, keep: Bool) -> SuitePlan {
        let asked = names(rows)
        let rows = asked.isEmpty ? offered : (SuiteRow.table + SuiteRow.scale(isFull: true)).filter { asked.contains($0.name) }
        var plan = SuitePlan(
            rows: rows, modes: names(modes), executable: Executable.path, version: Ninefold.version,
            commandLine: ["ninefold"] + CommandLine.arguments.dropFirst(),
            dataDirectory: URL(fileURLWithPath: dataDir).standardizedFileURL.path, output: output)
        plan.repeats = repeats ?? (quick || scale || scaleFull ? 1 : 3)
        plan.seconds = seconds ?? (quick ? 2 : nil)
        plan.keep = keep
        plan.objectStoreURL = objectStore
        plan.against = against.map { .init(bootstrap: $0, pids: names(againstPids).compactMap { Int32($0) }) }
        return plan
    }

    func run(output: String, keep: Bool) async throws {
        try OutputDirectory.check(output)
        let plan = plan(output: output, keep: keep)
        let path = "\(output)/bench.jsonl"
        Interrupt.handle {
            ChildProcesses.endAll()
            SuiteRun.clean(plan)
        }
        do {
            var results: [SuiteResult] = []
            try FileManager.default.createDirectory(atPath: output, withIntermediateDirectories: true)
            guard FileManager.default.createFile(atPath: path, contents: nil), let file = FileHandle(forWritingAtPath: path) else {
                throw CommandFailure("\(path): cannot be written; choose another --output")
            }
            var run = SuiteRun(plan, progress: Progress())
            try await run.execute { result in
                results.append(result)
                try file.write(contentsOf: result.line())
            }
            print()
            print(SuiteTable(results).text, terminator: "")
            print("\nNumbers: \(path)")
            SuiteRun.clean(plan)
            guard results.allSatisfy({ $0.repeats == plan.repeats }) else {
                throw CommandFailure("some runs failed; what failed stands under the table")
            }
        } catch {
            while ChildProcesses.isEnding { try? await Task.sleep(for: .seconds(1)) }
            ChildProcesses.killAll()
            SuiteRun.clean(plan)
            throw error as? CommandFailure ?? CommandFailure("\(error)")
        }
    }
}
