//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// A reading of a monotonic clock. Only differences mean anything; on one machine all processes read the same clock.
public struct MonotonicInstant: Hashable, Comparable, Sendable, Codable {
    public var nanoseconds: Int64

    public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    public static func < (left: MonotonicInstant, right: MonotonicInstant) -> Bool { left.nanoseconds < right.nanoseconds }
    public static func + (left: MonotonicInstant, right: Duration) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: left.nanoseconds + right.inNanoseconds)
    }
    public static func - (left: MonotonicInstant, right: MonotonicInstant) -> Duration {
        .nanoseconds(left.nanoseconds - right.nanoseconds)
    }
}

extension Duration {
    public var inNanoseconds: Int64 { components.seconds * 1_000_000_000 + components.attoseconds / 1_000_000_000 }
    public var inMilliseconds: Int64 { inNanoseconds / 1_000_000 }
    public var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}

/// The time: a monotonic reading for intervals and deadlines, the wall clock for what records carry.
public protocol Clock: Sendable {
    func now() -> MonotonicInstant
    /// Milliseconds since 1970-01-01T00:00:00Z. May jump in either direction.
    func wallMilliseconds() -> Int64
    /// Returns at `deadline` or later, or throws `CancellationError` when the task is cancelled.
    func sleep(until deadline: MonotonicInstant) async throws
}

extension Clock {
    public func sleep(for duration: Duration) async throws { try await sleep(until: now() + duration) }
}

/// Where random bits come from; seeded in a simulation.
public protocol RandomSource: Sendable {
    func next() -> UInt64
}

extension RandomSource {
    /// Uniform in `0..<bound`; `bound` > 0.
    public func next(below bound: UInt64) -> UInt64 {
        precondition(bound > 0, "a bound is positive")
        return next().multipliedFullWidth(by: bound).high
    }
    /// Uniform in 0..<1.
    public func nextUnit() -> Double { Double(next() >> 11) * 0x1p-53 }
}

/// Lets a ``RandomSource`` serve where the standard library wants a generator.
public struct RandomSourceGenerator: RandomNumberGenerator {
    private let source: any RandomSource
    public init(_ source: any RandomSource) { self.source = source }
    public mutating func next() -> UInt64 { source.next() }
}
