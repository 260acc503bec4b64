//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// What is counted, per operation. Raw values are the names in result lines and threshold files.
public enum Metric: String, Sendable, Hashable, CaseIterable, Codable {
    case allocations
    /// As asked for, before the allocator rounds up.
    case allocatedBytes
    /// Of file input and output, made by the measuring thread.
    case systemCalls
    case diskOpens
    case diskReads
    case diskWrites
    case diskSyncs
    case putRequests
    case getRequests

    public var unit: String { self == .allocatedBytes ? "B/op" : "1/op" }

    /// Whether `value` lies further above `limit` than chance puts it, in counts over `operations`.
    ///
    /// Swift's arrays take all that the allocator gave them, which varies with the heap: one grows a little earlier or later. So what happens
    /// only now and then (a limit that is no whole number) may happen twice more.
    func isExcess(_ value: Double, over limit: Double, of operations: Int) -> Bool {
        if self == .allocatedBytes { return value > limit * 1.02 + 16 }
        let isNowAndThen = limit != limit.rounded()
        return value > limit * 1.005 + (isNowAndThen ? 2 / Double(operations) : 0) + 0.001
    }
}

/// Counts per operation. What is missing was not counted.
public struct Counts: Sendable, Hashable {
    public var values: [Metric: Double]
    /// Operations they were taken over.
    public var operations: Int

    public init(values: [Metric: Double], operations: Int) {
        self.values = values
        self.operations = operations
    }

    public subscript(metric: Metric) -> Double? { values[metric] }
}
