//===----------------------------------------------------------------------===//
// This source file is part of the Ninefold project. Licensed under Apache-2.0.
//===----------------------------------------------------------------------===//

import LogEngine

/// One promise of the log interface.
public struct ConformanceCase: Sendable, CustomStringConvertible {
    /// A sentence about what holds.
    public let name: String
    let isListed: @Sendable (EngineTraits) -> Bool
    let body: @Sendable (ConformanceBench) async throws -> Void

    init(
        _ name: String, if isListed: @escaping @Sendable (EngineTraits) -> Bool = { _ in true },
        _ body: @escaping @Sendable (ConformanceBench) async throws -> Void
    ) {
        self.name = name
        self.isListed = isListed
        self.body = body
    }

    public var description: String { name }

    /// Runs the case on an engine of its own.
    ///
    /// - Throws: ``ConformanceFailure``, or what the engine or its maker threw unasked.
    public func run(
        traits: EngineTraits = EngineTraits(), _ makeEngineUnderTest: @Sendable () async throws -> any EngineUnderTest
    ) async throws {
        let subject = try await makeEngineUnderTest()
        let bench = try await ConformanceBench(subject, traits: traits)
        do {
            try await body(bench)
        } catch {
            await bench.engine.shutdown()
            await subject.tearDown()
            throw error
        }
        await bench.engine.shutdown()
        await subject.tearDown()
    }
}

/// A promise that was not kept.
public struct ConformanceFailure: Error, CustomStringConvertible {
    public var description: String

    init(_ message: String, file: StaticString = #fileID, line: UInt = #line) { description = "\(message) [\(file):\(line)]" }
}

/// The suite. Run it in an engine's test target:
///
/// ```swift
/// @Test(arguments: LogEngineConformance.cases(for: traits))
/// func conforms(_ promise: ConformanceCase) async throws {
///     try await promise.run(traits: traits) { try await MyEngineUnderTest() }
/// }
/// ```
public enum LogEngineConformance {
    /// The cases that apply to an engine with `traits`.
    public static func cases(for traits: EngineTraits) -> [ConformanceCase] { allCases.filter { $0.isListed(traits) } }

    /// The cases that apply to every engine.
    public static var cases: [ConformanceCase] { cases(for: EngineTraits()) }

    private static var allCases: [ConformanceCase] {
        appendCases + readCases + durabilityCases + producerCases + epochCases + timeCases + trimCases + restartCases
            + concurrencyCases + placeCases + modelCases
    }
}
