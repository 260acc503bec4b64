//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

extension MicroBenchmark {
    /// Counts what one operation costs once things are warm. All but the same in every run of one build.
    ///
    /// - Throws: What the benchmark throws, a ``BenchmarkFailure`` where an operation did not do what it should.
    public func count(on place: BenchmarkPlace) throws -> Counts {
        let warmUp = max(1, countedOperations / 2)
        return try withSurroundings(place) { surroundings in
            let run = try await prepare(surroundings, warmUp + countedOperations)
            try await run(warmUp)
            surroundings.reset()
            CallCounter.begin()
            do {
                try await run(countedOperations)
            } catch {
                _ = CallCounter.end()
                throw error
            }
            let calls = CallCounter.end()
            var counted = surroundings.counted(resources)
            // What a simulated disk does in memory is not what a disk costs.
            if let calls, place.isReal || !resources.contains(.disk) {
                for (metric, value) in calls where metric != .systemCalls || resources.contains(.disk) { counted[metric] = value }
            }
            return Counts(
                values: counted.mapValues { Double($0) / Double(countedOperations) }, operations: countedOperations)
        }
    }

    /// Runs `body` on the calling thread with a disk of its own, which is gone afterwards.
    func withSurroundings<Value: Sendable>(
        _ place: BenchmarkPlace, _ body: @escaping @Sendable (BenchmarkSurroundings) async throws -> Value
    ) throws -> Value {
        let surroundings = try BenchmarkSurroundings(place)
        defer { surroundings.remove() }
        return try CallingThreadExecutor.run { try await body(surroundings) }
    }
}
