//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import ArgumentParser
internal import Foundation
internal import MicroBenchmarks

@main
struct NinefoldBenchmarks: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ninefold-benchmarks",
        abstract: "Runs pieces of Ninefold's data path alone, and counts what they cost.",
        discussion: """
            Counts (allocations, system calls, calls of the disk, requests) do not depend on the machine or its load, and are held against
            Benchmarks/Thresholds. Times are for reading only.
            """)

    @Option(help: "Only benchmarks whose name contains this; may be repeated.") var filter: [String] = []
    @Option(help: "Seconds to time each benchmark; 0 for counts alone.") var seconds = 0.2
    @Option(help: "Operations per timed sample, instead of as many as fill a few milliseconds.") var iterations: Int?
    @Option(help: "Appends one JSON line for each benchmark to this file.") var json: String?
    @Option(help: "Where the thresholds are.") var thresholds = "Benchmarks/Thresholds"
    @Option(help: "Directory on the disk to measure; files are made below it and removed.") var directory = NSTemporaryDirectory()
    @Flag(help: "Ends with 1 and a line for each count above its threshold; names those well below.") var check = false
    @Flag(help: "Records the counts as thresholds of this compiler.") var updateThresholds = false
    @Flag(help: "Prints where the allocations of the benchmarks come from, instead of results.") var traceAllocations = false
    @Flag(help: "Prints names and what one operation is, and runs nothing.") var list = false

    func validate() throws {
        guard seconds >= 0, seconds <= 3_600 else { throw ValidationError("--seconds \(seconds): allowed are 0 to 3600") }
        if let iterations, iterations < 1 { throw ValidationError("--iterations \(iterations): at least 1") }
        guard !(check && updateThresholds) else { throw ValidationError("--check and --update-thresholds exclude each other") }
        guard !selected.isEmpty else {
            throw ValidationError("--filter \(filter.joined(separator: " ")): no benchmark's name contains it")
        }
    }

    private var selected: [MicroBenchmark] {
        MicroBenchmark.all.filter { benchmark in filter.isEmpty || filter.contains { benchmark.name.contains($0) } }
    }

    func run() throws {
        if list {
            for benchmark in selected { print("\(benchmark.name): \(benchmark.summary)") }
            return
        }
        let base = URL(fileURLWithPath: directory).appendingPathComponent("ninefold-benchmarks-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: base, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: base) }

        if traceAllocations {
            for benchmark in selected {
                print(try AllocationReport(benchmark, try benchmark.traceAllocations(on: .directory(base.path))).text)
            }
            return
        }
        var results: [BenchmarkResult] = []
        print(ResultTable.head)
        for benchmark in selected {
            let place = BenchmarkPlace.directory(base.path)
            let counts = try benchmark.count(on: place)
            let timing = seconds > 0 ? try benchmark.time(on: place, for: .seconds(seconds), operations: iterations) : nil
            let result = BenchmarkResult(benchmark: benchmark, counts: counts, timing: timing)
            results.append(result)
            print(ResultTable.line(result))
        }
        print("\n" + ResultTable.legend)
        if let json { try write(results, to: json) }
        if updateThresholds { try update(results) }
        if check { try hold(results) }
    }

    private func write(_ results: [BenchmarkResult], to path: String) throws {
        let origin = Origin.probe()
        var lines = FileManager.default.contents(atPath: path) ?? Data()
        for result in results { lines += try result.jsonLine(origin) + Data("\n".utf8) }
        try lines.write(to: URL(fileURLWithPath: path))
    }

    /// Benchmarks that were not run keep theirs; those that are no more go.
    private func update(_ results: [BenchmarkResult]) throws {
        #if DEBUG
            throw ValidationError("thresholds are of optimized code: build with -c release")
        #else
            var stored = try Thresholds.load(from: thresholds) ?? Thresholds()
            for result in results { stored.limits[result.benchmark.name] = result.counts.values }
            let names = Set(MicroBenchmark.all.map(\.name))
            stored.limits = stored.limits.filter { names.contains($0.key) }
            try stored.store(in: thresholds)
            print("recorded \(results.count) benchmarks in \(Thresholds.path(in: thresholds))")
        #endif
    }

    private func hold(_ results: [BenchmarkResult]) throws {
        guard let stored = try Thresholds.load(from: thresholds) else {
            throw CheckFailure(
                "\(Thresholds.path(in: thresholds)): no thresholds for this compiler; record them with --update-thresholds")
        }
        let problems = results.flatMap { stored.problems(of: $0.benchmark.name, $0.counts) }
        for line in results.flatMap({ stored.slack(of: $0.benchmark.name, $0.counts) }) { print(line) }
        guard problems.isEmpty else { throw CheckFailure(problems.joined(separator: "\n")) }
        print("\(results.count) benchmarks within \(Thresholds.path(in: thresholds))")
    }
}

struct CheckFailure: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}
