//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// Allocations that were called for from the same place.
public struct AllocationSite: Sendable, Hashable {
    /// An instruction of a program or a library.
    public struct Frame: Sendable, Hashable {
        public var file: String
        /// From where the file is loaded.
        public var offset: UInt
    }

    /// Calls under way, the nearest first.
    public let frames: [Frame]
    /// Per operation.
    public private(set) var allocations = 0.0
    /// Per operation.
    public private(set) var bytes = 0.0

    init(addresses: [UInt]) { frames = addresses.map(CallCounter.frame) }

    mutating func add(_ bytes: Int, of operations: Int) {
        allocations += 1 / Double(operations)
        self.bytes += Double(bytes) / Double(operations)
    }
}

extension MicroBenchmark {
    /// Where the allocations of some operations come from, the most frequent first; empty where they cannot be counted.
    public func traceAllocations(on place: BenchmarkPlace) throws -> [AllocationSite] {
        try withSurroundings(place) { surroundings in
            let operations = min(8, countedOperations)
            let run = try await prepare(surroundings, countedOperations + operations)
            try await run(countedOperations)
            let trace = CallCounter.Trace(capacity: 1 << 16)
            trace.begin()
            do {
                try await run(operations)
            } catch {
                _ = trace.end()
                throw error
            }
            var sites: [[UInt]: AllocationSite] = [:]
            for (bytes, addresses) in trace.end() {
                sites[addresses, default: AllocationSite(addresses: addresses)].add(bytes, of: operations)
            }
            return sites.values.sorted { ($0.allocations, $0.bytes) > ($1.allocations, $1.bytes) }
        }
    }
}
