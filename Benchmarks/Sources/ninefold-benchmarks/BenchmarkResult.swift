//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Foundation
internal import MicroBenchmarks

/// One benchmark's counts and times.
struct BenchmarkResult {
    var benchmark: MicroBenchmark
    var counts: Counts
    /// nil where nothing was timed.
    var timing: Timing?

    /// `{"benchmark": …, "commit": …, "machine": …, "metrics": [{"name", "value", "unit"}]}`, in one line.
    func jsonLine(_ origin: Origin) throws -> Data {
        struct Line: Encodable {
            struct Value: Encodable {
                var name: String
                var value: Double
                var unit: String
            }
            var benchmark: String
            var commit: String
            var machine: String
            var swift: String
            var at: String
            var metrics: [Value]
        }
        var metrics = Metric.allCases.compactMap { metric in
            counts[metric].map { Line.Value(name: metric.rawValue, value: $0, unit: metric.unit) }
        }
        if let timing {
            metrics.append(Line.Value(name: "timeMin", value: timing.minimum, unit: "ns/op"))
            metrics.append(Line.Value(name: "timeMedian", value: timing.median, unit: "ns/op"))
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(
            Line(
                benchmark: benchmark.name, commit: origin.commit, machine: origin.machine, swift: Thresholds.compilerVersion,
                at: origin.time, metrics: metrics))
    }
}
