//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// How long operations took. For reports: nothing is held against it.
public struct Timing: Sendable, Hashable {
    /// Nanoseconds per operation, of each sample, rising.
    public var samples: [Double]
    public var operationsPerSample: Int

    public var minimum: Double { samples[0] }
    public var median: Double { samples[samples.count / 2] }
}

extension MicroBenchmark {
    /// Times samples for about `duration`; at least three.
    ///
    /// - Parameter operations: Per sample; nil for as many as fill a few milliseconds.
    public func time(on place: BenchmarkPlace, for duration: Duration, operations: Int? = nil) throws -> Timing {
        let clock = ContinuousClock()
        let deadline = clock.now + duration
        var count = min(operations ?? 1, operationsMax ?? .max)
        if operations == nil {
            while count < operationsMax ?? 1 << 30, try sample(on: place, count) < .milliseconds(5) {
                count = min(count * 2, operationsMax ?? 1 << 30)
            }
        }
        var samples: [Double] = []
        while samples.count < 3 || clock.now < deadline {
            let elapsed = try sample(on: place, count)
            samples.append(Double(elapsed.components.seconds) * 1e9 + Double(elapsed.components.attoseconds) / 1e9)
        }
        return Timing(samples: samples.map { $0 / Double(count) }.sorted(), operationsPerSample: count)
    }

    private func sample(on place: BenchmarkPlace, _ operations: Int) throws -> Duration {
        try withSurroundings(place) { surroundings in
            let warmUp = min(operations, countedOperations)
            let run = try await prepare(surroundings, warmUp + operations)
            try await run(warmUp)
            let clock = ContinuousClock()
            let start = clock.now
            try await run(operations)
            return clock.now - start
        }
    }
}
