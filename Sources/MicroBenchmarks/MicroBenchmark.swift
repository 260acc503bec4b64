//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

/// One piece of the data path, run alone.
public struct MicroBenchmark: Sendable {
    /// Runs so many operations, going on where the run before ended.
    typealias Run = (Int) async throws -> Void

    /// What a benchmark uses besides memory.
    struct Resources: OptionSet, Sendable {
        var rawValue: Int
        static let disk = Resources(rawValue: 1)
        static let requests = Resources(rawValue: 2)
    }

    /// Dotted, the part of the program first: `log.append.16`.
    public let name: String
    /// What one operation is.
    public let summary: String
    /// Bytes that one operation works on; nil where a rate would say nothing.
    public let bytes: Int?
    /// Operations that its counts are taken over: enough for what happens only now and then.
    let countedOperations: Int
    /// Operations that one preparation is good for; nil for any number.
    let operationsMax: Int?
    let resources: Resources
    /// Makes what the operations work on. The number is of all operations that will be asked for.
    let prepare: @Sendable (BenchmarkSurroundings, Int) async throws -> Run

    init(
        _ name: String, _ summary: String, bytes: Int? = nil, counted countedOperations: Int = 100, operationsMax: Int? = nil,
        uses resources: Resources = [], prepare: @escaping @Sendable (BenchmarkSurroundings, Int) async throws -> Run
    ) {
        self.name = name
        self.summary = summary
        self.bytes = bytes
        self.countedOperations = countedOperations
        self.operationsMax = operationsMax
        self.resources = resources
        self.prepare = prepare
    }

    public var usesDisk: Bool { resources.contains(.disk) }

    public static let all: [MicroBenchmark] =
        codec + recordBatches + frames + append + read + indexes + producersAndEpochs + writeAheadLog + objects + objectStores
}

/// An operation did not do what it should: its counts would be of something else.
public struct BenchmarkFailure: Error, Sendable, CustomStringConvertible {
    public var description: String
    init(_ description: String) { self.description = description }
}

/// Uses a value in a way that the optimizer cannot see through.
@_optimize(none) @inline(never)
func blackHole<Value>(_ value: borrowing Value) {}
