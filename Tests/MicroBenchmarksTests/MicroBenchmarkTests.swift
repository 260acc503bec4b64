//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import Foundation
import MicroBenchmarks
import Testing

/// Every benchmark at toy size: that it still does what it says, and costs no more than its thresholds allow.
@Suite struct MicroBenchmarkTests {
    private static let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("Benchmarks/Thresholds").path

    @Test(arguments: MicroBenchmark.all.map(\.name))
    func costsOnARealDiskWhatItsThresholdsAllow(_ name: String) throws {
        let benchmark = try #require(MicroBenchmark.all.first { $0.name == name })
        let base = FileManager.default.temporaryDirectory.appendingPathComponent("ninefold-benchmark-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: base, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: base) }
        let counts = try benchmark.count(on: .directory(base.path))
        #expect(counts.operations > 0)
        try hold(counts, of: name)
        #expect(try FileManager.default.contentsOfDirectory(atPath: base.path).isEmpty, "files are left behind")
    }

    @Test(arguments: MicroBenchmark.all.filter(\.usesDisk).map(\.name))
    func asksASimulatedDiskNoMoreThanARealOne(_ name: String) throws {
        let benchmark = try #require(MicroBenchmark.all.first { $0.name == name })
        try hold(try benchmark.count(on: .simulatedDisk), of: name)
    }

    @Test(arguments: MicroBenchmark.all.map(\.name))
    func canBeTimed(_ name: String) throws {
        let benchmark = try #require(MicroBenchmark.all.first { $0.name == name })
        let timing = try benchmark.time(on: .simulatedDisk, for: .zero, operations: 2)
        #expect(timing.samples.count == 3 && timing.operationsPerSample == 2)
        #expect(timing.minimum <= timing.median)
    }

    @Test func namesAreUniqueAndThresholdsAreOfBenchmarksThereAre() throws {
        let names = MicroBenchmark.all.map(\.name)
        #expect(Set(names).count == names.count)
        guard let thresholds = try Thresholds.load(from: Self.directory) else { return }
        #expect(Set(thresholds.limits.keys).subtracting(names) == [])
    }

    /// Swift Testing writes down a backtrace for every error that is thrown, caught or not, and this one asks for a file that is not there.
    private static let throwsInside = ["directory.put.64KiB"]

    /// Thresholds are of one compiler and of optimized code.
    private func hold(_ counts: Counts, of name: String) throws {
        #if !DEBUG
            var counts = counts
            if Self.throwsInside.contains(name) {
                counts.values[.allocations] = nil
                counts.values[.allocatedBytes] = nil
            }
            guard let thresholds = try Thresholds.load(from: Self.directory) else { return }
            let problems = thresholds.problems(of: name, counts)
            #expect(problems.isEmpty, "\(problems.joined(separator: "\n")) (docs/benchmarks.md tells how thresholds are changed)")
        #endif
    }
}
