//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

public import LogModel
public import RuntimeEnvironment

/// How fast one replica is being copied, as its leader sees it: bytes sent, and bytes that came to the log meanwhile, over the last seconds.
/// Knows no clock.
public struct CopyMeter: Sendable {
    private struct Sample {
        var at: MonotonicInstant
        var copiedBytes: Int64
        var ingestedBytes: Int64
    }

    /// What rates are taken over.
    private static var window: Duration { .seconds(10) }
    /// Samples are this far apart.
    private static var spacing: Duration { .milliseconds(500) }

    /// Since the move began, or this broker led.
    public private(set) var copiedBytes: Int64 = 0
    private var ingestedBytes: Int64 = 0
    private var logBytes: Int64
    private var samples: [Sample]

    /// - Parameter logBytes: The log's size.
    public init(logBytes: Int64, at now: MonotonicInstant) {
        self.logBytes = logBytes
        samples = [Sample(at: now, copiedBytes: 0, ingestedBytes: 0)]
    }

    /// The replica has fetched.
    public mutating func note(copied bytes: Int, logBytes: Int64, at now: MonotonicInstant) {
        copiedBytes += Int64(bytes)
        // Retention makes a log smaller without anything being un-ingested.
        ingestedBytes += max(0, logBytes - self.logBytes)
        self.logBytes = logBytes
        guard let last = samples.last, now - last.at >= Self.spacing else { return }
        samples.append(Sample(at: now, copiedBytes: copiedBytes, ingestedBytes: ingestedBytes))
        if let index = samples.lastIndex(where: { now - $0.at >= Self.window }), index > 0 { samples.removeFirst(index) }
    }

    /// Bytes per second; nil until enough time has been seen.
    public func rates(at now: MonotonicInstant) -> (copied: Double, ingested: Double)? {
        guard let first = samples.first, now - first.at >= Self.spacing else { return nil }
        let seconds = (now - first.at) / .seconds(1)
        return (
            Double(copiedBytes - first.copiedBytes) / seconds, Double(ingestedBytes - first.ingestedBytes) / seconds
        )
    }
}

/// When a copy will be done, if ever: what is left shrinks by what is copied and grows by what producers write.
public enum CopyForecast: Sendable, Hashable {
    case done
    /// At the rates of now.
    case finishes(in: Duration)
    /// A throttle that lets through no more than producers write: the copy never catches up.
    case never(throttle: Double, ingest: Double)
    /// Nothing bounds it below the ingest, but it does not catch up as it goes now.
    case notAtThisRate(copied: Double, ingest: Double)
    /// No rates yet.
    case notMeasured

    /// - Parameters:
    ///   - remainingBytes: Not yet copied.
    ///   - copied, ingested: Bytes per second; nil if not measured.
    ///   - throttle: What the copy may take, bytes per second; nil for no bound.
    public static func forecast(remainingBytes: Int64, copied: Double?, ingested: Double?, throttle: Double?) -> CopyForecast {
        if remainingBytes <= 0 { return .done }
        if let throttle, throttle <= 0 { return .never(throttle: 0, ingest: ingested ?? 0) }
        guard let copied, let ingested else { return .notMeasured }
        if let throttle, throttle <= ingested { return .never(throttle: throttle, ingest: ingested) }
        // A throttle's long run is its bound, whatever credit the last seconds used up.
        let gain = min(copied, throttle ?? .infinity) - ingested
        guard gain > 0 else { return .notAtThisRate(copied: copied, ingest: ingested) }
        return .finishes(in: .seconds(min(Double(remainingBytes) / gain, 1e9)))
    }
}

extension CopyForecast: CustomStringConvertible {
    public var description: String {
        func rate(_ bytes: Double) -> String { "\(Int64(bytes.rounded())) B/s" }
        return switch self {
        case .done: "done"
        case .finishes(let duration): "finishes in \(Int64((duration / .seconds(1)).rounded(.up))) s"
        case .never(let throttle, let ingest): "never at this rate: throttle \(rate(throttle)) <= ingest \(rate(ingest))"
        case .notAtThisRate(let copied, let ingest): "not at this rate: copied \(rate(copied)) <= ingest \(rate(ingest))"
        case .notMeasured: "not measured yet"
        }
    }
}

/// A replica that is being added, as its leader sees it.
public struct ReplicaCopy: Sendable {
    public var partition: PartitionID
    public var replica: BrokerID
    public var copiedBytes: Int64
    public var remainingBytes: Int64
    public var copiedBytesPerSecond: Double?
    public var ingestedBytesPerSecond: Double?
    /// Whether the topic's settings put the leader's, and the follower's, sending under their brokers' throttles.
    public var isThrottledAtLeader: Bool
    public var isThrottledAtFollower: Bool
}
