//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

package import Foundation

/// OpenMessaging Benchmark's result object, with upstream's fields and none besides: its own reader refuses unknown ones.
///
/// Publish and end-to-end latencies are in milliseconds, the publish delay in microseconds. Series have one entry per interval.
package struct OMBResult: Codable, Sendable, Hashable {
    package var workload = ""
    package var driver = ""
    package var messageSize = 0
    package var topics = 0
    package var partitions = 0
    package var producersPerTopic = 0
    package var consumersPerTopic = 0

    /// Records per second.
    package var publishRate: [Double] = []
    package var publishErrorRate: [Double] = []
    package var consumeRate: [Double] = []
    /// Records produced and not consumed.
    package var backlog: [Int64] = []

    package var publishLatencyAvg: [Double] = []
    package var publishLatency50pct: [Double] = []
    package var publishLatency75pct: [Double] = []
    package var publishLatency95pct: [Double] = []
    package var publishLatency99pct: [Double] = []
    package var publishLatency999pct: [Double] = []
    package var publishLatency9999pct: [Double] = []
    package var publishLatencyMax: [Double] = []

    package var publishDelayLatencyAvg: [Double] = []
    package var publishDelayLatency50pct: [Int64] = []
    package var publishDelayLatency75pct: [Int64] = []
    package var publishDelayLatency95pct: [Int64] = []
    package var publishDelayLatency99pct: [Int64] = []
    package var publishDelayLatency999pct: [Int64] = []
    package var publishDelayLatency9999pct: [Int64] = []
    package var publishDelayLatencyMax: [Int64] = []

    package var aggregatedPublishLatencyAvg: Double = 0
    package var aggregatedPublishLatency50pct: Double = 0
    package var aggregatedPublishLatency75pct: Double = 0
    package var aggregatedPublishLatency95pct: Double = 0
    package var aggregatedPublishLatency99pct: Double = 0
    package var aggregatedPublishLatency999pct: Double = 0
    package var aggregatedPublishLatency9999pct: Double = 0
    package var aggregatedPublishLatencyMax: Double = 0

    package var aggregatedPublishDelayLatencyAvg: Double = 0
    package var aggregatedPublishDelayLatency50pct: Int64 = 0
    package var aggregatedPublishDelayLatency75pct: Int64 = 0
    package var aggregatedPublishDelayLatency95pct: Int64 = 0
    package var aggregatedPublishDelayLatency99pct: Int64 = 0
    package var aggregatedPublishDelayLatency999pct: Int64 = 0
    package var aggregatedPublishDelayLatency9999pct: Int64 = 0
    package var aggregatedPublishDelayLatencyMax: Int64 = 0

    /// Percentile as text → latency.
    package var aggregatedPublishLatencyQuantiles: [String: Double] = [:]
    package var aggregatedPublishDelayLatencyQuantiles: [String: Int64] = [:]

    package var endToEndLatencyAvg: [Double] = []
    package var endToEndLatency50pct: [Double] = []
    package var endToEndLatency75pct: [Double] = []
    package var endToEndLatency95pct: [Double] = []
    package var endToEndLatency99pct: [Double] = []
    package var endToEndLatency999pct: [Double] = []
    package var endToEndLatency9999pct: [Double] = []
    package var endToEndLatencyMax: [Double] = []

    package var aggregatedEndToEndLatencyQuantiles: [String: Double] = [:]
    package var aggregatedEndToEndLatencyAvg: Double = 0
    package var aggregatedEndToEndLatency50pct: Double = 0
    package var aggregatedEndToEndLatency75pct: Double = 0
    package var aggregatedEndToEndLatency95pct: Double = 0
    package var aggregatedEndToEndLatency99pct: Double = 0
    package var aggregatedEndToEndLatency999pct: Double = 0
    package var aggregatedEndToEndLatency9999pct: Double = 0
    package var aggregatedEndToEndLatencyMax: Double = 0

    package init() {}

    /// Pretty printed, keys sorted.
    package func json() throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        return try encoder.encode(self)
    }

    // MARK: Filling in

    /// Adds an interval to the series.
    package mutating func append(
        _ produced: ProducerMeasure, _ consumed: ConsumerMeasure, backlog records: Int64, seconds: Double
    ) {
        publishRate.append(Double(produced.records) / seconds)
        publishErrorRate.append(Double(produced.errors) / seconds)
        consumeRate.append(Double(consumed.records) / seconds)
        backlog.append(records)

        let publish = produced.publish
        publishLatencyAvg.append(publish.meanSeconds * 1e3)
        publishLatency50pct.append(publish.milliseconds(50))
        publishLatency75pct.append(publish.milliseconds(75))
        publishLatency95pct.append(publish.milliseconds(95))
        publishLatency99pct.append(publish.milliseconds(99))
        publishLatency999pct.append(publish.milliseconds(99.9))
        publishLatency9999pct.append(publish.milliseconds(99.99))
        publishLatencyMax.append(publish.maxSeconds * 1e3)

        let delay = produced.delay
        publishDelayLatencyAvg.append(delay.meanSeconds * 1e6)
        publishDelayLatency50pct.append(delay.microseconds(50))
        publishDelayLatency75pct.append(delay.microseconds(75))
        publishDelayLatency95pct.append(delay.microseconds(95))
        publishDelayLatency99pct.append(delay.microseconds(99))
        publishDelayLatency999pct.append(delay.microseconds(99.9))
        publishDelayLatency9999pct.append(delay.microseconds(99.99))
        publishDelayLatencyMax.append(delay.microseconds(100))

        let endToEnd = consumed.endToEnd
        endToEndLatencyAvg.append(endToEnd.meanSeconds * 1e3)
        endToEndLatency50pct.append(endToEnd.milliseconds(50))
        endToEndLatency75pct.append(endToEnd.milliseconds(75))
        endToEndLatency95pct.append(endToEnd.milliseconds(95))
        endToEndLatency99pct.append(endToEnd.milliseconds(99))
        endToEndLatency999pct.append(endToEnd.milliseconds(99.9))
        endToEndLatency9999pct.append(endToEnd.milliseconds(99.99))
        endToEndLatencyMax.append(endToEnd.maxSeconds * 1e3)
    }

    /// Sets the totals.
    package mutating func aggregate(publish: LatencyHistogram, delay: LatencyHistogram, endToEnd: LatencyHistogram) {
        aggregatedPublishLatencyAvg = publish.meanSeconds * 1e3
        aggregatedPublishLatency50pct = publish.milliseconds(50)
        aggregatedPublishLatency75pct = publish.milliseconds(75)
        aggregatedPublishLatency95pct = publish.milliseconds(95)
        aggregatedPublishLatency99pct = publish.milliseconds(99)
        aggregatedPublishLatency999pct = publish.milliseconds(99.9)
        aggregatedPublishLatency9999pct = publish.milliseconds(99.99)
        aggregatedPublishLatencyMax = publish.maxSeconds * 1e3
        aggregatedPublishLatencyQuantiles = publish.quantiles { $0 * 1e3 }

        aggregatedPublishDelayLatencyAvg = delay.meanSeconds * 1e6
        aggregatedPublishDelayLatency50pct = delay.microseconds(50)
        aggregatedPublishDelayLatency75pct = delay.microseconds(75)
        aggregatedPublishDelayLatency95pct = delay.microseconds(95)
        aggregatedPublishDelayLatency99pct = delay.microseconds(99)
        aggregatedPublishDelayLatency999pct = delay.microseconds(99.9)
        aggregatedPublishDelayLatency9999pct = delay.microseconds(99.99)
        aggregatedPublishDelayLatencyMax = delay.microseconds(100)
        aggregatedPublishDelayLatencyQuantiles = delay.quantiles { Int64(($0 * 1e6).rounded()) }

        aggregatedEndToEndLatencyAvg = endToEnd.meanSeconds * 1e3
        aggregatedEndToEndLatency50pct = endToEnd.milliseconds(50)
        aggregatedEndToEndLatency75pct = endToEnd.milliseconds(75)
        aggregatedEndToEndLatency95pct = endToEnd.milliseconds(95)
        aggregatedEndToEndLatency99pct = endToEnd.milliseconds(99)
        aggregatedEndToEndLatency999pct = endToEnd.milliseconds(99.9)
        aggregatedEndToEndLatency9999pct = endToEnd.milliseconds(99.99)
        aggregatedEndToEndLatencyMax = endToEnd.maxSeconds * 1e3
        aggregatedEndToEndLatencyQuantiles = endToEnd.quantiles { $0 * 1e3 }
    }
}

extension LatencyHistogram {
    fileprivate func milliseconds(_ percentile: Double) -> Double { seconds(at: percentile / 100) * 1e3 }
    fileprivate func microseconds(_ percentile: Double) -> Int64 { Int64((seconds(at: percentile / 100) * 1e6).rounded()) }

    /// Percentile as text → value, at the steps of HdrHistogram's own listing.
    fileprivate func quantiles<Value>(_ convert: (Double) -> Value) -> [String: Value] {
        Dictionary(curve(stepsPerHalf: 100).map { ("\($0[0] * 100)", convert($0[1])) }, uniquingKeysWith: { _, last in last })
    }
}
