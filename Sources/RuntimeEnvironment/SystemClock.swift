//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

internal import Glibc

/// The machine's clocks. The monotonic one is `CLOCK_BOOTTIME`, which every process of the machine reads alike and which goes on
/// while the machine sleeps, so that a lease does not outlive a closed lid.
public struct SystemClock: Clock {
    public init() {}

    public func now() -> MonotonicInstant { MonotonicInstant(nanoseconds: Self.read(CLOCK_BOOTTIME)) }

    public func wallMilliseconds() -> Int64 { Self.read(CLOCK_REALTIME) / 1_000_000 }

    public func sleep(until deadline: MonotonicInstant) async throws {
        while true {
            let rest = deadline - now()
            guard rest > .zero else { return try Task.checkCancellation() }
            // The standard library's continuous clock is CLOCK_BOOTTIME too.
            try await Task.sleep(for: rest, clock: .continuous)
        }
    }

    private static func read(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}

/// The kernel's generator.
public struct SystemRandomSource: RandomSource {
    public init() {}
    public func next() -> UInt64 {
        var generator = SystemRandomNumberGenerator()
        return generator.next()
    }
}
