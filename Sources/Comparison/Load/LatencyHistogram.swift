//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Histogram

/// Durations in an HdrHistogram of three digits, in microseconds.
package struct LatencyHistogram: Sendable {
    private var histogram = Histogram<UInt64>()

    package init() {}

    package var count: Int64 { Int64(histogram.totalCount) }
    package var maxSeconds: Double { count == 0 ? 0 : Double(histogram.maxRecorded) / 1e6 }
    package var meanSeconds: Double { count == 0 ? 0 : histogram.mean / 1e6 }

    package mutating func record(nanoseconds: Int64, count: Int = 1) {
        histogram.record(Self.microseconds(nanoseconds), count: UInt64(count))
    }

    /// Records `count` durations of which each is `step` shorter than the one before: what the records of a batch see whose
    /// intended times are evenly spaced. Those the histogram cannot tell apart are recorded at once.
    package mutating func record(firstNanoseconds first: Int64, stepNanoseconds step: Double, count: Int) {
        guard step > 0 else { return record(nanoseconds: first, count: count) }
        var index = 0
        while index < count {
            let nanoseconds = max(0, Double(first) - step * Double(index))
            let value = Self.microseconds(Int64(nanoseconds))
            let floor = Double(histogram.lowestEquivalentForValue(value)) * 1000 - 500
            let alike = value == 0 ? count - index : max(1, Int((nanoseconds - floor) / step))
            let taken = min(alike, count - index)
            histogram.record(value, count: UInt64(taken))
            index += taken
        }
    }

    package mutating func merge(_ other: LatencyHistogram) { if other.count > 0 { histogram.add(other.histogram) } }

    /// - Parameter quantile: 0 to 1.
    package func seconds(at quantile: Double) -> Double {
        count == 0 ? 0 : Double(histogram.valueAtPercentile(quantile * 100)) / 1e6
    }

    package var percentiles: Percentiles {
        Percentiles(
            p50: seconds(at: 0.5), p95: seconds(at: 0.95), p99: seconds(at: 0.99), p999: seconds(at: 0.999), max: maxSeconds)
    }

    /// (quantile, seconds) at every step the histogram can show, ever finer towards the end, as HdrHistogram's own output.
    package func curve(stepsPerHalf: Int = 5) -> [[Double]] {
        guard count > 0 else { return [] }
        var points: [[Double]] = []
        for entry in histogram.percentiles(ticksPerHalfDistance: stepsPerHalf) {
            points.append([min(1, entry.percentileLevelIteratedTo / 100), Double(entry.value) / 1e6])
        }
        return points
    }

    private static func microseconds(_ nanoseconds: Int64) -> UInt64 { UInt64(max(0, (nanoseconds + 500) / 1000)) }
}
